//! When to read pages before they are asked for.
//!
//! A file read from one page to the next gets a window ahead of the reader that doubles up to [`MOST`] pages; the next
//! window is started when the reader is half-way through the last, so that the device works while the reader does. A
//! jump starts anew with nothing ahead. One state per open file, under its own lock (rank File).

use super::page_cache::BATCH_PAGES;

/// First window after the start or a jump that turned out to be the start of a run, in pages.
const LEAST: u64 = 4;
/// Largest window in pages.
const MOST: u64 = BATCH_PAGES as u64;

/// What an open file has been read by.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// The page after the last one read.
    expected: u64,
    /// Pages of the current window.
    window: u64,
    /// Page up to which reading has been started.
    started: u64,
}

impl ReadAhead {
    /// The pages up to `page` have been read, more than the one that [`ReadAhead::next`] was told of.
    pub fn went_on(&mut self, page: u64) {
        self.expected = page;
    }

    /// `page` is about to be read, the first of `count` wanted, in a file of `end` pages: what to start reading, as first
    /// page and number of pages.
    pub fn next(&mut self, page: u64, count: u64, end: u64) -> Option<(u64, usize)> {
        let sequential = page == self.expected || page + 1 == self.expected;
        self.expected = page + 1;
        if !sequential {
            // As much as this one read wants, nothing ahead.
            self.window = 0;
            self.started = page + count.min(MOST);
            return (count > 1).then(|| (page, count.min(MOST).min(end.saturating_sub(page)) as usize));
        }
        if page + self.window / 2 < self.started {
            return None;
        }
        self.window = (self.window * 2).max(count).clamp(LEAST, MOST);
        let first = self.started.max(page);
        self.started = (first + self.window).min(end);
        (self.started > first).then(|| (first, (self.started - first) as usize))
    }
}
