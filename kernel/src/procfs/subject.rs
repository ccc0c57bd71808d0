//! From a file's subject to the process or thread that it is about, and whether the current task may look into it.

use crate::process::{self, Process, Thread, current_thread};
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{Location, Result};
use abi::Errno;
use alloc::sync::Arc;

/// The process that a file is about; ESRCH once its status has been taken.
pub(super) fn process(subject: Subject) -> Result<Arc<Process>> {
    let found = process::find(subject.object as u32);
    found.filter(|process| process.started().as_ns() == subject.stamp).ok_or(Errno::ESRCH)
}

/// The thread that a file is about; of a whole process its first one, None if that has ended.
pub(super) fn thread(process: &Process, subject: Subject) -> Result<Option<Arc<Thread>>> {
    match subject.part {
        0 => Ok(process.leader()),
        tid => process.thread(tid).ok_or(Errno::ESRCH).map(Some),
    }
}

/// ENOENT if the process or thread is no more. EACCES for what is private, unless it belongs to the current process, or
/// that may look into it.
pub(super) fn check(subject: Subject, private: bool) -> Result<()> {
    let process = process(subject).map_err(|_| Errno::ENOENT)?;
    thread(&process, subject).map_err(|_| Errno::ENOENT)?;
    if private && !may_inspect(&process) { Err(Errno::EACCES) } else { Ok(()) }
}

/// Whether the current task may look into `process`. The kernel itself may.
pub(super) fn may_inspect(process: &Process) -> bool {
    current_thread().is_none_or(|thread| {
        let own = thread.process();
        own.pid() == process.pid() || own.credentials().may_inspect(&process.credentials(), process.is_dumpable())
    })
}

/// What a link to a place shows; with the bytes of `special` in octal.
pub(super) fn put_path(place: &Location, special: &[u8], text: &mut Text) {
    text.escaped(&place.path(), special);
    if place.is_removed() {
        text.put(b" (deleted)");
    }
}
