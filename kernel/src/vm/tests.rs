//! Kernel tests of address spaces: areas cut and joined, pages made on demand, and everything given back.

use super::fault::{FaultError, resolve};
use super::{AddressSpace, Backing, MapRequest, Placement, STACK_LIMIT, USER_START};
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::addr::{PAGE_SIZE, USER_END};
use machine::hooks::Access;
use machine::mm::Protection;
use macros::kernel_test;

const PAGE: u64 = PAGE_SIZE as u64;
const READ_WRITE: Protection = Protection { read: true, write: true, execute: false };
const READ: Protection = Protection { read: true, write: false, execute: false };

fn space() -> Result<Arc<AddressSpace>, String> {
    AddressSpace::new().map_err(|_| "no memory for an address space".into())
}

fn anonymous(placement: Placement, pages: u64) -> MapRequest {
    MapRequest { placement, len: pages * PAGE, protection: READ_WRITE, backing: Backing::Anonymous, grows_down: false }
}

/// Start and end of each area.
fn areas(space: &AddressSpace) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    space.for_each_area(|area| found.push((area.start, area.end)));
    found
}

#[kernel_test]
fn unmapping_the_middle_leaves_both_ends() -> Result<(), String> {
    let space = space()?;
    let at = 0x10_0000;
    assert_eq!(space.map(anonymous(Placement::Fixed(at), 10)), Ok(at));
    for page in 0..10 {
        assert_eq!(resolve(&space, at + page * PAGE, Access::Write), Ok(()));
    }
    assert_eq!(space.unmap(at + 3 * PAGE, 4 * PAGE), Ok(()));
    assert_eq!(areas(&space), [(at, at + 3 * PAGE), (at + 7 * PAGE, at + 10 * PAGE)]);
    assert_eq!(space.resident_pages(), 6);
    assert_eq!(resolve(&space, at + 3 * PAGE, Access::Read), Err(FaultError::NotMapped));
    Ok(())
}

#[kernel_test]
fn protection_decides() -> Result<(), String> {
    let space = space()?;
    let at = 0x20_0000;
    assert_eq!(space.map(anonymous(Placement::Fixed(at), 2)), Ok(at));
    assert_eq!(resolve(&space, at, Access::Write), Ok(()));
    assert_eq!(space.protect(at, PAGE, READ), Ok(()));
    assert_eq!(resolve(&space, at, Access::Write), Err(FaultError::Forbidden));
    assert_eq!(resolve(&space, at, Access::Read), Ok(()));
    assert_eq!(resolve(&space, at + PAGE, Access::Execute), Err(FaultError::Forbidden));
    assert_eq!(space.mapping(at).map(|mapping| mapping.protection.write), Some(false));
    Ok(())
}

#[kernel_test]
fn places_are_refused_as_on_linux() -> Result<(), String> {
    let space = space()?;
    assert_eq!(space.map(anonymous(Placement::Fixed(0), 1)), Err(Errno::EPERM));
    assert_eq!(space.map(anonymous(Placement::Fixed(USER_START + 1), 1)), Err(Errno::EINVAL));
    assert_eq!(space.map(anonymous(Placement::Fixed(USER_END), 1)), Err(Errno::ENOMEM));
    assert_eq!(space.map(anonymous(Placement::Anywhere(0), u64::MAX / PAGE)), Err(Errno::ENOMEM));
    assert_eq!(space.map(anonymous(Placement::Anywhere(0), 0)), Err(Errno::EINVAL));
    assert_eq!(space.map(anonymous(Placement::Fixed(USER_START), 1)), Ok(USER_START));
    assert_eq!(space.map(anonymous(Placement::FixedNoReplace(USER_START), 1)), Err(Errno::EEXIST));
    Ok(())
}

#[kernel_test]
fn a_stack_grows_down_to_its_limit() -> Result<(), String> {
    let space = space()?;
    let top = space.map_stack(false).map_err(|_| "no stack")?;
    assert_eq!(resolve(&space, top - STACK_LIMIT / 2, Access::Write), Ok(()));
    assert_eq!(resolve(&space, top - 2 * STACK_LIMIT, Access::Write), Err(FaultError::NotMapped));
    Ok(())
}

#[kernel_test]
fn the_break_moves_both_ways() -> Result<(), String> {
    let space = space()?;
    let start = 0x100_0000;
    space.set_brk_start(start);
    assert_eq!(space.brk(0), start);
    assert_eq!(space.brk(start + 5 * PAGE), start + 5 * PAGE);
    assert_eq!(resolve(&space, start + 4 * PAGE, Access::Write), Ok(()));
    assert_eq!(space.brk(start + PAGE), start + PAGE);
    assert_eq!(space.resident_pages(), 0, "a page behind the break is still there");
    assert_eq!(space.brk(start - PAGE), start + PAGE, "the break went below its start");
    Ok(())
}

#[kernel_test]
fn far_apart_pages_cost_and_free_their_tables() -> Result<(), String> {
    // Each on page tables of its own; to free them must not take a walk over all that is between.
    let space = space()?;
    for shift in 21..46 {
        let at = 1u64 << shift;
        assert_eq!(space.map(anonymous(Placement::Fixed(at), 1)), Ok(at));
        assert_eq!(resolve(&space, at, Access::Write), Ok(()));
    }
    assert_eq!(space.resident_pages(), 25);
    assert_eq!(space.unmap(USER_START, USER_END - USER_START), Ok(()));
    assert_eq!((space.resident_pages(), areas(&space).len()), (0, 0));
    // The drop of the space asserts, in debug builds, that no table is left.
    Ok(())
}
