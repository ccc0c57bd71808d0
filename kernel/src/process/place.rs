//! User addresses for people: the file that is mapped there, and how far into it. Also for panics: nothing here waits.

use super::Thread;
use crate::sched;
use core::fmt::Write;
use machine::task::Task;

/// Writes `libc.so.6+0x1234` if a file is mapped at `address` of the task's process; false if that is not so, or cannot
/// be told without waiting.
pub fn write_user_place(task: &Task, address: u64, out: &mut dyn Write) -> bool {
    let Some(thread) = sched::data(task).thread().and_then(|thread| thread.downcast::<Thread>().ok()) else {
        return false;
    };
    let space = thread.process.space.try_lock().and_then(|space| space.clone());
    let written = space.as_ref().is_some_and(|space| space.write_place(address, out));
    if machine::panic::panicking() {
        // Nothing is freed any more.
        core::mem::forget((thread, space));
    }
    written
}
