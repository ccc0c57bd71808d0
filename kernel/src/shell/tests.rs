//! `test`: runs the kernel's own tests, each in a task of its own.

use super::command::{Command, CommandError, CommandResult};
use super::{Shell, interrupt};
use crate::sched;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;
use machine::ktest::{self, KernelTest};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::time;

/// This file's commands.
pub const COMMANDS: &[Command] = &[Command {
    name: "test",
    arguments: "[filter]",
    arity: (0, 1),
    help: "run the kernel tests whose names contain the filter",
    details: "Each test runs in a kernel task of its own. A test that panics ends the kernel, with a stack trace.\n\
              Example: test shell",
    run: test,
}];

/// A test that takes longer than this counts as failed; emulated machines are slow.
const TIME_LIMIT: Duration = Duration::from_secs(120);

fn test(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let filter = arguments.first().copied().unwrap_or("");
    let (mut passed, mut failed) = (0, 0);
    for test in ktest::all().iter().filter(|test| test.name.contains(filter)) {
        interrupt::check()?;
        let name = test.name.strip_prefix("russet::").unwrap_or(test.name);
        write!(shell.out, "test {name} ... ");
        match run(test) {
            Ok(()) => {
                passed += 1;
                writeln!(shell.out, "ok");
            }
            Err(why) => {
                failed += 1;
                writeln!(shell.out, "FAILED: {why}");
            }
        }
    }
    writeln!(shell.out, "{passed} passed, {failed} failed");
    match (passed, failed) {
        (0, 0) => Err(CommandError::about(filter, "no test has a name that contains this")),
        (_, 0) => Ok(()),
        _ => Err(CommandError::Reported),
    }
}

/// Where a test's task leaves the result.
struct Verdict {
    result: SpinLock<Option<Result<(), String>>>,
    ready: WaitQueue,
}

fn run(test: &'static KernelTest) -> Result<(), String> {
    let verdict = Arc::new(Verdict {
        result: SpinLock::new("test result", Rank::Table, None),
        ready: WaitQueue::new("the end of a test"),
    });
    let shared = verdict.clone();
    let task = move || {
        let result = (test.run)();
        *shared.result.lock() = Some(result);
        shared.ready.wake_all();
    };
    sched::spawn(test.name, task).map_err(|_| String::from("out of memory for its task"))?;
    let deadline = time::now() + TIME_LIMIT;
    match verdict.ready.wait_until(Some(deadline), || false, || verdict.result.lock().take()) {
        Ok(result) => result,
        Err(_) => Err(format!("still running after {} s", TIME_LIMIT.as_secs())),
    }
}
