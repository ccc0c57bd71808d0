//! Stops of a traced thread, in its own context: where it stops, what it shows, and how it goes on.

use crate::process::clone::CloneRequest;
use crate::process::deliver::{Interrupted, Restart};
use crate::process::signal::flags;
use crate::process::tracee::{CALLS, KILLED, Place, SEIZED, STEPS, STOP_TOLD, Stop, TRACED, TRAP, TRAP_FLAG, Tracee};
use crate::process::{Process, Thread, wait};
use abi::process::CloneFlags;
use abi::ptrace::{
    Options, PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC, PTRACE_EVENT_EXIT, PTRACE_EVENT_FORK, PTRACE_EVENT_STOP,
    PTRACE_EVENT_VFORK, PTRACE_EVENT_VFORK_DONE, UserRegs,
};
use abi::sigframe::{CLD_STOPPED, CLD_TRAPPED, KernelSiginfo, SI_USER, TRAP_BRKPT};
use abi::signal::SaFlags;
use abi::{Errno, Signal};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use machine::cpu::gdt::{USER_CODE, USER_DATA};
use machine::task;
use machine::user::UserContext;

/// What bit 7 beside SIGTRAP says: a system call (PTRACE_O_TRACESYSGOOD).
const GOOD: u32 = 0x80;
/// As number of a system call: none.
const NO_CALL: u64 = u64::MAX;
const FLAG_TRAP: u64 = 1 << 8;
/// What a call shows as its result that begins again (Linux's `ERESTARTSYS`, `ERESTARTNOINTR`, `ERESTARTNOHAND`,
/// `ERESTART_RESTARTBLOCK`).
const RESTARTS: [(u64, Restart); 4] = [
    (512, Restart::AfterHandler),
    (513, Restart::Always),
    (514, Restart::WithoutHandler),
    (RESTART_BLOCK, Restart::WithoutHandler),
];
const RESTART_BLOCK: u64 = 516;
/// Calls that then go on with what is left of their time: poll nanosleep futex clock_nanosleep
const KEEP_DEADLINES: [u64; 4] = [7, 35, 202, 230];

/// A stop that is to be.
struct Reason {
    code: u32,
    place: Place,
    info: Option<KernelSiginfo>,
}

/// How the tracer let the thread go on.
struct After {
    signal: Option<Signal>,
    info: Option<KernelSiginfo>,
    /// As the tracer left it.
    orig_rax: u64,
}

impl Reason {
    /// An event that is no signal's.
    fn event(event: u32, place: Place) -> Reason {
        Reason::of_code(u32::from(Signal::SIGTRAP.number()) | event << 8, place)
    }

    /// A stop that stands for SIGTRAP.
    fn of_code(code: u32, place: Place) -> Reason {
        let mut info = KernelSiginfo::kernel(Signal::SIGTRAP);
        info.si_code = code as i32;
        Reason { code, place, info: Some(info) }
    }
}

impl Tracee {
    /// What a wait finds: the code of a stop that was not told.
    pub(super) fn take_stop(&self, keep: bool) -> Option<u32> {
        let mut state = self.state.lock();
        let stop = state.stop.as_mut().filter(|stop| !stop.told && stop.go_on.is_none())?;
        stop.told = !keep;
        Some(stop.code)
    }

    fn wants(&self, option: Options) -> bool {
        self.state.lock().options.is_some_and(|options| options.contains(option))
    }
}

