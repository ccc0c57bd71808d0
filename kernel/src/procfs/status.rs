//! Numbers about a process or a thread: stat, status, limits.

use super::subject::{may_inspect, process, thread};
use crate::process::Process;
use crate::sched::{self, policy::Class};
use crate::tty;
use crate::vfs::Result;
use crate::vfs::pseudo::{Subject, Text};
use crate::vm::{AddressSpace, Program};
use abi::signal::SigSet;
use abi::system::{RLIM_INFINITY, RLIMIT_RSS};
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::Ordering;
use machine::cpu;

/// Ns in a tick of times(2).
pub(super) const TICK_NS: u64 = 10_000_000;
/// Nice value 0 as a priority.
const PRIORITY: i64 = 20;
/// PF_EXITING and PF_FORKNOEXEC.
const FLAG_EXITING: i64 = 4;
const FLAG_FORKED: i64 = 0x40;

/// The name of a thread, or of a whole process.
pub(super) fn put_name(process: &Process, subject: Subject, text: &mut Text) -> Result<()> {
    let name = match subject.part {
        0 => process.name(),
        _ => thread(process, subject)?.map_or([0; 15], |thread| thread.name()),
    };
    text.put(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(name.len())]);
    Ok(())
}

/// A thread, or a process with its first thread, and what is known of it wherever it is asked for.
pub(super) struct View {
    process: Arc<Process>,
    space: Option<Arc<AddressSpace>>,
    /// Process or thread.
    number: u32,
    state: &'static str,
    cpu: u32,
    nice: i32,
    policy: Class,
    /// CPUs it may run on.
    cpus: u64,
    /// What it sleeps for.
    pub waits_for: &'static str,
    /// Pending signals of the thread and of its process, blocked, ignored and caught ones.
    signals: [SigSet; 5],
    no_new_privileges: bool,
    /// Number of who traces the thread; 0 for nobody.
    tracer: u32,
}

impl View {
    #[inline(never)]
    pub(super) fn of(subject: Subject) -> Result<View> {
        let process = process(subject)?;
        let (ignored, caught) = process.actions.sets();
        let mut view = View {
            space: process.try_space(),
            number: process.pid(),
            state: "Z (zombie)",
            cpu: 0,
            nice: 0,
            policy: Class::Normal,
            cpus: u64::MAX,
            waits_for: "",
            signals: [SigSet::EMPTY, process.pending.set(), SigSet::EMPTY, ignored, caught],
            no_new_privileges: false,
            tracer: 0,
            process,
        };
        let Some(thread) = thread(&view.process, subject)? else { return Ok(view) };
        view.number = thread.tid();
        view.no_new_privileges = thread.no_new_privileges.load(Ordering::Relaxed);
        view.tracer = thread.tracer_pid();
        view.signals[0] = thread.pending.set();
        view.signals[2] = thread.blocked();
        let Some(task) = thread.task().filter(|_| !view.process.is_gone()) else { return Ok(view) };
        let (info, data) = (sched::info(&task), sched::data(&task));
        // A sleep for a disk is one like others here.
        view.state = match info.state {
            "dead" => view.state,
            _ if thread.is_trace_stopped() => "t (tracing stop)",
            // Its parent may know before it sleeps.
            _ if view.process.is_stopped() && !thread.is_traced() => "T (stopped)",
            "waiting" => "S (sleeping)",
            _ => "R (running)",
        };
        (view.cpu, view.waits_for) = (info.cpu, info.waiting_for);
        (view.nice, view.cpus, view.policy) = (data.nice(), data.affinity(), data.policy().class);
        Ok(view)
    }
}

