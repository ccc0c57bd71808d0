//! System calls in the event trace.
//!
//! The user loop has one place where it looks whether calls are traced: before a call. The end of one that is traced is
//! noted where the thread attends to what else there is to do before user mode, so that calls that are not traced pay for
//! one look alone.

use super::Thread;
use super::thread::NO_CALL;
use core::sync::atomic::Ordering;
use klib::trace::Event;
use machine::trace;
use machine::user::UserContext;

impl Thread {
    /// Notes that a system call begins, and sees to it that [`Thread::trace_return`] is called. By the thread itself.
    #[cold]
    #[inline(never)]
    pub fn trace_call(&self, context: &UserContext) {
        let (number, [first, second, ..]) = (context.syscall_number() as u32, context.syscall_arguments());
        trace::note(Event::Call { number, arguments: [first, second] });
        self.traced_call.store(number, Ordering::Relaxed);
        self.attention.store(true, Ordering::SeqCst);
    }

    /// Notes the end of the system call whose begin was noted, if one was: its number. By the thread itself.
    #[cold]
    #[inline(never)]
    pub fn trace_return(&self, context: &UserContext) -> Option<u32> {
        let number = self.traced_call.swap(NO_CALL, Ordering::Relaxed);
        if number == NO_CALL {
            return None;
        }
        trace::note(Event::Return { number, result: context.result() });
        Some(number)
    }
}
