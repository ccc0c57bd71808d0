//! Kernel tests of address spaces: areas cut and joined, pages made on demand, and everything given back.

mod copies;
mod huge;
mod shortage;

use super::fault::{FaultError, resolve};
use super::{AddressSpace, Backing, MapRequest, Placement, STACK_LIMIT, USER_START};
use abi::Errno;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
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

/// First byte of the page at `address`.
fn byte_at(space: &AddressSpace, address: u64) -> Option<u8> {
    let mut byte = [0];
    space.mapping(address)?.frame.read(0, &mut byte);
    Some(byte[0])
}

/// Stores as a program would: by a fault, then into the frame.
fn store(space: &AddressSpace, address: u64, byte: u8) -> Result<(), String> {
    resolve(space, address, Access::Write).map_err(|error| alloc::format!("store at {address:#x}: {error:?}"))?;
    let mapping = space.mapping(address).ok_or("the page is gone")?;
    assert!(mapping.protection.write, "a resolved store fault left the page read-only");
    mapping.frame.write(0, &[byte]);
    Ok(())
}

#[kernel_test]
fn a_fork_shares_pages_until_one_side_writes() -> Result<(), String> {
    let parent = space()?;
    let at = 0x30_0000;
    assert_eq!(parent.map(anonymous(Placement::Fixed(at), 4)), Ok(at));
    for page in 0..3 {
        store(&parent, at + page * PAGE, 10 + page as u8)?;
    }
    let child = parent.fork().map_err(|error| alloc::format!("fork: {error:?}"))?;
    assert_eq!(areas(&child), areas(&parent));
    assert_eq!(child.resident_pages(), 3);
    for space in [&parent, &child] {
        let mapping = space.mapping(at).ok_or("a page is gone")?;
        assert!(!mapping.protection.write, "a store would reach the other side");
        // Two page tables, and this handle.
        assert_eq!(mapping.frame.references(), 3);
    }
    store(&child, at, 20)?;
    store(&parent, at + PAGE, 30)?;
    store(&child, at + 3 * PAGE, 40)?;
    let bytes = |space: &AddressSpace| (0..4).map(|page| byte_at(space, at + page * PAGE)).collect::<Vec<_>>();
    assert_eq!(bytes(&parent), [Some(10), Some(30), Some(12), None]);
    assert_eq!(bytes(&child), [Some(20), Some(11), Some(12), Some(40)]);
    // The side that is left alone with a page writes to it without a copy.
    let before = parent.mapping(at + 2 * PAGE).map(|mapping| mapping.frame.address());
    drop(child);
    store(&parent, at + 2 * PAGE, 50)?;
    assert_eq!(parent.mapping(at + 2 * PAGE).map(|mapping| mapping.frame.address()), before);
    Ok(())
}

#[kernel_test]
fn a_fork_keeps_what_protection_forbids() -> Result<(), String> {
    let parent = space()?;
    let at = 0x40_0000;
    assert_eq!(parent.map(anonymous(Placement::Fixed(at), 2)), Ok(at));
    store(&parent, at, 1)?;
    store(&parent, at + PAGE, 2)?;
    assert_eq!(parent.protect(at, PAGE, READ), Ok(()));
    assert_eq!(parent.protect(at + PAGE, PAGE, Protection::default()), Ok(()));
    let child = parent.fork().map_err(|error| alloc::format!("fork: {error:?}"))?;
    assert_eq!(resolve(&child, at, Access::Write), Err(FaultError::Forbidden));
    assert_eq!(resolve(&child, at + PAGE, Access::Read), Err(FaultError::Forbidden));
    assert_eq!(child.protect(at, 2 * PAGE, READ_WRITE), Ok(()));
    assert_eq!((byte_at(&child, at), byte_at(&child, at + PAGE)), (Some(1), Some(2)));
    Ok(())
}

#[kernel_test]
fn a_fork_has_its_own_break_and_stack() -> Result<(), String> {
    let parent = space()?;
    let start = 0x100_0000;
    parent.set_brk_start(start);
    assert_eq!(parent.brk(start + 2 * PAGE), start + 2 * PAGE);
    let top = parent.map_stack(false).map_err(|_| "no stack")?;
    store(&parent, start, 1)?;
    let child = parent.fork().map_err(|error| alloc::format!("fork: {error:?}"))?;
    assert_eq!(child.brk(0), start + 2 * PAGE);
    assert_eq!(child.brk(start), start);
    assert_eq!((byte_at(&parent, start), byte_at(&child, start)), (Some(1), None));
    assert_eq!(resolve(&child, top - STACK_LIMIT / 2, Access::Write), Ok(()));
    assert_eq!(resolve(&parent, top - PAGE, Access::Read), Ok(()));
    Ok(())
}