/// `/proc/[pid]/stat`: 52 fields on a line.
pub(super) fn stat(subject: Subject, text: &mut Text) -> Result<()> {
    let view = View::of(subject)?;
    let process = &*view.process;
    let (terminal, foreground) = terminal(process);
    let time = match thread(process, subject)? {
        Some(thread) if subject.part != 0 => thread.cpu_time(),
        _ => process.cpu_time(),
    };
    let children = process.cpu.children();
    let flags =
        if process.is_ending() { FLAG_EXITING } else { 0 } | if process.has_executed() { 0 } else { FLAG_FORKED };
    write!(text, "{} (", view.number);
    put_name(process, subject, text)?;
    write!(text, ") {}", &view.state[..1]);
    let ticks = |ns: u64| (ns / TICK_NS) as i64;
    let space = view.space.as_deref();
    let nice = i64::from(view.nice);
    let real_time = view.policy.priority().map(i64::from);
    let priority = real_time.map_or(PRIORITY + nice, |priority| -1 - priority);
    put_numbers(text, &[process.parent(), process.group(), process.session()].map(i64::from));
    // Page faults are not counted.
    put_numbers(text, &[terminal, foreground, flags, 0, 0, 0, 0, ticks(time.user_ns), ticks(time.system_ns)]);
    put_numbers(text, &[ticks(children.user_ns), ticks(children.system_ns), priority, nice]);
    put_numbers(text, &[process.thread_count() as i64]);
    put_numbers(text, &[0, ticks(process.started().as_ns()), space.map_or(0, |space| space.totals().mapped as i64)]);
    put_numbers(text, &[space.map_or(0, |space| space.resident_pages() as i64)]);
    write!(text, " {}", process.limits().current(RLIMIT_RSS));
    let space = space.filter(|_| may_inspect(process));
    let program = space.and_then(|space| space.program());
    let put_range = |text: &mut Text, range: fn(&Program) -> &Range<u64>| {
        let range = program.map_or(&(0..0), |program| range(program));
        put_numbers(text, &[range.start as i64, range.end as i64]);
    };
    put_range(text, |program| &program.code);
    put_numbers(text, &[program.map_or(0, |program| program.stack as i64), 0, 0]);
    let [pending, shared, blocked, ignored, caught] = view.signals.map(|set| (set.0 & 0x7fff_ffff) as i64);
    put_numbers(text, &[pending | shared, blocked, ignored, caught, (!view.waits_for.is_empty()).into(), 0, 0]);
    let policy = view.policy.number().into();
    // No delays are counted, and there are no guests.
    put_numbers(text, &[process.exit_signal().into(), view.cpu.into(), real_time.unwrap_or(0), policy, 0, 0, 0]);
    put_range(text, |program| &program.data);
    put_numbers(text, &[space.map_or(0, |space| space.heap().0 as i64)]);
    put_range(text, |program| &program.args);
    put_range(text, |program| &program.env);
    let end = process.status().filter(|_| process.is_gone() && may_inspect(process));
    put_numbers(text, &[end.map_or(0, |end| end.wait_status().encode().into())]);
    text.put(b"\n");
    Ok(())
}

fn put_numbers(text: &mut Text, numbers: &[i64]) {
    for number in numbers {
        write!(text, " {number}");
    }
}

/// The number of the terminal that controls the process, and its foreground group; 0 and -1 without one.
fn terminal(process: &Process) -> (i64, i64) {
    match tty::controlling(process.session()) {
        Some(terminal) => (terminal.number() as i64, terminal.group().into()),
        None => (0, -1),
    }
}

/// `/proc/[pid]/status`: the same and more for people.
pub(super) fn status(subject: Subject, text: &mut Text) -> Result<()> {
    let view = View::of(subject)?;
    let process = &*view.process;
    text.put(b"Name:\t");
    put_name(process, subject, text)?;
    writeln!(text, "\nUmask:\t{:04o}\nState:\t{}", process.umask(), view.state);
    let numbers =
        [("Tgid", process.pid()), ("Pid", view.number), ("PPid", process.parent()), ("TracerPid", view.tracer)];
    for (name, number) in numbers {
        writeln!(text, "{name}:\t{number}");
    }
    let credentials = process.credentials();
    for (name, identity) in [("Uid", credentials.user), ("Gid", credentials.group)] {
        let (real, effective) = (identity.real, identity.effective);
        writeln!(text, "{name}:\t{real}\t{effective}\t{}\t{}", identity.saved, identity.file);
    }
    write!(text, "FDSize:\t{}\nGroups:\t", process.files.with(|files| files.room()));
    for group in credentials.groups.iter() {
        write!(text, "{group} ");
    }
    text.put(b"\n");
    super::memory::status(process, text);
    writeln!(text, "Threads:\t{}", process.thread_count());
    let [pending, shared, blocked, ignored, caught] = view.signals.map(|set| set.0);
    let capabilities = credentials.capabilities;
    let sets = [
        ("SigPnd", pending),
        ("ShdPnd", shared),
        ("SigBlk", blocked),
        ("SigIgn", ignored),
        ("SigCgt", caught),
        ("CapInh", capabilities.inheritable),
        ("CapPrm", capabilities.permitted),
        ("CapEff", capabilities.effective),
        ("CapBnd", capabilities.bounding),
        ("CapAmb", capabilities.ambient),
    ];
    for (name, set) in sets {
        writeln!(text, "{name}:\t{set:016x}");
    }
    writeln!(text, "NoNewPrivs:\t{}\nSeccomp:\t0", u8::from(view.no_new_privileges));
    let cpus = view.cpus & cpu::online_mask();
    write!(text, "Cpus_allowed:\t{cpus:x}\nCpus_allowed_list:\t");
    text.ranges(cpus);
    text.put(b"\n");
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
    writeln!(text, "{:<26}{:<21}{:<21}{:<10}", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (resource, (name, unit)) in LIMITS.iter().enumerate() {
        let limit = limits.get(resource as u32)?;
        write!(text, "Max {name:<22}");
        for value in [limit.rlim_cur, limit.rlim_max] {
            match value {
                RLIM_INFINITY => write!(text, "{:<21}", "unlimited"),
                value => write!(text, "{value:<21}"),
            }
        }
        match unit.is_empty() {
            true => text.put(b"\n"),
            false => writeln!(text, "{unit:<10}"),
        }
    }
    Ok(())
}