impl Thread {
    /// Stops for the tracer until that lets the thread go on. None if nobody traces it any more, or it was killed.
    #[cold]
    #[inline(never)]
    fn trace_stop(self: &Arc<Self>, context: &mut UserContext, shown_rax: u64, reason: Reason) -> Option<After> {
        context.set_result(shown_rax);
        let tracee = self.tracee()?;
        let registers = registers_of(context, tracee.call.get().unwrap_or(NO_CALL));
        let stop = Box::new(Stop {
            code: reason.code,
            place: reason.place,
            registers,
            fpu: task::current().fpu(),
            debug: task::current().debug_registers(),
            info: reason.info,
            changed: false,
            fpu_changed: false,
            debug_changed: false,
            told: false,
            listens: false,
            go_on: None,
        });
        let tracer = {
            let mut state = tracee.state.lock();
            let tracer = state.tracer.upgrade().filter(|_| !tracee.has(KILLED))?;
            state.stop = Some(stop);
            tracer
        };
        self.tell_tracer(&tracer, &reason);
        drop(tracer);
        tracee.let_go.wait(|| self.may_go_on(tracee).then_some(()));
        let stop = tracee.state.lock().stop.take()?;
        self.take_over_registers(context, stop)
    }

    /// Whether a stop is over. The process's end is its end, too, but not of the last one.
    fn may_go_on(&self, tracee: &Tracee) -> bool {
        let state = tracee.state.lock();
        let Some(stop) = &state.stop else { return true };
        let free = !tracee.has(TRACED) || tracee.has(KILLED);
        let ended = stop.place != Place::End && self.is_ending();
        let heard = stop.listens && (tracee.has(TRAP) || !self.process().is_stopped());
        stop.go_on.is_some() || free || ended || heard
    }

    /// What the tracer has changed comes into force.
    fn take_over_registers(&self, context: &mut UserContext, stop: Box<Stop>) -> Option<After> {
        let Stop { registers, fpu, debug, info, changed, fpu_changed, debug_changed, listens, go_on, .. } = *stop;
        if changed {
            put_registers(context, &registers);
            task::current().set_segment_bases(registers.fs_base, registers.gs_base);
        }
        if debug_changed {
            task::current().set_debug_registers(debug);
        }
        if let Some(fpu) = fpu.filter(|_| fpu_changed) {
            task::current().set_fpu(fpu);
        }
        if listens && go_on.is_none() {
            // What it has listened for it tells.
            if let Some(tracee) = self.tracee() {
                tracee.flags.fetch_or(TRAP, Ordering::SeqCst);
            }
        }
        let go_on = go_on?;
        Some(After { signal: go_on.signal, info, orig_rax: registers.orig_rax })
    }

    fn tell_tracer(&self, tracer: &Arc<Process>, reason: &Reason) {
        let action = tracer.actions.action(Signal::SIGCHLD, None);
        if !flags(&action).contains(SaFlags::NOCLDSTOP) {
            let code = if reason.place == Place::Group { CLD_STOPPED } else { CLD_TRAPPED };
            let info = wait::child_info(self.process(), code, (reason.code & 0x7f) as i32).about(self.tid() as i32);
            tracer.send(Signal::SIGCHLD, info);
        }
        tracer.child_changed.wake_all();
    }

    /// Before a system call: notes it, and stops if the tracer wants that, which may make another one of it. False if there is
    /// to be none: the result is there.
    #[cold]
    pub fn trace_call_begin(self: &Arc<Self>, context: &mut UserContext) -> bool {
        if self.take_trap_flag(context) {
            context.registers_mut().r11 &= !FLAG_TRAP; // where SYSCALL has put the flags
        }
        let Some(tracee) = self.tracee() else { return true };
        let number = context.syscall_number();
        tracee.call.set(Some(number));
        if !tracee.has(CALLS) {
            return true;
        }
        self.attention.store(true, Ordering::SeqCst); // for the end, though there may be no call
        let after = self.trace_stop(context, Errno::ENOSYS.to_ret(), self.call_stop(Place::CallBegin));
        let chosen = after.as_ref().map_or(number, |after| after.orig_rax);
        tracee.call.set(Some(chosen));
        self.send_at_call(after);
        if chosen as i64 >= 0 {
            context.set_result(chosen); // where the number is taken from
        }
        chosen as i64 >= 0 && !self.is_ending()
    }

