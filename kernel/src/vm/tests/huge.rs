//! Large pages: counted, cut, and given back, also when no memory is left.

use super::super::{Advice, AreaFlags};
use super::shortage::Hoard;
use super::*;
use machine::addr::HUGE_PAGE_SIZE;
use machine::mm::{FrameKind, frame, huge_pages};

const LEN: u64 = HUGE_PAGE_SIZE as u64;
const AT: u64 = 16 * LEN;
const PAGES: usize = HUGE_PAGE_SIZE / PAGE_SIZE;

/// A space with an area of `count` large pages at [`AT`], if they are to be had, with its first byte stored to.
fn with_area(count: u64) -> Result<Arc<AddressSpace>, String> {
    let space = space()?;
    let request = anonymous(Placement::Fixed(AT), count * LEN / PAGE);
    assert_eq!(space.map_as(request, AreaFlags::LARGE_PAGES), Ok(AT));
    store(&space, AT, 1)?;
    Ok(space)
}

fn is_huge(space: &AddressSpace, address: u64) -> Option<bool> {
    Some(space.mapping(address)?.huge)
}

#[kernel_test]
fn a_large_page_is_counted_and_cut() -> Result<(), String> {
    let space = with_area(2)?;
    let tables = frame::count(FrameKind::PageTable);
    assert_eq!((space.resident_pages(), is_huge(&space, AT + LEN - 1)), (PAGES, Some(true)));
    assert_eq!(byte_at(&space, AT + LEN - PAGE), Some(0));
    store(&space, AT + 7 * PAGE, 7)?;
    assert_eq!(space.unmap(AT + PAGE, PAGE), Ok(()));
    assert_eq!((space.resident_pages(), is_huge(&space, AT)), (PAGES - 1, Some(false)));
    assert_eq!((byte_at(&space, AT + 7 * PAGE), byte_at(&space, AT + PAGE)), (Some(7), None));
    assert_eq!(frame::count(FrameKind::PageTable), tables, "a cut takes the table that was put by");
    // The hole keeps the other pages from becoming one again, but not from being protected, page by page.
    assert_eq!(space.protect(AT + 7 * PAGE, PAGE, READ), Ok(()));
    assert_eq!(resolve(&space, AT + 7 * PAGE, Access::Write), Err(FaultError::Forbidden));
    assert_eq!(space.unmap(AT, LEN), Ok(()));
    assert_eq!(space.resident_pages(), 0);
    Ok(())
}

#[kernel_test]
fn a_large_page_stays_one_while_all_of_it_is_treated_alike() -> Result<(), String> {
    let space = with_area(2)?;
    assert_eq!(space.protect(AT, 2 * LEN, READ), Ok(()));
    assert_eq!(resolve(&space, AT, Access::Write), Err(FaultError::Forbidden));
    assert_eq!(space.protect(AT, 2 * LEN, READ_WRITE), Ok(()));
    store(&space, AT + 9 * PAGE, 9)?;
    assert_eq!((is_huge(&space, AT), byte_at(&space, AT)), (Some(true), Some(1)));
    // An edge of an area within it: a part may then be another's.
    assert_eq!(space.protect(AT, PAGE, Protection::default()), Ok(()));
    assert_eq!((is_huge(&space, AT + PAGE), space.resident_pages()), (Some(false), PAGES));
    assert_eq!(space.advise(AT, 2 * LEN, Advice::DontNeed), Ok(()));
    assert_eq!(space.resident_pages(), 0);
    Ok(())
}

#[kernel_test]
fn a_fork_cuts_large_pages() -> Result<(), String> {
    let parent = with_area(1)?;
    let child = parent.fork().map_err(|error| alloc::format!("fork: {error:?}"))?;
    store(&child, AT, 2)?;
    store(&parent, AT + PAGE, 3)?;
    assert_eq!((byte_at(&parent, AT), byte_at(&child, AT), byte_at(&child, AT + PAGE)), (Some(1), Some(2), Some(0)));
    assert_eq!((parent.resident_pages(), child.resident_pages()), (PAGES, PAGES));
    // Each may have its own large page again.
    assert_eq!(child.advise(AT, LEN, Advice::Collapse), Ok(()));
    assert_eq!((is_huge(&child, AT), byte_at(&child, AT), byte_at(&child, AT + PAGE)), (Some(true), Some(2), Some(0)));
    assert_eq!(
        (is_huge(&parent, AT), byte_at(&parent, AT), byte_at(&parent, AT + PAGE)),
        (Some(false), Some(1), Some(3))
    );
    Ok(())
}

#[kernel_test]
fn a_page_in_use_does_not_collapse() -> Result<(), String> {
    let space = space()?;
    assert_eq!(space.map(anonymous(Placement::Fixed(AT), 2 * LEN / PAGE)), Ok(AT));
    store(&space, AT + LEN, 4)?;
    assert_eq!(
        (space.resident_pages(), is_huge(&space, AT + LEN)),
        (1, Some(false)),
        "nobody has asked for large pages"
    );
    let held = space.mapping(AT + LEN);
    assert_eq!(space.advise(AT, 2 * LEN, Advice::Collapse), Err(Errno::EAGAIN));
    drop(held);
    assert_eq!(space.advise(AT, 2 * LEN, Advice::Collapse), Ok(()));
    assert_eq!((space.resident_pages(), byte_at(&space, AT + LEN)), (2 * PAGES, Some(4)));
    // One who holds a page of it keeps that page alone.
    let held = space.mapping(AT + LEN).ok_or("the page is gone")?;
    let before = frame::count(FrameKind::Anonymous);
    assert_eq!(space.unmap(AT, 2 * LEN), Ok(()));
    assert_eq!((held.frame.kind(), held.frame.references()), (FrameKind::Anonymous, 1));
    assert_eq!(before - frame::count(FrameKind::Anonymous), 2 * PAGES - 1);
    Ok(())
}

#[kernel_test]
fn without_memory_pages_are_small_and_large_ones_can_be_cut() -> Result<(), String> {
    let space = with_area(2)?;
    let large = huge_pages();
    let mut hoard = Hoard::take_all()?;
    let cut = space.unmap(AT + LEN - PAGE, PAGE);
    // The one page that came free, and two for a table.
    let released = hoard.release() && hoard.release();
    let stored = resolve(&space, AT + LEN, Access::Write);
    drop(hoard);
    assert_eq!((cut, released, stored), (Ok(()), true, Ok(())));
    assert_eq!((space.resident_pages(), is_huge(&space, AT + LEN)), (PAGES, Some(false)));
    assert_eq!(large - huge_pages(), 1);
    Ok(())
}
