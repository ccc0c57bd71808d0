//! `storm`: all CPUs use a disk and the entropy source at full rate, or log, at once; then everything is accounted for.
//!
//! Whatever a storm finds wrong is in its error, so that `exit` and the tests see it. Each CPU gets tasks of its own, which
//! end at the storm's deadline, at Ctrl-C or when one of them has found something; the command waits for all of them.

mod disk;
mod entropy;
mod interrupts;

use super::command::{Command, CommandError, CommandResult, number};
use super::{Shell, interrupt};
use crate::sched;
use crate::{device, vfs};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use disk::Area;
use interrupts::{Interrupts, Source};
use machine::cpu::{self, CpuId};
use machine::sync::{Rank, SpinLock, WaitQueue};
use machine::task;
use machine::time::{self, Instant};

/// This file's command.
pub const COMMANDS: &[Command] = &[Command {
    name: "storm",
    arguments: "device|log [amount]",
    arity: (1, 2),
    help: "use a disk and the entropy source at full rate on all CPUs, or log",
    details: "With a device number, for so many seconds (10): each CPU writes and reads the first 16 MiB of the disk, past\n\
              the page cache, and reads the entropy source. What was on the disk is lost. At the end every request\n\
              must have been answered, every sector must hold what was written there last, and the interrupts must\n\
              be as many as the requests want. With `log`, each CPU logs so many lines (1000), one of a hundred as a\n\
                  warning.\n\
              Example: storm 3 60",
    run: storm,
}];

/// What is taken where no amount is given, and the most.
const SECONDS: (u64, u64) = (10, 24 * 3600);
const LINES: (u64, u64) = (1000, 1_000_000);
/// One line of so many is a warning, which goes to the console as well.
const TO_CONSOLE: u64 = 100;

fn storm(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let amount = |what, (usual, most)| arguments.get(1).map_or(Ok(usual), |text| number(text, what, most));
    match arguments[0] {
        "log" => log_lines(shell, amount("number of lines", LINES)?),
        index => storm_device(shell, index, Duration::from_secs(amount("seconds", SECONDS)?)),
    }
}

/// Every CPU logs `count` lines, as fast as it can.
fn log_lines(shell: &mut Shell, count: u64) -> CommandResult {
    let start = time::now();
    let mut crew = Crew::new();
    for cpu in cpu::online() {
        crew.add("log storm", cpu, move || {
            for line in 1..=count {
                let level = if line % TO_CONSOLE == 0 { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "storm from CPU {cpu}, line {line} of {count}.");
            }
        })?;
    }
    let cpus = crew.wait().len();
    writeln!(shell.out, "{count} lines from each of {cpus} CPUs in {} ms", (time::now() - start).as_millis());
    Ok(())
}

/// What the tasks of a storm share.
struct Weather {
    end: Instant,
    over: AtomicBool,
}

impl Weather {
    /// Whether to go on.
    fn goes_on(&self) -> bool {
        time::now() < self.end && !self.over.load(Ordering::Relaxed) && !interrupt::raised()
    }

