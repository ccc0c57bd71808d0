//! `exec`: programs, one with the terminal or many at once.

use super::command::{ANY, Command, CommandError, CommandResult, number};
use super::interrupt::Victims;
use super::{Shell, interrupt};
use crate::process::watched::Watcher;
use crate::process::{self, ExitStatus, ProgramHandle, send};
use crate::tty;
use abi::Signal;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use machine::time;

/// This file's commands.
pub const COMMANDS: &[Command] = &[EXEC, INIT];

const EXEC: Command = Command {
    name: "exec",
    arguments: "[n] path [argument]…",
    arity: (1, ANY),
    help: "run a program, or n instances of it at once, and wait",
    details: "One instance owns the terminal: what is typed is its input, Ctrl-C its SIGINT. Each one's end is\n\
              printed, of several also the time that all took. A status other than 0 counts as a failed command.\n\
              Example: exec 20 /bin/primes 15000",
    run: exec,
};

const INIT: Command = Command {
    name: "init",
    arguments: "path [argument]…",
    arity: (1, ANY),
    help: "run a program as process 1, and wait",
    details: "As Linux's init= would: processes whose parent ends become its children, it owns the terminal, and its\n\
              end ends the command with its status.\n\
              Example: init /bin/busybox sh",
    run: init,
};

/// Most instances of one command.
const MAX_INSTANCES: u64 = 10_000;
/// What a program finds in its environment.
const ENVIRONMENT: [&str; 4] = ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", "TERM=linux", "SHELL=/bin/sh"];

fn exec(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let (count, command) = match arguments {
        [first, rest @ ..] if !rest.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(number(first, "number of instances", MAX_INSTANCES)?), rest)
        }
        all => (None, all),
    };
    match count {
        Some(0) => Err(CommandError::about("0", "no instance at all")),
        None | Some(1) => run_one(shell, command),
        Some(count) => run_many(shell, command, count as usize),
    }
}

/// Starts a program; `prepare` is called with its number before it runs.
fn start(command: &[&str], prepare: &mut dyn FnMut(u32)) -> Result<ProgramHandle, CommandError> {
    let path = command[0];
    process::spawn_program(path, command, &ENVIRONMENT, tty::console_file(), prepare)
        .map_err(|errno| CommandError::about(path, super::error_text(errno)))
}

fn run_one(shell: &mut Shell, command: &[&str]) -> CommandResult {
    finish_one(shell, command, start(command, &mut |pid| tty::set_owner(Some(pid)))?)
}

/// Runs the program with the terminal, and lets `watcher` be told of its system calls and those of its children.
pub fn run_watched(shell: &mut Shell, command: &[&str], watcher: &Arc<Watcher>) -> CommandResult {
    let mut prepare = |pid| {
        tty::set_owner(Some(pid));
        if let Some(process) = process::find(pid) {
            process.watch(watcher.clone());
        }
    };
    finish_one(shell, command, start(command, &mut prepare)?)
}

/// Waits for the program that has the terminal, which its end gives back.
fn finish_one(shell: &mut Shell, command: &[&str], program: ProgramHandle) -> CommandResult {
    let pid = program.pid();
    let victims = Victims::new();
    victims.add(pid);
    if interrupt::raised() {
        // Ctrl-C was typed while the program was being loaded.
        let _ = send::kill_from_kernel(pid, Signal::SIGINT);
    }
    let status = program.wait();
    drop(victims);
    tty::console().tidy();
    if matches!(status, ExitStatus::Killed(Signal::SIGINT)) {
        // The terminal stands behind `^C`.
        writeln!(shell.out);
    }
    writeln!(shell.out, "{}", describe(command[0], pid, status));
    match status {
        ExitStatus::Exited(0) => Ok(()),
        // As shells count it.
        ExitStatus::Killed(signal) => Err(CommandError::Ended(128 + signal.number())),
        ExitStatus::Exited(status) => Err(CommandError::Ended(status)),
    }
}

fn init(shell: &mut Shell, command: &[&str]) -> CommandResult {
    let path = command[0];
    let mut own_terminal = |pid| tty::set_owner(Some(pid));
    let program = process::spawn_init(path, command, &ENVIRONMENT, tty::console_file(), &mut own_terminal)
        .map_err(|errno| CommandError::about(path, super::error_text(errno)))?;
    finish_one(shell, command, program)
}

fn run_many(shell: &mut Shell, command: &[&str], count: usize) -> CommandResult {
    let mut programs = Vec::new();
    programs.try_reserve(count).map_err(|_| CommandError::plain("out of memory"))?;
    let begin = time::now();
    let victims = Victims::new();
    let mut failure = None;
    for _ in 0..count {
        match interrupt::check().and_then(|()| start(command, &mut |_| ())) {
            Ok(program) => {
                victims.add(program.pid());
                programs.push(program);
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    let started = programs.len();
    let mut all_well = true;
    for program in programs {
        let pid = program.pid();
        let status = program.wait();
        victims.remove(pid);
        tty::console().tidy();
        all_well &= status == ExitStatus::Exited(0);
        writeln!(shell.out, "{}", describe(command[0], pid, status));
    }
    let ms = (time::now() - begin).as_millis();
    writeln!(shell.out, "{started} instances in {}.{:03} s", ms / 1000, ms % 1000);
    match failure {
        Some(error) => Err(error),
        None if all_well => Ok(()),
        None => Err(CommandError::Reported),
    }
}

fn describe(path: &str, pid: u32, status: ExitStatus) -> String {
    format!("{path} [pid {pid}]: {status}")
}