    /// After a system call: stops if the tracer wants that, which may make it another result.
    #[cold]
    pub fn trace_call_end(self: &Arc<Self>, context: &mut UserContext, interrupted: &mut Option<Interrupted>) {
        let Some(tracee) = self.tracee() else { return };
        if tracee.call.get().is_none() || self.is_ending() {
            return;
        }
        if tracee.has(CALLS) {
            let shown = self.shown_result(context, *interrupted);
            let after = self.trace_stop(context, shown, self.call_stop(Place::CallEnd));
            take_over_result(context, after.as_ref(), interrupted);
            self.send_at_call(after);
        } else if tracee.has(STEPS) {
            let rip = context.registers().rip;
            self.force(Signal::SIGTRAP, KernelSiginfo::fault(Signal::SIGTRAP, TRAP_BRKPT, rip));
        }
    }

    fn call_stop(&self, place: Place) -> Reason {
        let good = self.tracee().is_some_and(|tracee| tracee.wants(Options::TRACESYSGOOD));
        Reason::of_code(u32::from(Signal::SIGTRAP.number()) | if good { GOOD } else { 0 }, place)
    }

    /// What the tracer lets the thread go on with there is a signal like others.
    fn send_at_call(&self, after: Option<After>) {
        if let Some(signal) = after.and_then(|after| after.signal) {
            self.send(signal, KernelSiginfo::kernel(signal));
        }
    }

