//! Processes whose system calls are shown as they go (`trace exec`): where the lines go, and what else there is to show.
//!
//! A process has its [`Watcher`] for good, its children have the same. Lines are written by the threads themselves, with no
//! lock held.

use super::{ExitStatus, Process, Thread};
use abi::Signal;
use abi::sigframe::KernelSiginfo;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// What takes the lines.
type Sink = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Where the lines of some processes go.
pub struct Watcher {
    write: Sink,
    /// There has been more than one thread, so each line says whose it is.
    several: AtomicBool,
}

impl Watcher {
    /// A watcher that calls `write` with whole lines.
    pub fn new(write: Sink) -> Arc<Watcher> {
        Arc::new(Watcher { write, several: AtomicBool::new(false) })
    }

    /// Writes a line about the thread.
    pub fn line(&self, thread: &Thread, text: fmt::Arguments<'_>) {
        let line = if self.several.load(Ordering::Relaxed) {
            format!("[pid {}] {text}\n", thread.tid())
        } else {
            format!("{text}\n")
        };
        (self.write)(line.as_bytes());
    }
}

impl Process {
    /// Who is told of its system calls.
    pub fn watcher(&self) -> Option<&Arc<Watcher>> {
        self.watcher.get()
    }

    /// Lets `watcher` be told, unless another one is. Before it runs.
    pub fn watch(&self, watcher: Arc<Watcher>) {
        self.watcher.call_once(|| watcher);
    }
}

impl Thread {
    /// Makes `thread`, which this one has made and which does not run yet, as watched as this one is.
    pub(super) fn pass_watcher_on(&self, thread: &Thread) {
        if let Some(watcher) = self.process().watcher() {
            watcher.several.store(true, Ordering::Relaxed);
            thread.process().watch(watcher.clone());
        }
    }

    /// Keeps the begin of the line about the system call that it makes. By the thread itself.
    pub fn keep_call_line(&self, line: String) {
        let old = core::mem::replace(&mut *self.call_line.lock(), line);
        drop(old);
    }

    /// Takes that; empty if there is none.
    pub fn take_call_line(&self) -> String {
        core::mem::take(&mut *self.call_line.lock())
    }

    /// Shows a signal that it takes.
    #[cold]
    pub(super) fn show_signal(&self, signal: Signal, info: &KernelSiginfo) {
        let Some(watcher) = self.process().watcher() else { return };
        let first = info.fields[0];
        let code = info.si_code;
        match signal {
            Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGFPE | Signal::SIGILL if code > 0 => {
                watcher.line(self, format_args!("--- {signal} {{si_code={code}, si_addr={first:#x}}} ---"));
            }
            _ => watcher.line(self, format_args!("--- {signal} {{si_code={code}, si_pid={}}} ---", first as u32)),
        }
    }

    /// Shows its end; `status` if its process ends with it.
    #[cold]
    pub(super) fn show_end(&self, status: Option<ExitStatus>) {
        let Some(watcher) = self.process().watcher() else { return };
        let line = self.take_call_line();
        if !line.is_empty() {
            watcher.line(self, format_args!("{line} = ?"));
        }
        match status {
            Some(ExitStatus::Exited(code)) => watcher.line(self, format_args!("+++ exited with {code} +++")),
            Some(ExitStatus::Killed(signal)) => watcher.line(self, format_args!("+++ killed by {signal} +++")),
            None => watcher.line(self, format_args!("+++ thread ended +++")),
        }
    }
}
