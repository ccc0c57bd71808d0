//! The page cache against a backing that counts, delays and fails.

use super::super::page_cache::{BATCH_PAGES, Backing, PageCache};
use super::super::read_ahead::ReadAhead;
use super::super::reclaim::Reclaimable;
use super::{TestResult, fails, same};
use crate::block::Completion;
use crate::sched;
use abi::Errno;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use machine::PAGE_SIZE;
use machine::mm::Frame;
use macros::kernel_test;

const PAGES: usize = 64;
const BAD_PAGE: u64 = 40;
/// The file ends within its last page.
const LEN_BYTES: u64 = (PAGES * PAGE_SIZE) as u64 - 100;

/// Pages full of their own number; one of them cannot be read. Each read takes a while.
struct Slow {
    reads: Arc<[AtomicU32; PAGES]>,
}

impl Backing for Slow {
    fn len_bytes(&self) -> u64 {
        LEN_BYTES
    }

    fn start_read(&self, first: u64, frames: &[Frame], completion: &Arc<Completion>) -> super::super::Result<()> {
        completion.add();
        let (frames, completion, reads) = (frames.to_vec(), completion.clone(), self.reads.clone());
        let work = move || {
            sched::sleep(Duration::from_millis(5));
            let mut good = true;
            for (index, frame) in (first..).zip(&frames) {
                reads[index as usize].fetch_add(1, Ordering::Relaxed);
                frame.write(0, &[index as u8; PAGE_SIZE]);
                good &= index != BAD_PAGE;
            }
            drop(frames);
            completion.end(good);
        };
        sched::spawn("slow disk", work).map(|_| ()).map_err(|_| Errno::ENOMEM)
    }
}

fn slow_cache() -> (Arc<PageCache>, Arc<[AtomicU32; PAGES]>) {
    let reads = Arc::new([const { AtomicU32::new(0) }; PAGES]);
    (PageCache::new(Box::new(Slow { reads: reads.clone() })), reads)
}

fn holds(frame: &Frame, byte: u8) -> bool {
    let mut content = [0; PAGE_SIZE];
    frame.read(0, &mut content);
    content.iter().all(|&found| found == byte)
}

#[kernel_test]
fn a_page_is_read_once_however_many_ask() -> TestResult {
    let (cache, reads) = slow_cache();
    let (all, wrong) = (Completion::new(), Arc::new(AtomicU32::new(0)));
    for reader in 0..8u64 {
        let (cache, done, wrong) = (cache.clone(), all.clone(), wrong.clone());
        all.add();
        let work = move || {
            for step in 0..32 {
                // Half of them go forwards, half backwards, so that they meet.
                let index = if reader % 2 == 0 { step } else { 31 - step };
                if step % 8 == 0 {
                    cache.read_ahead(index, 8);
                }
                match cache.page(index) {
                    Ok(frame) if holds(&frame, index as u8) => {}
                    _ => {
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            drop(cache);
            done.end(true);
        };
        sched::spawn("page reader", work).map_err(|_| "no memory for a task")?;
    }
    all.all_started(true);
    all.wait().map_err(|_| "a reader failed")?;
    same("wrong pages", wrong.load(Ordering::Relaxed), 0)?;
    let counts: Vec<u32> = reads[..32].iter().map(|count| count.load(Ordering::Relaxed)).collect();
    same("reads of each page", counts, alloc::vec![1; 32])
}

#[kernel_test]
fn a_bad_page_costs_no_neighbour() -> TestResult {
    let (cache, reads) = slow_cache();
    cache.read_ahead(BAD_PAGE - 4, 8);
    for index in BAD_PAGE - 4..BAD_PAGE + 4 {
        match cache.page(index) {
            Err(error) if index == BAD_PAGE => same("bad page", error, Errno::EIO)?,
            Ok(frame) if index != BAD_PAGE => same("good page", holds(&frame, index as u8), true)?,
            Ok(_) => return Err(String::from("the bad page was read")),
            Err(error) => return Err(format!("page {index}: {}", error.name())),
        }
    }
    let before = reads[BAD_PAGE as usize].load(Ordering::Relaxed);
    fails("bad page again", cache.page(BAD_PAGE), Errno::EIO)?;
    same("tried again", reads[BAD_PAGE as usize].load(Ordering::Relaxed), before + 1)
}

#[kernel_test]
fn bytes_behind_the_end_are_zero() -> TestResult {
    let (cache, _) = slow_cache();
    let last = cache.page(PAGES as u64 - 1).map_err(|error| error.name())?;
    let mut content = [0; PAGE_SIZE];
    last.read(0, &mut content);
    same("stored", content[..PAGE_SIZE - 100].iter().all(|&byte| byte == PAGES as u8 - 1), true)?;
    same("behind", content[PAGE_SIZE - 100..].iter().all(|&byte| byte == 0), true)
}

#[kernel_test]
fn unused_pages_are_given_up_and_used_ones_kept() -> TestResult {
    let (cache, reads) = slow_cache();
    cache.read_ahead(0, 16);
    let held = cache.page(3).map_err(|error| error.name())?;
    for index in 0..16 {
        cache.page(index).map_err(|error| error.name())?;
    }
    same("second chance", cache.evict(16, PAGES), 0)?;
    same("given up", cache.evict(16, PAGES), 15)?;
    same("kept", cache.len(), 1)?;
    same("held page", holds(&held, 3), true)?;
    cache.page(3).map_err(|error| error.name())?;
    cache.page(4).map_err(|error| error.name())?;
    let count = |page: usize| reads[page].load(Ordering::Relaxed);
    same("reads of the kept and of a given up page", (count(3), count(4)), (1, 2))
}

#[kernel_test]
fn read_ahead_grows_and_starts_anew() -> TestResult {
    let mut state = ReadAhead::default();
    let mut started = Vec::new();
    for page in 0..100 {
        started.extend(state.next(page, 1, 100));
    }
    let covered: usize = started.iter().map(|&(_, count)| count).sum();
    same("pages started in all", covered, 100)?;
    let gapless = started.windows(2).all(|pair| pair[0].0 + pair[0].1 as u64 == pair[1].0);
    same("one after the other", gapless, true)?;
    same("first window", started[0], (0, 4))?;
    same("largest window", started.iter().map(|&(_, count)| count).max(), Some(BATCH_PAGES))?;
    same("a jump", state.next(50, 1, 100), None)?;
    same("a jump for much", state.next(10, 5, 100), Some((10, 5)))
}