    /// Before a signal is taken: the tracer sees it and may take another one, or none, in its place.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_signal(
        self: &Arc<Self>,
        context: &mut UserContext,
        interrupted: &mut Option<Interrupted>,
        (signal, info): (Signal, KernelSiginfo),
    ) -> Option<(Signal, KernelSiginfo)> {
        if signal == Signal::SIGKILL || !self.is_traced() {
            return Some((signal, info));
        }
        let tracer = self.tracee().and_then(Tracee::tracer);
        let shown = self.shown_result(context, *interrupted);
        let reason = Reason { code: signal.number().into(), place: Place::Signal, info: Some(info) };
        let after = self.trace_stop(context, shown, reason);
        let chosen = match &after {
            Some(after) => after.signal.map(|chosen| (chosen, after.info.unwrap_or(info))),
            None => Some((signal, info)),
        };
        take_over_result(context, after.as_ref(), interrupted);
        let (chosen, mut info) = chosen?;
        if i32::from(chosen.number()) != info.si_signo {
            let (pid, user) = tracer.map_or((0, 0), |tracer| (tracer.pid(), tracer.credentials().user.real));
            info = KernelSiginfo::sent(chosen, SI_USER, pid as i32, user, 0);
        }
        if self.blocks(chosen) {
            self.pending.add(chosen, info, u64::MAX);
            return None;
        }
        Some((chosen, info))
    }

    /// Stops since its process is stopped, or as the tracer has asked it to; true if it did.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_pause(
        self: &Arc<Self>,
        context: &mut UserContext,
        interrupted: &mut Option<Interrupted>,
    ) -> bool {
        let Some(tracee) = self.tracee() else { return false };
        if !self.has_to_stop() {
            return false;
        }
        let stop = Signal::new(self.process().stopped.load(Ordering::SeqCst).into());
        let told = if stop.is_some() { STOP_TOLD } else { 0 };
        tracee.flags.fetch_and(!TRAP, Ordering::SeqCst);
        tracee.flags.fetch_or(told, Ordering::SeqCst);
        let signal = stop.unwrap_or(Signal::SIGTRAP);
        let reason = if tracee.has(SEIZED) {
            Reason::of_code(u32::from(signal.number()) | PTRACE_EVENT_STOP << 8, Place::Group)
        } else {
            Reason { code: signal.number().into(), place: Place::Group, info: None }
        };
        let shown = self.shown_result(context, *interrupted);
        let after = self.trace_stop(context, shown, reason);
        take_over_result(context, after.as_ref(), interrupted);
        true
    }

    /// A handler is about to run its first instruction: who steps sees that.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_handler(self: &Arc<Self>, context: &mut UserContext) {
        if self.tracee().is_some_and(|tracee| tracee.has(STEPS)) {
            let result = context.result();
            self.trace_stop(context, result, Reason::event(0, Place::Event));
        }
    }

    /// Tells the tracer of a new process or thread, which it traces, too; `event` by [`Thread::clone_event`].
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_event(self: &Arc<Self>, context: &mut UserContext, event: u32, message: u64) {
        let Some(tracee) = self.tracee() else { return };
        tracee.state.lock().message = message;
        let (rax, place) = (context.result(), if event == PTRACE_EVENT_EXIT { Place::End } else { Place::Event });
        let shown = match event {
            PTRACE_EVENT_EXEC => 0,
            _ if tracee.call.get().is_some() => Errno::ENOSYS.to_ret(),
            _ => rax,
        };
        self.trace_stop(context, shown, Reason::event(event, place));
        context.set_result(rax); // the call's result is yet to come
    }

    /// The result of a system call as a tracer sees it. Its number goes with it, also for one who began to trace the thread just now.
    fn shown_result(&self, context: &UserContext, interrupted: Option<Interrupted>) -> u64 {
        let Some(call) = interrupted else { return context.result() };
        if let Some(tracee) = self.tracee.get() {
            tracee.call.set(Some(call.number));
        }
        if call.restart == Restart::WithoutHandler && KEEP_DEADLINES.contains(&call.number) {
            return RESTART_BLOCK.wrapping_neg();
        }
        let shown = RESTARTS.iter().find(|(_, restart)| *restart == call.restart);
        shown.map_or(context.result(), |(errno, _)| errno.wrapping_neg())
    }

    /// Which event the making of a process or thread is, if the tracer wants to be told of it.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn clone_event(&self, request: &CloneRequest) -> Option<u32> {
        let tracee = self.tracee().filter(|_| !request.flags.contains(CloneFlags::UNTRACED))?;
        let (event, option) = match request.exit_signal {
            _ if request.flags.contains(CloneFlags::VFORK) => (PTRACE_EVENT_VFORK, Options::TRACEVFORK),
            signal if signal == Signal::SIGCHLD.number() => (PTRACE_EVENT_FORK, Options::TRACEFORK),
            _ => (PTRACE_EVENT_CLONE, Options::TRACECLONE),
        };
        tracee.wants(option).then_some(event)
    }

    /// The child of vfork(2) has let go of the memory.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_vfork_done(self: &Arc<Self>, context: &mut UserContext, child: u32) {
        if self.tracee().is_some_and(|tracee| tracee.wants(Options::TRACEVFORKDONE)) {
            self.trace_event(context, PTRACE_EVENT_VFORK_DONE, child.into());
        }
    }

    /// The thread has a new program; it was `former` before.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_exec(self: &Arc<Self>, context: &mut UserContext, former: u32) {
        let Some(tracee) = self.tracee() else { return };
        if tracee.wants(Options::TRACEEXEC) {
            self.trace_event(context, PTRACE_EVENT_EXEC, former.into());
        } else if !tracee.has(SEIZED) {
            let process = self.process();
            let user = process.credentials().user.real;
            self.send(Signal::SIGTRAP, KernelSiginfo::sent(Signal::SIGTRAP, SI_USER, process.pid() as i32, user, 0));
        }
    }

    /// The thread is about to end.
    #[cold]
    pub fn trace_exit(self: &Arc<Self>, context: &mut UserContext) {
        if self.tracee().is_some_and(|tracee| tracee.wants(Options::TRACEEXIT)) {
            self.trace_event(context, PTRACE_EVENT_EXIT, self.end_status().encode() as u64);
        }
    }

    /// The way to user mode begins: the trap flag is not the program's, and a call that was interrupted may have begun when
    /// nobody traced the thread yet.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_attend(&self, context: &mut UserContext, interrupted: Option<Interrupted>) {
        self.take_trap_flag(context);
        let Some(tracee) = self.tracee() else { return };
        if let Some(call) = interrupted {
            tracee.call.set(Some(call.number));
        }
    }

    /// The thread is on its way to user mode for good.
    #[cold]
    #[inline(never)]
    pub(in crate::process) fn trace_enter(&self, context: &mut UserContext) {
        let Some(tracee) = self.tracee.get() else { return };
        tracee.call.set(None); // whoever traces the thread next does not find it
        let registers = context.registers_mut();
        if tracee.has(STEPS) && registers.rflags & FLAG_TRAP == 0 {
            registers.rflags |= FLAG_TRAP;
            tracee.flags.fetch_or(TRAP_FLAG, Ordering::SeqCst);
        }
    }

    /// Takes the trap flag away if it is not the program's own; whether it was not.
    fn take_trap_flag(&self, context: &mut UserContext) -> bool {
        let Some(tracee) = self.tracee.get().filter(|tracee| tracee.has(TRAP_FLAG)) else { return false };
        tracee.flags.fetch_and(!TRAP_FLAG, Ordering::SeqCst);
        context.registers_mut().rflags &= !FLAG_TRAP;
        true
    }

    /// Whether a step is over that nobody has asked for, as the tracer that did has gone.
    #[cold]
    pub fn is_forgotten_step(&self, context: &mut UserContext) -> bool {
        !self.is_traced() && self.take_trap_flag(context)
    }

    /// The process is stopped, maybe once more.
    pub(in crate::process) fn trace_stopped_anew(&self) {
        if let Some(tracee) = self.tracee() {
            tracee.flags.fetch_and(!STOP_TOLD, Ordering::SeqCst);
        }
    }

    /// The process goes on after a stop (SIGCONT).
    pub(in crate::process) fn trace_continued(&self) {
        if let Some(tracee) = self.tracee() {
            tracee.flags.fetch_and(!STOP_TOLD, Ordering::SeqCst);
            tracee.let_go.wake_all();
            self.notify();
        }
    }
}

