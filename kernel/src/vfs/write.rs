//! Writing to the pages of a regular file.
//!
//! Bytes are put into the pages first and become part of the file then, a piece at a time: a source that fails half-way, or
//! a device without room, leaves what came before.

use super::Result;
use super::flags::OFFSET_MAX;
use super::inode::Inode;
use super::page_cache::PageCache;
use super::transfer::Source;
use abi::Errno;
use machine::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;
/// Bytes of a write that become part of the file together.
const WRITE_AT_ONCE: u64 = 32 * PAGE;

/// Moves all of `source` into the pages from `start` on, but not from `limit` on: the bytes that have become part of the
/// file, and what stopped it.
/// The caller holds the writer lock.
pub(super) fn write_pages(
    inode: &dyn Inode,
    pages: &PageCache,
    start: u64,
    limit: u64,
    source: &mut dyn Source,
) -> (usize, Result<()>) {
    let (mut at, limit) = (start, limit.min(OFFSET_MAX));
    let size = inode.size();
    if source.remaining() > 0 && start.saturating_add(source.remaining() as u64) > size {
        pages.extend(size);
    }
    while source.remaining() > 0 {
        // Of what is here nothing waits to become part of the file.
        pages.make_room_as_writer();
        let end = at.saturating_add(source.remaining() as u64).min(at - at % PAGE + WRITE_AT_ONCE).min(limit);
        let checked = if end <= at { Err(Errno::EFBIG) } else { inode.check_write(at, end) };
        let end = match checked {
            Ok(end) => end,
            Err(error) => return ((at - start) as usize, Err(error)),
        };
        let (reached, result) = fill_pages(pages, at, end, source);
        if reached > at {
            if let Err(error) = inode.wrote(at, reached) {
                return ((at - start) as usize, Err(error));
            }
            at = reached;
        }
        if result.is_err() || reached < end {
            return ((at - start) as usize, result);
        }
    }
    ((at - start) as usize, Ok(()))
}

/// Moves bytes of `source` into the pages of `at .. end`: how far it came.
fn fill_pages(pages: &PageCache, mut at: u64, end: u64, source: &mut dyn Source) -> (u64, Result<()>) {
    while at < end {
        let within = (at % PAGE) as usize;
        let len = (PAGE_SIZE - within).min((end - at) as usize);
        // A page that is overwritten whole is read all the same if the source may fail half-way: what it held must stay.
        let frame = match pages.page(at / PAGE) {
            Ok(frame) => frame,
            Err(error) => return (at, Err(error)),
        };
        let before = source.remaining();
        let result = source.take_into_frame(&frame, within, len);
        at += (before - source.remaining()) as u64;
        match result {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}
