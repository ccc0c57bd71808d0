//! Numbers about a process or a thread: stat, status, limits.

use super::process::{may_inspect, process, thread};
use crate::process::{Process, Thread};
use crate::sched::{self, TaskInfo};
use crate::tty;
use crate::vfs::pseudo::{Subject, Text};
use crate::vfs::{Result, device_number};
use abi::signal::SigSet;
use abi::system::{RLIM_INFINITY, RLIMIT_RSS};
use machine::cpu;

/// Ns in a tick of times(2).
pub(super) const TICK_NS: u64 = 10_000_000;
/// Nice value 0 as a priority.
const PRIORITY: i64 = 20;
/// PF_EXITING and PF_FORKNOEXEC.
const FLAG_EXITING: i64 = 4;
const FLAG_FORKED: i64 = 0x40;
/// All capabilities, as the last one is number 40.
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

/// The name of a thread, or of a whole process.
pub(super) fn put_name(process: &Process, subject: Subject, text: &mut Text) -> Result<()> {
    let name = match subject.part {
        0 => process.name(),
        _ => thread(process, subject)?.map_or([0; 15], |thread| thread.name()),
    };
    text.put(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())])
}

/// What the scheduler knows of the thread.
pub(super) fn task(process: &Process, subject: Subject) -> Result<Option<TaskInfo>> {
    Ok(thread(process, subject)?.and_then(|thread| thread.task()).map(|task| sched::info(&task)))
}

/// The state as a letter, and in words. A sleep for a disk is one like others here.
fn state(process: &Process, task: Option<&TaskInfo>) -> (char, &'static str) {
    match task.map_or("", |task| task.state) {
        _ if process.is_gone() => ('Z', "zombie"),
        "" | "dead" => ('Z', "zombie"),
        "waiting" if process.is_stopped() => ('T', "stopped"),
        "waiting" => ('S', "sleeping"),
        _ => ('R', "running"),
    }
}

/// Pending signals of a thread and of its process, blocked, ignored and caught ones.
fn signals(process: &Process, thread: Option<&Thread>) -> [SigSet; 5] {
    let (ignored, caught) = process.actions.sets();
    let pending = thread.map_or(SigSet::EMPTY, |thread| thread.pending.set());
    let blocked = thread.map_or(SigSet::EMPTY, |thread| thread.blocked());
    [pending, process.pending.set(), blocked, ignored, caught]
}

/// `/proc/[pid]/stat`: 52 numbers on a line.
pub(super) fn stat(subject: Subject, text: &mut Text) -> Result<()> {
    let process = &*process(subject)?;
    let thread = thread(process, subject)?;
    let task = task(process, subject)?;
    let space = process.try_space();
    let data = thread.as_ref().and_then(|thread| thread.task());
    let nice = data.as_ref().map_or(0, |task| i64::from(sched::data(task).nice()));
    let (terminal, foreground) = terminal(process);
    let time_ns = match (subject.part, &thread) {
        (1.., Some(thread)) => thread.run_time_ns(),
        _ => process.run_time_ns(),
    };
    let flags = if process.is_ending() { FLAG_EXITING } else { 0 } | if process.has_executed() { 0 } else { FLAG_FORKED };
    let number = if subject.part == 0 { process.pid() } else { subject.part };
    write!(text, "{number} (")?;
    put_name(process, subject, text)?;
    write!(text, ") {}", state(process, task.as_ref()).0)?;
    let ticks = |ns: u64| (ns / TICK_NS) as i64;
    let [pending, shared, blocked, ignored, caught] =
        signals(process, thread.as_deref()).map(|set| (set.0 & 0x7fff_ffff) as i64);
    let (mapped, resident) = space.as_ref().map_or((0, 0), |space| (space.totals().mapped, space.resident_pages()));
    put_numbers(
        text,
        &[
            process.parent().into(),
            process.group().into(),
            process.session().into(),
            terminal as i64,
            foreground,
            flags,
            // Page faults are not counted.
            0,
            0,
            0,
            0,
            // Time in the kernel counts as the program's.
            ticks(time_ns),
            0,
            ticks(process.children_run_time_ns()),
            0,
            PRIORITY + nice,
            nice,
            process.thread_count() as i64,
            0,
            ticks(process.started().as_ns()),
            mapped as i64,
            resident as i64,
        ],
    )?;
    write!(text, " {}", process.limits().current(RLIMIT_RSS))?;
    let shown = may_inspect(process);
    let program = space.as_ref().and_then(|space| space.program()).filter(|_| shown);
    let [code, data, args, env] = program.map_or([(0, 0); 4], |program| {
        [&program.code, &program.data, &program.args, &program.env].map(|range| (range.start as i64, range.end as i64))
    });
    let heap = space.as_ref().filter(|_| shown).map_or(0, |space| space.heap().0 as i64);
    let end = process.status().filter(|_| shown && process.is_gone());
    put_numbers(
        text,
        &[
            code.0,
            code.1,
            program.map_or(0, |program| program.stack as i64),
            0,
            0,
            pending | shared,
            blocked,
            ignored,
            caught,
            task.as_ref().is_some_and(|task| !task.waiting_for.is_empty()).into(),
            0,
            0,
            process.exit_signal().into(),
            task.as_ref().map_or(0, |task| task.cpu.into()),
            // No real-time priority, policy SCHED_OTHER, no delays counted, no guests.
            0,
            0,
            0,
            0,
            0,
            data.0,
            data.1,
            heap,
            args.0,
            args.1,
            env.0,
            env.1,
            end.map_or(0, |end| end.wait_status().encode().into()),
        ],
    )?;
    text.put(b"\n")
}

