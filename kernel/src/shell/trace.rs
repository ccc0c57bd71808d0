//! `trace`: switches event tracing, shows what was traced, and saves it.

use super::command::{ANY, Command, CommandError, CommandResult, number};
use super::files::{Writer, about};
use super::{Shell, error_text, exec, interrupt};
use crate::process::Thread;
use crate::process::watched::Watcher;
use crate::sched;
use crate::tty;
use crate::vfs::{self, SliceSource, flags};
use abi::Errno;
use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use klib::trace::file::{bytes, header};
use klib::trace::{Event, Label, Life, RECORD_LEN, Record, merge};
use machine::sync::Once;
use machine::trace::{self, Ended, Refused};
use machine::{console, cpu, irq};

/// This file's command.
pub const COMMANDS: &[Command] = &[Command {
    name: "trace",
    arguments: "on|off|show|save|serial|forget|exec [argument]…",
    arity: (1, ANY),
    help: "trace what tasks, interrupts, system calls, page faults and disks do",
    details: "on [KiB]: begins a trace, with so much memory on each CPU (1024) for the latest events. off: ends it.\n\
              show [n]: prints its last n events (40). serial: writes all to the second serial port, in words.\n\
              save PATH: writes it to a file, of which tools/chrome-trace makes a timeline for Perfetto.\n\
              forget: gives its memory back.\n\
              exec [-o PATH] COMMAND…: runs a program and prints each of its system calls, or writes them to a file.\n\
              Example: trace on; exec 4 /bin/primes 15000; trace off; trace save /trace",
    run,
}];

/// Memory on each CPU, in KiB: what is taken, and the most that may be asked for.
const DEFAULT_KIB: u64 = 1024;
const MOST_KIB: u64 = 4096;
/// How many events `show` shows.
const SHOWN: u64 = 40;

fn run(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    match *arguments {
        ["on"] => start(DEFAULT_KIB),
        ["on", kib] => start(number(kib, "KiB", MOST_KIB)?),
        ["off"] => trace::stop().map_err(CommandError::plain).and_then(|()| summary(shell, &ended()?)),
        ["show"] => show(shell, SHOWN),
        ["show", count] => show(shell, number(count, "number of events", u64::MAX)?),
        ["save", path] => save(path),
        ["save"] => Err(CommandError::about("save", "the path of a file is missing")),
        ["serial"] if !console::has_log_port() => {
            Err(CommandError::about("serial", "the log has no serial port, or a program has it open as /dev/ttyS1"))
        }
        ["serial"] => each(&ended()?, 0, &mut |line| {
            console::write_log(line);
        }),
        ["forget"] => {
            ended()?.forget();
            Ok(())
        }
        ["exec", "-o", path, ref command @ ..] => watch(shell, command, Some(path)),
        ["exec", ref command @ ..] => watch(shell, command, None),
        ["on" | "off" | "show" | "save" | "serial" | "forget", .., extra] => {
            Err(CommandError::about(extra, "one argument too many"))
        }
        [what, ..] => {
            Err(CommandError::about(what, "must be on, off, show, save, serial, forget or exec, as `help trace` says"))
        }
        [] => Ok(()),
    }
}

fn start(kib: u64) -> CommandResult {
    trace::start(kib as usize * 1024 / RECORD_LEN).map_err(|refused: Refused| CommandError::plain(refused))
}

fn ended() -> Result<Ended, CommandError> {
    trace::ended().map_err(CommandError::plain)
}

fn summary(shell: &mut Shell, trace: &Ended) -> CommandResult {
    for part in trace.cpus() {
        writeln!(shell.out, "CPU {}: {} events, {} more lost before them", part.cpu, part.count, part.lost);
    }
    Ok(())
}

fn show(shell: &mut Shell, most: u64) -> CommandResult {
    let trace = ended()?;
    let all: u64 = trace.cpus().iter().map(|part| part.count).sum();
    each(&trace, all.saturating_sub(most), &mut |line| shell.out.bytes(line))?;
    summary(shell, &trace)
}

