//! A trace as Chrome's trace-event JSON, which Perfetto and chrome://tracing show as a timeline.
//!
//! Each CPU has a track: which task ran, and in it the interrupts. Each task has one: its system calls and page faults
//! from begin to end, and, innermost, on which CPU it was while it ran at all; a system call in which nothing runs is one
//! that waits. Disk requests are asynchronous events. A slice is a pair of events `B` and `E`; on a track they nest, and
//! time never goes back.
//!
//! What was under way when the trace begins is left out up to its end; what is still under way when the trace ends
//! is closed there. The end of a slice on a CPU's track names the task that the kernel says it took off the CPU, the begin
//! the one that it put there: who checks the trace compares the two.

use super::file::Trace;
use super::text::call_name;
use super::{Access, Event, Left, Life, Record, merge};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Numbers of the processes that stand for the CPUs, the kernel's tasks and the disks: above all that Linux gives out.
const CPUS: u32 = 1 << 30;
const KERNEL: u32 = CPUS + 1;
const DISKS: u32 = CPUS + 2;

/// Writes the trace as JSON.
pub fn write(trace: &Trace, out: &mut dyn Write) -> fmt::Result {
    let mut timeline = Timeline::new(trace, out);
    write!(timeline.out, "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{")?;
    for part in &trace.cpus {
        write!(timeline.out, "\"records of CPU {0}\":{1},\"lost on CPU {0}\":{2},", part.cpu, part.count, part.lost)?;
    }
    write!(timeline.out, "\"end_ns\":{}}},\"traceEvents\":[", trace.end_ns)?;
    timeline.name_tracks()?;
    let mut result = Ok(());
    visit(trace, &mut |cpu, record| {
        result = timeline.record(cpu, record);
        result.is_ok()
    });
    result?;
    timeline.finish(trace.end_ns)?;
    timeline.out.write_str("\n]}\n")
}

fn visit(trace: &Trace, visit: &mut dyn FnMut(usize, &Record) -> bool) {
    let counts: Vec<usize> = trace.records.iter().map(Vec::len).collect();
    merge(&counts, &|cpu, index| trace.records[cpu].get(index).copied(), visit);
}

/// The names in a trace.
struct Names {
    tasks: BTreeMap<u32, Life>,
    interrupts: BTreeMap<u8, String>,
}

/// An open slice of a task's track.
enum Open {
    Call(u32),
    Fault,
}

#[derive(Default)]
struct Task {
    open: Vec<Open>,
    /// On which CPU it is.
    runs_on: Option<u32>,
}

#[derive(Default)]
struct Cpu {
    number: u32,
    /// The task that runs there; None before the first record.
    runs: Option<u32>,
    interrupts: Vec<u8>,
}

struct Timeline<'a> {
    out: &'a mut dyn Write,
    first: bool,
    names: Names,
    tasks: BTreeMap<u32, Task>,
    cpus: Vec<Cpu>,
    requests: BTreeMap<u32, String>,
}

/// Where an event belongs: process and thread.
#[derive(Clone, Copy)]
struct Track(u32, u32);

impl<'a> Timeline<'a> {
    fn new(trace: &Trace, out: &'a mut dyn Write) -> Self {
        let mut names = Names { tasks: BTreeMap::new(), interrupts: BTreeMap::new() };
        let mut learn = |record: &Record| match record.event {
            Event::Begin(life) | Event::Exec(life) | Event::End(life) => {
                names.tasks.insert(record.task, life);
            }
            Event::InterruptName { vector, name } => {
                names.interrupts.insert(vector, name.text().into());
            }
            _ => {}
        };
        trace.names.iter().for_each(&mut learn);
        visit(trace, &mut |_, record| {
            learn(record);
            true
        });
        let mut tasks = BTreeMap::new();
        for record in trace.records.iter().flatten() {
            let other = match record.event {
                Event::Switch { to, .. } => to,
                Event::Wake { task } => task,
                _ => record.task,
            };
            tasks.entry(record.task).or_insert_with(Task::default);
            tasks.entry(other).or_insert_with(Task::default);
        }
        let cpus = trace.cpus.iter().map(|part| Cpu { number: part.cpu, ..Cpu::default() }).collect();
        Timeline { out, first: true, names, tasks, cpus, requests: BTreeMap::new() }
    }

    fn event(
        &mut self,
        phase: char,
        ns: u64,
        Track(pid, tid): Track,
        category: &str,
        name: &str,
        more: fmt::Arguments<'_>,
    ) -> fmt::Result {
        let comma = if core::mem::replace(&mut self.first, false) { "" } else { "," };
        let (us, rest) = (ns / 1000, ns % 1000);
        write!(
            self.out,
            "{comma}\n{{\"ph\":\"{phase}\",\"ts\":{us}.{rest:03},\"pid\":{pid},\"tid\":{tid},\"cat\":\"{category}\",\"name\":{}{more}}}",
            Quoted(name)
        )
    }

