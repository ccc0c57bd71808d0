//! `profile`: switches the sampling profiler, shows where the time went, and saves it.

use super::command::{Command, CommandError, CommandResult, number};
use super::files::Writer;
use super::{Shell, interrupt};
use crate::process::sampled;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;
use klib::profile::{FrameName, Sample, Samples};
use machine::cpu::CpuId;
use machine::profile::{self, Refused};
use machine::sync::Mutex;
use machine::trap::symbols;

/// This file's command.
pub const COMMANDS: &[Command] = &[Command {
    name: "profile",
    arguments: "on|off|show|save [argument]",
    arity: (1, 2),
    help: "sample what all CPUs are doing, to see where time goes",
    details: "on [HZ]: begins, with so many samples a second on each CPU (99). off: ends it.\n\
              show [n]: prints the n functions in which most samples lie (20).\n\
              save PATH: writes the stacks to a file, of which tools/flame-graph makes a picture.\n\
              Example: profile on; exec 4 /bin/primes 15000; profile off; profile show; profile save /profile",
    run,
}];

/// Samples a second on each CPU: no multiple of what else comes at regular times.
const DEFAULT_HZ: u64 = 99;
const MOST_HZ: u64 = 10_000;
/// How many functions `show` shows.
const SHOWN: u64 = 20;
/// Memory on each CPU.
const BYTES: usize = 512 << 10;

/// The profile that was ended last.
static LAST: Mutex<Vec<(CpuId, Samples)>> = Mutex::new("profile", Vec::new());

fn run(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    match *arguments {
        ["on"] => start(DEFAULT_HZ),
        ["on", hz] => start(number(hz, "frequency in Hz", MOST_HZ)?),
        ["off"] => stop(shell),
        ["show"] => show(shell, SHOWN),
        ["show", count] => show(shell, number(count, "number of functions", u64::MAX)?),
        ["save", path] => save(path),
        ["save"] => Err(CommandError::about("save", "the path of a file is missing")),
        [what, ..] => Err(CommandError::about(what, "must be on, off, show or save, as `help profile` says")),
        [] => Ok(()),
    }
}

fn start(hz: u64) -> CommandResult {
    let period = 1_000_000_000u64.checked_div(hz).ok_or_else(|| CommandError::about("0", "no frequency"))?;
    profile::start(Duration::from_nanos(period), BYTES).map_err(|refused: Refused| CommandError::plain(refused))
}

fn stop(shell: &mut Shell) -> CommandResult {
    let samples = profile::stop().map_err(CommandError::plain)?;
    for (cpu, samples) in &samples {
        let (taken, lost) = (samples.taken(), samples.lost());
        writeln!(shell.out, "CPU {cpu}: {taken} samples, {lost} of them lost");
    }
    let old = core::mem::replace(&mut *LAST.lock(), samples);
    drop(old);
    Ok(())
}

/// A text and how many samples it stands for.
type Counted = (String, u64);

/// Sums up the samples by the text that `name` makes of each.
fn tally(name: &dyn Fn(&Sample<'_>, &mut String) -> core::fmt::Result) -> Result<Vec<Counted>, CommandError> {
    let last = LAST.lock();
    if last.is_empty() {
        return Err(CommandError::plain("there is no profile; `profile on` begins one"));
    }
    let mut sums: Vec<Counted> = Vec::new();
    for sample in last.iter().flat_map(|(_, samples)| samples.iter()) {
        interrupt::check()?;
        let mut text = String::new();
        name(&sample, &mut text).map_err(CommandError::plain)?;
        match sums.iter_mut().find(|(known, _)| *known == text) {
            Some((_, count)) => *count += sample.count,
            None => sums.push((text, sample.count)),
        }
    }
    Ok(sums)
}

/// The task, and the function in which the sample lies: not those inlined into it, which tell little by themselves.
fn innermost(sample: &Sample<'_>, out: &mut String) -> core::fmt::Result {
    write!(out, "{:15} ", sample.task.text())?;
    let Some(&word) = sample.stack.first() else { return Ok(()) };
    if sampled::write_place(word, out)? {
        return Ok(());
    }
    let before = out.len();
    symbols::for_each_function(word, &mut |name| {
        out.truncate(before);
        let _ = write!(out, "{name}");
    });
    Ok(())
}

/// The whole stack, outermost function first, with `;` between them; `_[k]` marks functions of the kernel.
fn folded(sample: &Sample<'_>, out: &mut String) -> core::fmt::Result {
    write!(FrameName(out), "{}", sample.task.text())?;
    for &word in sample.stack.iter().rev() {
        let mut place = String::new();
        if sampled::write_place(word, &mut FrameName(&mut place))? {
            write!(out, ";{place}")?;
            continue;
        }
        let mut names = Vec::new();
        symbols::for_each_function(word, &mut |name| {
            let mut text = String::new();
            let _ = write!(FrameName(&mut text), "{name}");
            names.push(text);
        });
        for name in names.iter().rev() {
            write!(out, ";{name}_[k]")?;
        }
    }
    Ok(())
}

fn show(shell: &mut Shell, most: u64) -> CommandResult {
    let mut sums = tally(&innermost)?;
    let all: u64 = sums.iter().map(|(_, count)| count).sum();
    writeln!(shell.out, "samples  share  task            function");
    for _ in 0..most {
        let Some(largest) = (0..sums.len()).max_by_key(|&at| sums[at].1) else { break };
        let (text, count) = sums.swap_remove(largest);
        let permille = count * 1000 / all.max(1);
        writeln!(shell.out, "{count:7} {:3}.{} %  {text}", permille / 10, permille % 10);
    }
    Ok(())
}

fn save(path: &str) -> CommandResult {
    let lines = tally(&folded)?;
    let mut writer = Writer::create(path)?;
    for (stack, count) in lines {
        writer.push(format!("{stack} {count}\n").as_bytes())?;
    }
    writer.flush()
}