/// Gives `write` a line for each event, in the order of time, but for the first `skipped`.
fn each(trace: &Ended, mut skipped: u64, write: &mut dyn FnMut(&[u8])) -> CommandResult {
    let counts: Vec<usize> = trace.cpus().iter().map(|part| part.count as usize).collect();
    let get = |cpu, index| Record::decode(trace.record(cpu, index)?);
    merge(&counts, &get, &mut |cpu, record| {
        if skipped > 0 {
            skipped -= 1;
        } else {
            write(format!("{cpu:2} {record}\n").as_bytes());
        }
        !interrupt::raised()
    });
    interrupt::check()
}

/// What tasks and interrupts are called now.
fn names() -> Vec<Record> {
    let mut names = Vec::new();
    let mut task = |id: u64, pid, name: &str| {
        let event = Event::Begin(Life { pid, name: Label::new(name) });
        names.push(Record { ns: 0, task: id as u32, event });
    };
    cpu::online().filter_map(sched::idle_task).for_each(|idle| task(idle.id(), 0, idle.name()));
    sched::for_each_task(|info| {
        let thread = sched::find_task(info.id).and_then(|task| sched::data(&task).thread());
        // A thread may have got another name since it was made.
        let name = thread.and_then(|thread| thread.downcast::<Thread>().ok()).map(|thread| thread.name());
        let name = name.as_ref().and_then(|name| core::str::from_utf8(name).ok()).unwrap_or(&info.name);
        task(info.id, info.pid, name);
    });
    for row in irq::counts() {
        let event = Event::InterruptName { vector: row.vector, name: Label::new(&row.name) };
        names.push(Record { ns: 0, task: 0, event });
    }
    names
}

fn save(path: &str) -> CommandResult {
    let trace = ended()?;
    let cpus = trace.cpus();
    if cpus.is_empty() {
        return Err(CommandError::plain("nothing has been traced; `trace on` begins"));
    }
    let names = names();
    let mut writer = Writer::create(path)?;
    header(&cpus, names.len(), trace.end_ns()).iter().try_for_each(|words| writer.push(&bytes(words)))?;
    names.iter().try_for_each(|name| writer.push(&bytes(&name.encode())))?;
    for (at, part) in cpus.iter().enumerate() {
        for index in 0..part.count as usize {
            writer.push(&bytes(&trace.record(at, index).unwrap_or_default()))?;
        }
    }
    writer.flush()
}

/// Runs a program whose system calls are written to the console or to the file at `path`.
fn watch(shell: &mut Shell, command: &[&str], path: Option<&str>) -> CommandResult {
    let Some(first) = command.first() else {
        return Err(CommandError::about("exec", "the program is missing"));
    };
    if first.starts_with('-') {
        return Err(CommandError::about(first, "no such option, or its argument is missing"));
    }
    let Some(path) = path else {
        let _watching = trace::Watching::begin();
        return exec::run_watched(shell, command, &Watcher::new(Box::new(|line| tty::console().write(line))));
    };
    let how = flags::O_CREAT | flags::O_WRONLY | flags::O_TRUNC | flags::O_APPEND;
    let file = vfs::open(&vfs::root_context(), None, path.as_bytes(), how, 0o644).map_err(about(path))?;
    // A full disk costs lines, not the program.
    let lost: Arc<Once<Errno>> = Arc::new(Once::new());
    let of_writer = lost.clone();
    let watcher = Watcher::new(Box::new(move |line| match file.write(&mut SliceSource::new(line)) {
        Ok(written) if written == line.len() => {}
        result => {
            of_writer.call_once(|| result.err().unwrap_or(Errno::ENOSPC));
        }
    }));
    let _watching = trace::Watching::begin();
    exec::run_watched(shell, command, &watcher)?;
    match lost.get() {
        Some(&errno) => Err(CommandError::about(path, format_args!("some lines are missing: {}", error_text(errno)))),
        None => Ok(()),
    }
}