    /// Passes `result` on; an error ends the storm.
    fn note<R>(&self, result: Result<R, String>) -> Result<R, String> {
        if result.is_err() {
            self.over.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// What one task did: of `kind`, so many requests.
struct Done {
    kind: Kind,
    cpu: CpuId,
    requests: Result<u64, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Entropy,
}

fn storm_device(shell: &mut Shell, text: &str, duration: Duration) -> CommandResult {
    let about = |problem: &dyn core::fmt::Display| CommandError::about(text, problem);
    let index = number(text, "device", u32::MAX.into())? as usize;
    let Some(node) = vfs::whole_disk(index) else {
        return Err(super::devices::no_device(text, device::block_devices().len()));
    };
    if node.is_open() {
        return Err(about(&"the disk is in use"));
    }
    let opened = node.open(true).map_err(|error| about(&super::error_text(error)))?;
    let disk = opened.node().disk().clone();
    let area = Area::of(&disk, cpu::online_count().into()).map_err(|problem| about(&problem))?;
    let (before, disk_before, entropy) = (Interrupts::now(), disk::ended(&disk), device::random());
    let entropy_before = entropy.as_ref().map_or(0, |source| source.requests().1);

    let filled = area.fill(&disk).map_err(|problem| about(&problem))?;
    let weather = Arc::new(Weather { end: time::now() + duration, over: AtomicBool::new(false) });
    let mut crew = Crew::new();
    for (number, cpu) in (0..).zip(cpu::online()) {
        let (shared, disk) = (weather.clone(), disk.clone());
        crew.add("disk storm", cpu, move || {
            let requests = shared.note(disk::work(&shared, &disk, area, number));
            Done { kind: Kind::Disk, cpu, requests }
        })?;
        let Some(source) = entropy.clone() else { continue };
        let shared = weather.clone();
        crew.add("entropy storm", cpu, move || {
            let requests = shared.note(entropy::work(&shared, &*source));
            Done { kind: Kind::Entropy, cpu, requests }
        })?;
    }
    let done = crew.wait();
    let mut problems: Vec<String> = done.iter().filter_map(|done| done.requests.clone().err()).collect();
    for cpu in cpu::online() {
        let count = |kind| sum(done.iter().filter(|done| done.kind == kind && done.cpu == cpu));
        writeln!(shell.out, "CPU {cpu}: {} disk requests, {} random", count(Kind::Disk), count(Kind::Entropy));
    }
    let sent = filled + sum(done.iter().filter(|done| done.kind == Kind::Disk));
    let disk_source = Source { name: disk.name().into(), sent, answered: disk::ended(&disk) - disk_before };
    let mut sources = alloc::vec![(disk_source, device::vectors_of_disk(disk.device()))];
    if let Some(source) = entropy {
        let (sent, answered) = source.requests();
        let counts =
            Source { name: source.name().into(), sent: sent - entropy_before, answered: answered - entropy_before };
        sources.push((counts, device::vectors_of_random()));
    }
    let came = before.since();
    for (source, vectors) in &sources {
        let interrupts = came.of(vectors);
        writeln!(shell.out, "{source}, {interrupts}");
        problems.extend(source.problems(&interrupts));
    }
    problems.extend(came.unexpected());
    interrupt::check()?;
    match problems.is_empty() {
        true => writeln!(shell.out, "no request lost, no data wrong, no interrupt missing or too many"),
        false => return Err(CommandError::plain(problems.join("; "))),
    }
    Ok(())
}

/// Requests of tasks that went well; the others tell their problem instead.
fn sum<'a>(done: impl Iterator<Item = &'a Done>) -> u64 {
    done.filter_map(|done| done.requests.as_ref().ok()).sum()
}

/// Tasks that give an `R` each when they end.
struct Crew<R> {
    given: Arc<Given<R>>,
    members: usize,
}

struct Given<R> {
    results: SpinLock<Vec<R>>,
    arrived: WaitQueue,
}

impl<R: Send + 'static> Crew<R> {
    fn new() -> Self {
        let results = SpinLock::new("results of a storm", Rank::Table, Vec::new());
        Crew { given: Arc::new(Given { results, arrived: WaitQueue::new("the end of a storm") }), members: 0 }
    }

    /// Starts a task that stays on `cpu`. On an error those that run end by themselves.
    fn add(&mut self, name: &str, cpu: CpuId, work: impl FnOnce() -> R + Send + 'static) -> CommandResult {
        let given = self.given.clone();
        let entry = move || {
            sched::set_affinity(&task::current().arc(), 1 << cpu.number());
            let result = work();
            given.results.lock().push(result);
            given.arrived.wake_all();
        };
        sched::spawn(name, entry).map_err(|_| CommandError::plain("out of memory"))?;
        self.members += 1;
        Ok(())
    }

    /// What all have given, in the order of their ends.
    fn wait(self) -> Vec<R> {
        self.given.arrived.wait(|| (self.given.results.lock().len() == self.members).then_some(()));
        core::mem::take(&mut *self.given.results.lock())
    }
}