    /// The names of tracks, and in which order they stand.
    fn name_tracks(&mut self) -> fmt::Result {
        let tasks: Vec<u32> = self.tasks.keys().copied().collect();
        let mut processes = BTreeSet::new();
        for task in tasks {
            let track = self.task_track(task);
            let name = format!("{} ({task})", self.task_name(task));
            if track.0 != KERNEL && processes.insert(track.0) {
                let process = format!("{} [pid {}]", self.task_name(task), track.0);
                self.meta(track, "process_name", &process)?;
            }
            self.meta(track, "thread_name", &name)?;
        }
        for (pid, name, place) in [(CPUS, "CPUs", -3), (DISKS, "disks", -2), (KERNEL, "kernel", -1)] {
            self.meta(Track(pid, 0), "process_name", name)?;
            let place = format_args!(",\"args\":{{\"sort_index\":{place}}}");
            self.event('M', 0, Track(pid, 0), "__metadata", "process_sort_index", place)?;
        }
        for index in 0..self.cpus.len() {
            let number = self.cpus[index].number;
            self.meta(cpu_track(number), "thread_name", &format!("CPU {number}"))?;
        }
        Ok(())
    }

    fn meta(&mut self, track: Track, what: &str, name: &str) -> fmt::Result {
        self.event('M', 0, track, "__metadata", what, format_args!(",\"args\":{{\"name\":{}}}", Quoted(name)))
    }

    fn record(&mut self, cpu: usize, record: &Record) -> fmt::Result {
        let Record { ns, task, event } = *record;
        let number = self.cpus[cpu].number;
        let about_another = matches!(event, Event::Begin(_));
        if self.cpus[cpu].runs.is_none() && !about_another {
            self.put_on(cpu, ns, task)?;
        }
        match event {
            Event::Switch { to, left, waits_for } => {
                let then = match left {
                    Left::Runnable => "gives way".into(),
                    Left::Waiting => format!("waits for {}", waits_for.text()),
                    Left::Dead => "is dead".into(),
                };
                self.take_off(cpu, ns, task, &then)?;
                self.put_on(cpu, ns, to)
            }
            Event::Wake { task: woken } => {
                let by = format!("woken by {}", self.task_name(task));
                self.instant(ns, woken, &by, format_args!(",\"args\":{{\"by\":{task},\"on_cpu\":{number}}}"))
            }
            Event::Call { number, arguments: [first, second] } => {
                let more = format_args!(",\"args\":{{\"first\":\"{first:#x}\",\"second\":\"{second:#x}\"}}");
                self.open(ns, task, Open::Call(number), more)
            }
            Event::Return { number, result } => {
                let more = format_args!(",\"args\":{{\"result\":{}}}", result as i64);
                self.close(ns, task, more, |open| matches!(open, Open::Call(open) if *open == number))
            }
            Event::Fault { address, access } => {
                let access = match access {
                    Access::Read => "read",
                    Access::Write => "write",
                    Access::Execute => "execute",
                };
                let more = format_args!(",\"args\":{{\"address\":\"{address:#x}\",\"access\":\"{access}\"}}");
                self.open(ns, task, Open::Fault, more)
            }
            Event::FaultEnd { resolved, .. } => {
                let more = format_args!(",\"args\":{{\"resolved\":{resolved}}}");
                self.close(ns, task, more, |open| matches!(open, Open::Fault))
            }
            Event::Interrupt { vector } => {
                self.cpus[cpu].interrupts.push(vector);
                let name = self.interrupt_name(vector);
                let more = format_args!(",\"args\":{{\"vector\":{vector}}}");
                self.event('B', ns, cpu_track(number), "interrupt", &name, more)
            }
            Event::InterruptEnd { vector } => {
                if self.cpus[cpu].interrupts.pop_if(|open| *open == vector).is_none() {
                    return Ok(());
                }
                let name = self.interrupt_name(vector);
                self.event('E', ns, cpu_track(number), "interrupt", &name, format_args!(""))
            }
            Event::Submit { id, transfer, sector, count, disk } => {
                let name = format!("{transfer:?} {}", disk.text());
                let more =
                    format_args!(",\"id\":{id},\"args\":{{\"sector\":{sector},\"sectors\":{count},\"task\":{task}}}");
                self.event('b', ns, Track(DISKS, 0), "disk", &name, more)?;
                self.requests.insert(id, name);
                Ok(())
            }
            Event::Complete { id, succeeded } => {
                let Some(name) = self.requests.remove(&id) else { return Ok(()) };
                let more = format_args!(",\"id\":{id},\"args\":{{\"succeeded\":{succeeded}}}");
                self.event('e', ns, Track(DISKS, 0), "disk", &name, more)
            }
            Event::Begin(life) => self.life(ns, task, "begins", &life),
            Event::Exec(life) => self.life(ns, task, "executes", &life),
            Event::End(life) => self.life(ns, task, "ends", &life),
            Event::InterruptName { .. } => Ok(()),
        }
    }