fn put_numbers(text: &mut Text, numbers: &[i64]) -> Result<()> {
    numbers.iter().try_for_each(|number| write!(text, " {number}"))
}

/// The number of the terminal that controls the process, and its foreground group; 0 and -1 without one.
fn terminal(process: &Process) -> (u64, i64) {
    let console = tty::console();
    match console.session() == Some(process.session()) {
        true => (device_number(5, 1), console.group().into()),
        false => (0, -1),
    }
}

/// `/proc/[pid]/status`: the same and more for people.
pub(super) fn status(subject: Subject, text: &mut Text) -> Result<()> {
    let process = &*process(subject)?;
    let thread = thread(process, subject)?;
    let task = task(process, subject)?;
    text.put(b"Name:\t")?;
    put_name(process, subject, text)?;
    let (letter, word) = state(process, task.as_ref());
    let number = if subject.part == 0 { process.pid() } else { subject.part };
    writeln!(text, "\nUmask:\t{:04o}\nState:\t{letter} ({word})", process.umask())?;
    writeln!(text, "Tgid:\t{}\nPid:\t{number}\nPPid:\t{}\nTracerPid:\t0", process.pid(), process.parent())?;
    let credentials = process.credentials();
    for (name, identity) in [("Uid", credentials.user), ("Gid", credentials.group)] {
        let (real, effective) = (identity.real, identity.effective);
        writeln!(text, "{name}:\t{real}\t{effective}\t{}\t{}", identity.saved, identity.file)?;
    }
    write!(text, "FDSize:\t{}\nGroups:\t", process.files.lock().room())?;
    credentials.groups.iter().try_for_each(|group| write!(text, "{group} "))?;
    text.put(b"\n")?;
    super::memory::status(process, text)?;
    writeln!(text, "Threads:\t{}", process.thread_count())?;
    let names = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"];
    for (name, set) in names.iter().zip(signals(process, thread.as_deref())) {
        writeln!(text, "{name}:\t{:016x}", set.0)?;
    }
    let capabilities = if credentials.is_privileged() { ALL_CAPABILITIES } else { 0 };
    for (name, set) in [("Inh", 0), ("Prm", capabilities), ("Eff", capabilities), ("Bnd", ALL_CAPABILITIES), ("Amb", 0)] {
        writeln!(text, "Cap{name}:\t{set:016x}")?;
    }
    if let Some(task) = thread.and_then(|thread| thread.task()) {
        let cpus = sched::data(&task).affinity() & cpu::online_mask();
        write!(text, "Cpus_allowed:\t{cpus:x}\nCpus_allowed_list:\t")?;
        text.ranges(cpus)?;
        text.put(b"\n")?;
    }
    Ok(())
}

/// What each limit is called, and what it counts, by its number.
const LIMITS: [(&str, &str); 16] = [
    ("cpu time", "seconds"),
    ("file size", "bytes"),
    ("data size", "bytes"),
    ("stack size", "bytes"),
    ("core file size", "bytes"),
    ("resident set", "bytes"),
    ("processes", "processes"),
    ("open files", "files"),
    ("locked memory", "bytes"),
    ("address space", "bytes"),
    ("file locks", "locks"),
    ("pending signals", "signals"),
    ("msgqueue size", "bytes"),
    ("nice priority", ""),
    ("realtime priority", ""),
    ("realtime timeout", "us"),
];

/// `/proc/[pid]/limits`.
pub(super) fn limits(subject: Subject, text: &mut Text) -> Result<()> {
    let limits = process(subject)?.limits();
    writeln!(text, "{:<26}{:<21}{:<21}{:<10}", "Limit", "Soft Limit", "Hard Limit", "Units")?;
    for (resource, (name, unit)) in LIMITS.iter().enumerate() {
        let limit = limits.get(resource as u32)?;
        write!(text, "Max {name:<22}")?;
        for value in [limit.rlim_cur, limit.rlim_max] {
            match value {
                RLIM_INFINITY => write!(text, "{:<21}", "unlimited")?,
                value => write!(text, "{value:<21}")?,
            }
        }
        match unit.is_empty() {
            true => text.put(b"\n")?,
            false => writeln!(text, "{unit:<10}")?,
        }
    }
    Ok(())
}