#[kernel_test]
fn forks_of_forks_give_everything_back() -> Result<(), String> {
    use machine::mm::{FrameKind, frame};
    let pages = |kind| frame::count(kind);
    let before = (pages(FrameKind::Anonymous), pages(FrameKind::PageTable));
    let mut spaces = Vec::new();
    spaces.push(space()?);
    for shift in 21..46 {
        let at = 1u64 << shift;
        assert_eq!(spaces[0].map(anonymous(Placement::Fixed(at), 1)), Ok(at));
        store(&spaces[0], at, shift as u8)?;
    }
    for generation in 0..8 {
        let child = spaces[generation].fork().map_err(|error| alloc::format!("fork: {error:?}"))?;
        store(&child, 1 << 21, generation as u8)?;
        spaces.push(child);
    }
    assert_eq!(pages(FrameKind::Anonymous) - before.0, 25 + 8, "unwritten pages were copied");
    spaces.drain(..4);
    assert_eq!(byte_at(&spaces[0], 1 << 45), Some(45));
    drop(spaces);
    assert_eq!((pages(FrameKind::Anonymous), pages(FrameKind::PageTable)), before);
    Ok(())
}

#[kernel_test]
fn no_store_of_another_cpu_reaches_a_fork() -> Result<(), String> {
    let parent = space()?;
    let at = 0x50_0000;
    assert_eq!(parent.map(anonymous(Placement::Fixed(at), 8)), Ok(at));
    for page in 0..8 {
        store(&parent, at + page * PAGE, 0)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..machine::cpu::online_count()).map(|_| Writer::start(&parent, at, &stop)).collect();
    let outcome = forks_stay_as_they_are(&parent, at, &writers);
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        while !writer.ended.load(Ordering::SeqCst) {
            crate::sched::sleep(Duration::from_millis(1));
        }
    }
    outcome
}

/// A task that stores to all eight pages at `at` of a space all the time, as a thread of the process would.
struct Writer {
    rounds: AtomicU32,
    ended: AtomicBool,
}

impl Writer {
    fn start(space: &Arc<AddressSpace>, at: u64, stop: &Arc<AtomicBool>) -> Arc<Writer> {
        let writer = Arc::new(Writer { rounds: AtomicU32::new(0), ended: AtomicBool::new(false) });
        let (shared, space, stop) = (writer.clone(), space.clone(), stop.clone());
        let started = crate::sched::spawn("writer", move || {
            machine::task::current().set_space(Some(space.tables().clone()));
            while !stop.load(Ordering::SeqCst) {
                let round = shared.rounds.fetch_add(1, Ordering::Relaxed);
                for page in 0..8 {
                    while machine::user::copy::write(at + page * PAGE, &round.to_le_bytes()).is_err() {
                        // This task has no process, so that its faults come back.
                        let _ = resolve(&space, at + page * PAGE, Access::Write);
                    }
                }
            }
            machine::task::current().set_space(None);
            shared.ended.store(true, Ordering::SeqCst);
        });
        if started.is_err() {
            writer.ended.store(true, Ordering::SeqCst);
        }
        writer
    }
}

fn forks_stay_as_they_are(parent: &AddressSpace, at: u64, writers: &[Arc<Writer>]) -> Result<(), String> {
    for number in 0..100 {
        let child = parent.fork().map_err(|error| alloc::format!("fork {number}: {error:?}"))?;
        let words = |space: &AddressSpace| {
            let read = |page: u64| {
                let mut word = [0; 4];
                space.mapping(at + page * PAGE)?.frame.read(0, &mut word);
                Some(word)
            };
            (0..8).map(read).collect::<Vec<_>>()
        };
        let before = words(&child);
        let rounds = writers[0].rounds.load(Ordering::Relaxed);
        let deadline = machine::time::now() + Duration::from_secs(30);
        while writers[0].rounds.load(Ordering::Relaxed) < rounds + 2 && machine::time::now() < deadline {
            crate::sched::yield_now();
        }
        assert_eq!(words(&child), before, "fork {number}: a store of the parent reached the child");
    }
    Ok(())
}
