//! `crash`: breaks the kernel on purpose, one way at a time, to show what reports it. The tests in `test/fatal.py` boot
//! once for each kind.

use super::Shell;
use super::command::{Command, CommandError, CommandResult};
use crate::{device, sched};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use machine::irq::IrqLine;
use machine::percpu::this_cpu;
use machine::sync::{IrqGuard, IrqLock, Mutex, PreemptGuard, Rank, SpinLock};
use machine::{crash, time};

/// This file's command.
pub const COMMANDS: &[Command] = &[Command {
    name: "crash",
    arguments: "kind",
    arity: (1, 1),
    help: "break the kernel on purpose, to see what reports it",
    details: "Fatal: panic panic-in-panic stack-overflow null-read write-text write-rodata execute-data deadlock\n\
              lock-never-released out-of-memory.\n\
              Fatal in debug builds, which look for it: lock-order lock-cycle lock-in-interrupt sleep-in-atomic\n\
              allocation-in-interrupt.\n\
              Reported by debug builds: long-hold soft-lockup hard-lockup hung-task.\n\
              Reported by all, with QEMU's device `edu`: stuck-interrupt. Example: crash stack-overflow",
    run: crash,
}];

static OUTER: SpinLock<u32> = SpinLock::new("crash test, outer", Rank::Table, 0);
static INNER: SpinLock<u32> = SpinLock::new("crash test, inner", Rank::Process, 0);
static FIRST: Mutex<u32> = Mutex::new("crash test, first", 0);
static SECOND: Mutex<u32> = Mutex::new("crash test, second", 0);
/// Long enough for the watchdog of debug builds.
const LOCKUP: Duration = Duration::from_secs(14);
const HUNG: Duration = Duration::from_secs(45);

fn crash(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    match arguments[0] {
        "panic" => panic!("asked for by `crash panic`"),
        "panic-in-panic" => panic!("{}", PanicsWhenShown),
        "stack-overflow" => overflow_stack(0),
        "null-read" => crash::read_null(),
        "write-text" => crash::write_text(),
        "write-rodata" => crash::write_rodata(),
        "execute-data" => crash::execute_data(),
        "deadlock" => {
            let _first = OUTER.lock();
            let _again = OUTER.lock();
        }
        "lock-never-released" => wait_for_lost_lock()?,
        "out-of-memory" => exhaust_memory(),
        "lock-order" => {
            let _inner = INNER.lock();
            let _outer = OUTER.lock();
        }
        "lock-cycle" => close_cycle()?,
        "lock-in-interrupt" => {
            drop(OUTER.lock());
            in_interrupt(|| *OUTER.lock() += 1)?;
        }
        "sleep-in-atomic" => {
            let _spin = OUTER.lock();
            let _sleeping = FIRST.lock();
        }
        "allocation-in-interrupt" => in_interrupt(|| drop(black_box(Box::new(1))))?,
        "long-hold" => {
            let _outer = OUTER.lock();
            time::spin_for(Duration::from_secs(3));
        }
        "soft-lockup" => {
            let _pinned = PreemptGuard::new();
            time::spin_for(LOCKUP);
        }
        "hard-lockup" => {
            let _pinned = IrqGuard::new();
            time::spin_for(LOCKUP);
        }
        "hung-task" => hang_task()?,
        "stuck-interrupt" => stick_interrupt()?,
        other => return Err(CommandError::about(other, "no such kind; help crash lists them")),
    }
    Ok(())
}

/// Its own report fails.
struct PanicsWhenShown;

impl fmt::Display for PanicsWhenShown {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("asked for by `crash panic-in-panic`")
    }
}

/// Each call keeps some stack, and uses the result of the next, so that it stays a call.
#[expect(unconditional_recursion, reason = "that is the point")]
fn overflow_stack(depth: u64) {
    let mut frame = [depth; 16];
    black_box(&mut frame);
    overflow_stack(frame[0] + 1);
    black_box(&mut frame);
}

/// A task takes a lock and computes for ever.
fn wait_for_lost_lock() -> CommandResult {
    let taken = Arc::new(AtomicBool::new(false));
    let shared = taken.clone();
    spawn("lock holder", move || {
        let _outer = OUTER.lock();
        shared.store(true, Ordering::Release);
        loop {
            core::hint::spin_loop();
        }
    })?;
    while !taken.load(Ordering::Acquire) {
        sched::sleep(Duration::from_millis(1));
    }
    drop(OUTER.lock());
    Ok(())
}

/// Allocates in ways that cannot fail, as only a bug of the kernel would.
fn exhaust_memory() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(Box::new([1u8; 64 << 10])));
    }
}

/// One task takes first, then second, and gives both back; this one takes them the other way round.
fn close_cycle() -> CommandResult {
    let done = Arc::new(AtomicBool::new(false));
    let shared = done.clone();
    spawn("first then second", move || {
        let _first = FIRST.lock();
        drop(SECOND.lock());
        shared.store(true, Ordering::Release);
    })?;
    while !done.load(Ordering::Acquire) {
        sched::sleep(Duration::from_millis(1));
    }
    let _second = SECOND.lock();
    let _first = FIRST.lock();
    Ok(())
}

/// Runs `f` in an interrupt of this CPU.
fn in_interrupt(f: impl Fn() + Send + Sync + 'static) -> CommandResult {
    static COUNT: IrqLock<u32> = IrqLock::new("crash test, count", Rank::Device, 0);
    let before = *COUNT.lock();
    let handler = move || {
        f();
        *COUNT.lock() += 1;
    };
    let line = IrqLine::allocate("crash test", handler).map_err(CommandError::plain)?;
    line.raise(this_cpu());
    while *COUNT.lock() == before {
        sched::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// A task keeps a sleeping lock that another waits for.
fn hang_task() -> CommandResult {
    let held = FIRST.lock();
    let waiter = spawn("hung", || drop(FIRST.lock()))?;
    sched::sleep(HUNG);
    drop((held, waiter));
    Ok(())
}

/// A device holds its line, and its handler says that it is not its own; that stays so.
fn stick_interrupt() -> CommandResult {
    let edu = device::interrupter(true).ok_or_else(|| CommandError::plain("there is no device `edu`"))?;
    let edu = edu.map_err(CommandError::plain)?;
    let line = edu.connect(None).map_err(CommandError::plain)?;
    edu.raise();
    let deadline = time::now() + HUNG;
    while !line.is_stuck() && time::now() < deadline {
        sched::sleep(Duration::from_millis(10));
    }
    let found = line.is_stuck();
    core::mem::forget((line, edu));
    if found { Ok(()) } else { Err(CommandError::plain("nobody has found the line stuck")) }
}

fn spawn(name: &str, entry: impl FnOnce() + Send + 'static) -> Result<Arc<machine::task::Task>, CommandError> {
    sched::spawn(name, entry).map_err(|_| CommandError::plain("out of memory"))
}
