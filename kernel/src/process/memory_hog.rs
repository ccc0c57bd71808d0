//! Out of memory: the process with the most pages is ended, so that the rest can go on.

use super::{ExitStatus, Process, table};
use abi::Signal;
use alloc::sync::Arc;
use core::time::Duration;
use machine::time;

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

/// The process with the most pages that are its own; init is spared.
fn biggest() -> Option<(Arc<Process>, usize)> {
    let processes = table::all_but(&[table::INIT]);
    let sized = processes.into_iter().filter_map(|process| {
        let pages = process.try_space()?.resident_pages();
        Some((process, pages))
    });
    sized.max_by_key(|&(_, pages)| pages)
}
