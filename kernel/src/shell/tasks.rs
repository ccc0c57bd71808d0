//! Commands about what runs: tasks, clocks, and a computation that shows preemption.

use super::command::{Command, CommandError, CommandResult, number, seconds};
use super::output::{Align, Table};
use super::{Shell, interrupt};
use crate::sched;
use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use machine::time;

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "tasks",
        arguments: "",
        arity: (0, 0),
        help: "list the tasks",
        details: "Number, name, state, CPU, milliseconds of CPU time, and what a sleeping task waits for.\n\
                  Example: tasks",
        run: tasks,
    },
    Command {
        name: "timer",
        arguments: "milliseconds",
        arity: (1, 1),
        help: "set a one-shot timer and print how late it fired",
        details: "Example: timer 50",
        run: timer,
    },
    Command {
        name: "sleep",
        arguments: "seconds",
        arity: (1, 1),
        help: "sleep; decimals are allowed",
        details: "Ctrl-C ends it. Example: sleep 0.5",
        run: sleep,
    },
    Command {
        name: "prime",
        arguments: "n",
        arity: (1, 1),
        help: "count the primes up to n in a kernel task",
        details: "The task computes without ever giving way; the shell counts how often it was woken meanwhile, which on\n\
                  a single CPU only preemption makes possible. Ctrl-C ends it. Example: prime 100000",
        run: prime,
    },
];

/// How often the shell wakes up while `prime` computes.
const PRIME_PERIOD: Duration = Duration::from_millis(10);

fn tasks(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let mut table = Table::new(&[
        ("id", Align::Right),
        ("name", Align::Left),
        ("state", Align::Left),
        ("CPU", Align::Right),
        ("ms", Align::Right),
        ("waits for", Align::Left),
    ]);
    sched::for_each_task(|task| {
        table.row([
            format!("{}", task.id),
            task.name.clone(),
            task.state.into(),
            format!("{}", task.cpu),
            format!("{}", task.run_time_ns / 1_000_000),
            task.waiting_for.into(),
        ]);
    });
    table.print(&mut shell.out);
    Ok(())
}

fn timer(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let ms = number(arguments[0], "milliseconds", u32::MAX.into())?;
    let deadline = time::now() + Duration::from_millis(ms);
    interrupt::pause(deadline - time::now())?;
    let late = time::now() - deadline;
    writeln!(shell.out, "timer of {ms} ms fired {}.{:03} ms late", late.as_millis(), late.as_micros() % 1000);
    Ok(())
}

fn sleep(_: &mut Shell, arguments: &[&str]) -> CommandResult {
    interrupt::pause(seconds(arguments[0])?)
}

/// What the counting task and the shell share.
#[derive(Default)]
struct Count {
    primes: AtomicU64,
    done: AtomicBool,
    cancelled: AtomicBool,
}

fn prime(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let limit = number(arguments[0], "n", u32::MAX.into())?;
    let count = Arc::new(Count::default());
    let shared = count.clone();
    let start = time::now();
    sched::spawn("prime", move || count_primes(limit, &shared)).map_err(|_| CommandError::plain("out of memory"))?;
    let mut wakeups = 0u64;
    while !count.done.load(Ordering::Acquire) {
        if let Err(error) = interrupt::pause(PRIME_PERIOD) {
            count.cancelled.store(true, Ordering::Relaxed);
            return Err(error);
        }
        wakeups += 1;
    }
    let ms = (time::now() - start).as_millis();
    let primes = count.primes.load(Ordering::Relaxed);
    writeln!(shell.out, "{primes} primes up to {limit} in {ms} ms; the shell was woken {wakeups} times meanwhile");
    Ok(())
}

/// Counts by trial division, slow on purpose.
fn count_primes(limit: u64, count: &Count) {
    for candidate in 2..=limit {
        if count.cancelled.load(Ordering::Relaxed) {
            break;
        }
        if is_prime(candidate) {
            count.primes.fetch_add(1, Ordering::Relaxed);
        }
    }
    count.done.store(true, Ordering::Release);
}

fn is_prime(candidate: u64) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= candidate).all(|divisor| !candidate.is_multiple_of(divisor))
}
