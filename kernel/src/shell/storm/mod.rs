//! `storm`: all CPUs use a disk and the entropy source at full rate, or log, at once; then everything is accounted for.
//!
//! Whatever a storm finds wrong is in its error, so that `exit` and the tests see it. Each CPU gets tasks of its own, which
//! end at the storm's deadline, at Ctrl-C or when one of them has found something; the command waits for all of them.

mod disk;
mod entropy;
mod interrupts;

use super::command::{Command, CommandError, CommandResult, number};
use super::{Shell, interrupt};
use crate::device;
use crate::sched;
use crate::vfs::{self, Opened};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use disk::Area;
use interrupts::{Came, Interrupts, Source};
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
        let work = move || {
            for line in 1..=count {
                let level = if line % TO_CONSOLE == 0 { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "storm from CPU {cpu}, line {line} of {count}.");
            }
            Ok(count)
        };
        crew.add("log storm", cpu, Box::new(work))?;
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

/// What a task does: how many requests it has made, or what it has found wrong.
type Work = Box<dyn FnOnce() -> Result<u64, String> + Send>;

/// What one task of a storm has done.
struct Done {
    name: &'static str,
    cpu: CpuId,
    requests: Result<u64, String>,
}

const DISK: &str = "disk storm";
const ENTROPY: &str = "entropy storm";

/// The disk with this number, which nobody else may use meanwhile, and what of it is used.
fn target(text: &str) -> Result<(Opened, Area), CommandError> {
    let about = |problem: String| CommandError::about(text, problem);
    let index = number(text, "device", u32::MAX.into())? as usize;
    let Some(node) = vfs::whole_disk(index) else {
        return Err(super::devices::no_device(text, device::block_devices().len()));
    };
    if node.is_open() {
        return Err(about("the disk is in use".into()));
    }
    let area = Area::of(node.disk(), cpu::online_count().into()).map_err(about)?;
    let opened = node.open(true).map_err(|error| about(super::error_text(error)))?;
    Ok((opened, area))
}

fn storm_device(shell: &mut Shell, text: &str, duration: Duration) -> CommandResult {
    let (opened, area) = target(text)?;
    let disk = opened.node().disk();
    let (before, disk_before, entropy) = (Interrupts::now(), disk::ended(disk), device::random());
    let entropy_before = entropy.as_ref().map_or(0, |source| source.requests().1);

    let filled = area.fill(disk).map_err(|problem| CommandError::about(text, problem))?;
    let weather = Arc::new(Weather { end: time::now() + duration, over: AtomicBool::new(false) });
    let mut crew = Crew::new();
    for (number, cpu) in (0..).zip(cpu::online()) {
        let (shared, disk) = (weather.clone(), disk.clone());
        crew.add(DISK, cpu, Box::new(move || shared.note(disk::work(&shared, &disk, area, number))))?;
        if let Some(source) = entropy.clone() {
            let shared = weather.clone();
            crew.add(ENTROPY, cpu, Box::new(move || shared.note(entropy::work(&shared, &*source))))?;
        }
    }
    let done = crew.wait();
    let came = before.since();
    let mut problems = came.unexpected();
    let mut sent = filled;
    for Done { name, cpu, requests } in done {
        match requests {
            Ok(count) => {
                writeln!(shell.out, "{name} on CPU {cpu}: {count} requests");
                sent += if name == DISK { count } else { 0 };
            }
            Err(problem) => problems.push(problem),
        }
    }
    let source = Source { name: disk.name(), sent, answered: disk::ended(disk) - disk_before };
    account(shell, &source, &came.of(device::vectors_of_disk(disk.device())), &mut problems);
    if let Some(entropy) = &entropy {
        let (sent, answered) = entropy.requests();
        let source = Source { name: entropy.name(), sent: sent - entropy_before, answered: answered - entropy_before };
        account(shell, &source, &came.of(device::vectors_of_random()), &mut problems);
    }
    interrupt::check()?;
    if !problems.is_empty() {
        return Err(CommandError::plain(problems.join("; ")));
    }
    writeln!(shell.out, "no request lost, no data wrong, no interrupt missing or too many");
    Ok(())
}

/// Shows the account of one device; what does not fit goes to the problems.
fn account(shell: &mut Shell, source: &Source<'_>, came: &Came, problems: &mut Vec<String>) {
    writeln!(shell.out, "{source}, {came}");
    source.check(came, problems);
}

/// Tasks, each on a CPU of its own choice.
struct Crew {
    given: Arc<Given>,
    members: usize,
}

struct Given {
    results: SpinLock<Vec<Done>>,
    arrived: WaitQueue,
}

impl Crew {
    fn new() -> Self {
        let results = SpinLock::new("results of a storm", Rank::Table, Vec::new());
        Crew { given: Arc::new(Given { results, arrived: WaitQueue::new("the end of a storm") }), members: 0 }
    }

    /// Starts a task that stays on `cpu`. On an error those that run end by themselves.
    fn add(&mut self, name: &'static str, cpu: CpuId, work: Work) -> CommandResult {
        let given = self.given.clone();
        let entry = move || {
            sched::set_affinity(&task::current().arc(), 1 << cpu.number());
            let requests = work();
            given.results.lock().push(Done { name, cpu, requests });
            given.arrived.wake_all();
        };
        sched::spawn(name, entry).map_err(|_| CommandError::plain("out of memory"))?;
        self.members += 1;
        Ok(())
    }

    /// What all have done, in the order of their ends.
    fn wait(self) -> Vec<Done> {
        self.given.arrived.wait(|| (self.given.results.lock().len() == self.members).then_some(()));
        core::mem::take(&mut *self.given.results.lock())
    }
}