/// A call begins again if the tracer has left it that result, or has given it back: a debugger that calls a function takes both
/// result and number of a call away for the time.
fn take_over_result(context: &mut UserContext, after: Option<&After>, interrupted: &mut Option<Interrupted>) {
    let number = match after {
        Some(after) => after.orig_rax,
        None => interrupted.map_or(NO_CALL, |call| call.number),
    };
    let restarts = |(errno, _): &&(u64, Restart)| errno.wrapping_neg() == context.result();
    *interrupted = match RESTARTS.iter().find(restarts).filter(|_| number as i64 >= 0) {
        Some(&(_, restart)) => {
            context.set_result(Errno::EINTR.to_ret());
            Some(Interrupted { number, restart })
        }
        None => None,
    };
}

/// Copies the registers that both have under the same names.
macro_rules! copy_registers {
    ($from:ident to $to:ident) => {
        copy_registers!($from to $to: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi rip rflags rsp)
    };
    ($from:ident to $to:ident: $($register:ident)*) => { $($to.$register = $from.$register;)* };
}

fn registers_of(context: &UserContext, call: u64) -> UserRegs {
    let from = context.registers();
    let mut to = UserRegs::default();
    copy_registers!(from to to);
    let (fs_base, gs_base) = task::current().segment_bases();
    (to.cs, to.ss) = (USER_CODE.into(), USER_DATA.into());
    (to.fs_base, to.gs_base) = (fs_base, gs_base);
    to.orig_rax = call;
    to
}

/// Flags and selectors that are not the program's are set right when user mode is entered.
fn put_registers(context: &mut UserContext, from: &UserRegs) {
    let to = context.registers_mut();
    copy_registers!(from to to);
}
