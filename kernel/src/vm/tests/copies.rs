//! Kernel tests of copies between kernel and user memory.

use super::{PAGE, anonymous, space};
use crate::vm::Placement;
use crate::vm::fault::resolve;
use alloc::string::String;
use alloc::vec::Vec;
use machine::hooks::Access;
use machine::task;
use machine::user::copy::{self, BadAddress};
use macros::kernel_test;

/// Where the page is behind which nothing is mapped.
const AT: u64 = 0x10_0000;

#[kernel_test]
fn a_copy_ends_at_the_very_byte_that_is_not_there() -> Result<(), String> {
    let space = space()?;
    assert_eq!(space.map(anonymous(Placement::Fixed(AT), 1)), Ok(AT));
    assert_eq!(resolve(&space, AT, Access::Write), Ok(()));
    let bytes: Vec<u8> = (0..300).map(|at| at as u8 | 1).collect();
    let former = task::current().set_space(Some(space.tables().clone()));
    let lens = (0..=42).chain([47, 48, 63, 64, 65, 95, 127, 128, 129, 135, 136, 161, 300]);
    for len in lens {
        for there in 0..=len {
            let at = AT + PAGE - there as u64;
            let expected = if there == len { Ok(()) } else { Err(BadAddress { done: there }) };
            assert_eq!(copy::fill_zero(at - 1, 1 + there), Ok(()));
            assert_eq!(copy::write(at, &bytes[..len]), expected, "write {there} of {len}");
            let mut back = [0xee; 300];
            assert_eq!(copy::read(at, &mut back[..len]), expected, "read {there} of {len}");
            assert_eq!(back[..there], bytes[..there], "{there} of {len}");
            assert!(back[there..].iter().all(|&byte| byte == 0xee), "more than {there} of {len}");
            assert_eq!(copy::read(at - 1, &mut back[..1]), Ok(()));
            assert_eq!(back[0], 0, "a byte before {there} of {len}");
        }
    }
    drop(task::current().set_space(former));
    Ok(())
}
