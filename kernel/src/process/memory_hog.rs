//! Out of memory: the process with the most pages is ended, so that the rest can go on.

use super::{ExitStatus, Process, table};
use abi::Signal;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use core::time::Duration;
use machine::mm::frame;
use machine::time;

/// The `oom_score_adj` of a process that is never ended.
pub const OOM_SCORE_ADJ_MIN: i32 = -1000;

/// How long a thread waits for the memory of the process that was ended, before it asks again.
const PATIENCE: Duration = Duration::from_millis(200);

/// Ends the process with the most memory and waits a little for what it had. False if there is none to end.
pub fn free_some() -> bool {
    let Some((victim, pages)) = biggest() else { return false };
    if !victim.is_ending() {
        log::error!(
            "out of memory: killed process {} ({}), which had {} KiB",
            victim.pid(),
            victim.executable().escape_ascii(),
            pages * 4
        );
        victim.exit(ExitStatus::Killed(Signal::SIGKILL));
    }
    let deadline = time::now() + PATIENCE;
    let gone = || victim.is_gone().then_some(());
    // Whether it is gone or not, the caller looks for memory again; if it is the victim itself, it ends.
    let _ = victim.thread_ended.wait_until(Some(deadline), super::ending, gone);
    true
}

/// The process with the most pages that are its own; init is spared, and whom its `oom_score_adj` excepts.
fn biggest() -> Option<(Arc<Process>, usize)> {
    let processes = table::all_but(&[table::INIT]);
    let sized = processes.into_iter().filter_map(|process| {
        let pages = process.try_space()?.resident_pages();
        Some((badness(&process)?, process, pages))
    });
    sized.max_by_key(|&(badness, ..)| badness).map(|(_, process, pages)| (process, pages))
}

/// How much the end of the process would help, in pages, shifted by `oom_score_adj` thousandths of the memory; None if it
/// is not to be ended (proc(5)).
pub fn badness(process: &Process) -> Option<i64> {
    match process.oom_score_adj.load(Ordering::Relaxed) {
        OOM_SCORE_ADJ_MIN => None,
        adjustment => {
            let pages = process.try_space()?.resident_pages() as i64;
            Some(pages + i64::from(adjustment) * frame::total() as i64 / 1000)
        }
    }
}