    /// Everything that is open ends.
    fn finish(&mut self, ns: u64) -> fmt::Result {
        for cpu in 0..self.cpus.len() {
            if let Some(task) = self.cpus[cpu].runs {
                self.take_off(cpu, ns, task, "end of the trace")?;
            }
        }
        let tasks: Vec<u32> = self.tasks.keys().copied().collect();
        for task in tasks {
            while self.tasks.get(&task).is_some_and(|state| !state.open.is_empty()) {
                self.close(ns, task, format_args!(",\"args\":{{\"unfinished\":true}}"), |_| true)?;
            }
        }
        for (id, name) in core::mem::take(&mut self.requests) {
            let more = format_args!(",\"id\":{id},\"args\":{{\"unfinished\":true}}");
            self.event('e', ns, Track(DISKS, 0), "disk", &name, more)?;
        }
        Ok(())
    }

    /// `task` begins to run.
    fn put_on(&mut self, cpu: usize, ns: u64, task: u32) -> fmt::Result {
        self.cpus[cpu].runs = Some(task);
        let number = self.cpus[cpu].number;
        let pid = self.names.tasks.get(&task).map_or(0, |life| life.pid);
        let name: String = self.task_name(task).into();
        let more = format_args!(",\"args\":{{\"task\":{task},\"pid\":{pid}}}");
        self.event('B', ns, cpu_track(number), "running", &name, more)?;
        self.pause(ns, task)?; // it runs nowhere else, unless the trace is wrong
        self.tasks.entry(task).or_default().runs_on = Some(number);
        self.resume(ns, task)
    }

    /// What runs stops running; `task` is what the kernel says that is.
    fn take_off(&mut self, cpu: usize, ns: u64, task: u32, then: &str) -> fmt::Result {
        while let Some(vector) = self.cpus[cpu].interrupts.last().copied() {
            self.record(cpu, &Record { ns, task, event: Event::InterruptEnd { vector } })?;
        }
        let number = self.cpus[cpu].number;
        let Some(ran) = self.cpus[cpu].runs.take() else { return Ok(()) };
        if self.tasks.get(&ran).is_some_and(|state| state.runs_on == Some(number)) {
            self.pause(ns, ran)?;
            self.tasks.entry(ran).or_default().runs_on = None;
        }
        let name: String = self.task_name(ran).into();
        let more = format_args!(",\"args\":{{\"task\":{task},\"then\":{}}}", Quoted(then));
        self.event('E', ns, cpu_track(number), "running", &name, more)
    }

    /// Opens a slice on a task's track.
    fn open(&mut self, ns: u64, task: u32, slice: Open, more: fmt::Arguments<'_>) -> fmt::Result {
        self.pause(ns, task)?;
        let (category, name) = slice.labels();
        self.event('B', ns, self.task_track(task), category, name, more)?;
        self.tasks.entry(task).or_default().open.push(slice);
        self.resume(ns, task)
    }

    /// Closes the innermost slice of a task's track, if it is the one meant.
    fn close(&mut self, ns: u64, task: u32, more: fmt::Arguments<'_>, meant: impl Fn(&Open) -> bool) -> fmt::Result {
        let slice = self.tasks.entry(task).or_default().open.pop_if(|open| meant(open));
        let Some(slice) = slice else { return Ok(()) };
        self.pause(ns, task)?;
        let (category, name) = slice.labels();
        self.event('E', ns, self.task_track(task), category, name, more)?;
        self.resume(ns, task)
    }

    /// Opens the innermost slice of a task that runs.
    fn resume(&mut self, ns: u64, task: u32) -> fmt::Result {
        self.running(ns, task, 'B')
    }

    /// Closes it.
    fn pause(&mut self, ns: u64, task: u32) -> fmt::Result {
        self.running(ns, task, 'E')
    }

    fn running(&mut self, ns: u64, task: u32, phase: char) -> fmt::Result {
        let Some(cpu) = self.tasks.get(&task).and_then(|state| state.runs_on) else { return Ok(()) };
        let name = format!("on CPU {cpu}");
        self.event(phase, ns, self.task_track(task), "running", &name, format_args!(""))
    }

    fn life(&mut self, ns: u64, task: u32, what: &str, life: &Life) -> fmt::Result {
        let name = Quoted(life.name.text());
        self.instant(ns, task, what, format_args!(",\"args\":{{\"name\":{name},\"pid\":{}}}", life.pid))
    }

    fn instant(&mut self, ns: u64, task: u32, name: &str, more: fmt::Arguments<'_>) -> fmt::Result {
        self.event('i', ns, self.task_track(task), "task", name, format_args!(",\"s\":\"t\"{more}"))
    }

    fn task_track(&self, task: u32) -> Track {
        let pid = self.names.tasks.get(&task).map_or(0, |life| life.pid);
        Track(if pid == 0 { KERNEL } else { pid }, task)
    }

    fn task_name(&self, task: u32) -> &str {
        self.names.tasks.get(&task).map_or("task", |life| life.name.text())
    }

    fn interrupt_name(&self, vector: u8) -> String {
        self.names.interrupts.get(&vector).cloned().unwrap_or_else(|| format!("interrupt {vector}"))
    }
}

impl Open {
    fn labels(&self) -> (&'static str, &'static str) {
        match self {
            Open::Call(number) => ("syscall", call_name(*number)),
            Open::Fault => ("fault", "page fault"),
        }
    }
}

fn cpu_track(number: u32) -> Track {
    Track(CPUS, number)
}

/// A string in JSON.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}
