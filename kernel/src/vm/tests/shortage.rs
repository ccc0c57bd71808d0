//! What happens when memory runs out half-way: an error, and everything as it was.

use super::super::RemapRequest;
use super::*;
use machine::mm::{Frame, FrameKind, frame};

/// Far-apart pages, each of which needs page tables of its own.
const SHIFTS: core::ops::Range<u32> = 24..46;

/// All the frames that programs may have.
pub(super) struct Hoard {
    frames: Vec<Vec<Frame>>,
}

impl Hoard {
    pub(super) fn take_all() -> Result<Hoard, String> {
        const PART: usize = 1 << 16;
        let mut hoard = Hoard { frames: Vec::new() };
        loop {
            let mut part = Vec::new();
            part.try_reserve_exact(PART).map_err(|_| "no memory for the hoard")?;
            while part.len() < PART
                && let Ok(frame) = Frame::allocate(FrameKind::Anonymous)
            {
                part.push(frame);
            }
            let full = part.len() == PART;
            hoard.frames.push(part);
            if !full {
                return Ok(hoard);
            }
        }
    }

    /// Gives one frame back; false if there is none.
    pub(super) fn release(&mut self) -> bool {
        while self.frames.last().is_some_and(Vec::is_empty) {
            self.frames.pop();
        }
        self.frames.last_mut().and_then(Vec::pop).is_some()
    }
}

/// A space with a page at each of the far-apart places, that has the shift as its first byte.
fn scattered() -> Result<Arc<AddressSpace>, String> {
    let space = space()?;
    for shift in SHIFTS {
        assert_eq!(space.map(anonymous(Placement::Fixed(1 << shift), 1)), Ok(1 << shift));
        store(&space, 1 << shift, shift as u8)?;
    }
    Ok(space)
}

fn intact(space: &AddressSpace) -> bool {
    SHIFTS.into_iter().all(|shift| byte_at(space, 1 << shift) == Some(shift as u8))
}

/// Tries until it works, with one frame more each time; how often it failed. Each failure must be ENOMEM and leave
/// neither a page table more nor a page other than before.
fn with_more_each_time<T>(
    space: &AddressSpace,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> Result<(T, usize), String> {
    let tables = frame::count(FrameKind::PageTable);
    let mut hoard = Hoard::take_all()?;
    let mut failures = 0;
    loop {
        match attempt() {
            Ok(done) => return Ok((done, failures)),
            Err(error) => assert_eq!(error, Errno::ENOMEM),
        }
        failures += 1;
        assert!(intact(space), "attempt {failures} changed a page");
        assert_eq!(frame::count(FrameKind::PageTable), tables, "attempt {failures} left page tables behind");
        if !hoard.release() {
            return Err("it fails with all memory free".into());
        }
    }
}

#[kernel_test]
fn a_fork_without_memory_leaves_the_parent_whole() -> Result<(), String> {
    let parent = scattered()?;
    let (child, failures) = with_more_each_time(&parent, || parent.fork())?;
    // A page table at least for each page, and the root.
    assert!(failures > SHIFTS.len(), "a fork got by with {failures} frames");
    assert!(intact(&child));
    drop(child);
    // Nobody else has the pages now: a store needs no copy.
    for shift in SHIFTS {
        let before = parent.mapping(1 << shift).map(|mapping| mapping.frame.address());
        store(&parent, 1 << shift, shift as u8)?;
        assert_eq!(parent.mapping(1 << shift).map(|mapping| mapping.frame.address()), before);
    }
    Ok(())
}

#[kernel_test]
fn a_move_without_memory_leaves_everything_in_place() -> Result<(), String> {
    // Over the edge of what a lowest page table spans, to where two tables and those above them have to be made.
    const LEN: u64 = 4 * PAGE;
    let space = scattered()?;
    let (from, to) = ((3 << 21) - 2 * PAGE, (5 << 39) + (1 << 21) - 3 * PAGE);
    assert_eq!(space.map(anonymous(Placement::Fixed(from), LEN / PAGE)), Ok(from));
    for page in 0..4 {
        store(&space, from + page * PAGE, 70 + page as u8)?;
    }
    let bytes = |at: u64| (0..4).map(|page| byte_at(&space, at + page * PAGE)).collect::<Vec<_>>();
    let whole = [Some(70), Some(71), Some(72), Some(73)];
    let request =
        RemapRequest { start: from, len: LEN, new_len: LEN, may_move: true, fixed: Some(to), keep_old: false };
    let before = areas(&space);
    let (at, failures) = with_more_each_time(&space, || {
        let moved = space.remap(request);
        if moved.is_err() {
            assert_eq!((areas(&space), bytes(from)), (before.clone(), whole.to_vec()));
        }
        moved
    })?;
    assert_eq!((at, bytes(to)), (to, whole.to_vec()));
    assert!(failures >= 2, "tables were made of nothing");
    assert_eq!(resolve(&space, from, Access::Read), Err(FaultError::NotMapped));
    Ok(())
}

#[kernel_test]
fn a_fault_without_memory_says_so() -> Result<(), String> {
    let space = scattered()?;
    let at = (1 << 24) + PAGE;
    assert_eq!(space.map(anonymous(Placement::Fixed(at), 1)), Ok(at));
    let hoard = Hoard::take_all()?;
    // The caches may give up pages that nobody uses: as long as that helps, the store works.
    let mut outcome = resolve(&space, at, Access::Write);
    let mut kept = Vec::new();
    while outcome.is_ok() && kept.len() < 1 << 16 {
        kept.extend(space.mapping(at).map(|mapping| mapping.frame));
        assert_eq!(space.advise(at, PAGE, super::super::Advice::DontNeed), Ok(()));
        while let Ok(frame) = Frame::allocate(FrameKind::Anonymous) {
            kept.push(frame);
        }
        outcome = resolve(&space, at, Access::Write);
    }
    assert_eq!(outcome, Err(FaultError::OutOfMemory));
    drop((hoard, kept));
    assert_eq!(resolve(&space, at, Access::Write), Ok(()));
    Ok(())
}
