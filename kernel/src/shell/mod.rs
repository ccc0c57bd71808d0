//! The kernel's shell: what runs the commands of the boot command line, then those typed at the prompt.
//!
//! It is a kernel task. A command is one entry of a static table in the file of its group; it writes through
//! [`Output`], fails with a [`CommandError`], and looks at [`interrupt`] when it takes long. The shell holds no lock while
//! a command runs, and remembers whether any failed, for `exit`.

mod changes;
mod checks;
mod command;
mod complete;
mod crash;
mod devices;
mod exec;
mod files;
mod inspect;
mod interrupt;
mod mounts;
mod output;
mod pager;
mod profile;
mod prompt;
mod screen;
mod storm;
mod system;
mod tasks;
mod tests;
mod trace;

use crate::sched;
use crate::tty;
use abi::Errno;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use command::{Command, CommandError, CommandResult};
use klib::words;
use machine::boot::{self, timeline};
use machine::mm::OutOfMemory;
use output::Output;
use pager::Pager;
use prompt::Prompt;

/// Name of the boot stage that ends when the shell takes its first command.
pub const PROMPT_STAGE: &str = "prompt";

/// Every command, by group.
static GROUPS: [&[Command]; 14] = [
    system::COMMANDS,
    exec::COMMANDS,
    files::COMMANDS,
    changes::COMMANDS,
    mounts::COMMANDS,
    devices::COMMANDS,
    inspect::COMMANDS,
    screen::COMMANDS,
    tasks::COMMANDS,
    trace::COMMANDS,
    profile::COMMANDS,
    tests::COMMANDS,
    storm::COMMANDS,
    crash::COMMANDS,
];

/// All commands, sorted by nothing but their groups.
fn commands() -> impl Iterator<Item = &'static Command> {
    GROUPS.iter().copied().flatten()
}

/// The command called `name`.
fn find(name: &str) -> Option<&'static Command> {
    commands().find(|command| command.name == name)
}

/// Starts the shell's task, which owns the console terminal from then on.
pub fn start() -> Result<(), OutOfMemory> {
    tty::console().on_interrupt(interrupt::raise);
    sched::spawn("shell", || run(boot::info().raw_command_line())).map(drop)
}

/// The shell's life: the commands of the boot command line, then the prompt.
fn run(raw_command_line: &str) -> ! {
    let mut shell = Shell::new(Output::Console);
    timeline::mark(PROMPT_STAGE);
    shell.run_echoed(&words::grub_unescape(raw_command_line));
    let mut prompt = Prompt::new();
    loop {
        let line = prompt.read_line(&shell);
        shell.out = Pager::for_typed_line().map_or(Output::Console, Output::Paged);
        shell.run_line(&line);
        shell.out = Output::Console;
    }
}

/// One shell: where its output goes, and how its commands went.
pub struct Shell {
    /// Where commands write.
    pub out: Output,
    /// How the last command ended; 0 is well.
    status: u8,
    any_failed: bool,
}

impl Shell {
    /// A shell in which nothing has failed yet.
    pub fn new(out: Output) -> Self {
        Shell { out, status: 0, any_failed: false }
    }

    /// Whether any command has failed so far.
    pub fn any_failed(&self) -> bool {
        self.any_failed
    }

    /// Runs the commands of `line` one after the other, whatever becomes of each; Ctrl-C ends the whole line.
    pub fn run_line(&mut self, line: &str) {
        self.run_each(line, false);
    }

    /// Like [`Shell::run_line`], but shows each command behind a prompt first, so that the output reads like a session.
    pub fn run_echoed(&mut self, line: &str) {
        self.run_each(line, true);
    }

    /// The prompt: green if the last command went well, else red and behind its status.
    pub fn prompt(&self) -> String {
        let text = match self.status {
            0 => "ksh > ".into(),
            status => format!("[{status}] ksh > "),
        };
        match (self.out.colours(), self.status) {
            (false, _) => text,
            (true, 0) => format!("\x1b[32m{text}\x1b[0m"),
            (true, _) => format!("\x1b[31m{text}\x1b[0m"),
        }
    }

    fn run_each(&mut self, line: &str, echo: bool) {
        interrupt::clear();
        let commands = match words::split_commands(line) {
            Ok(commands) => commands,
            Err(error) => {
                if echo {
                    writeln!(self.out, "{}{line}", self.prompt());
                }
                return self.report("ksh", Err(CommandError::plain(error)));
            }
        };
        for words in commands {
            if echo {
                let quoted: Vec<String> = words.iter().map(|word| words::quote(word)).collect();
                writeln!(self.out, "{}{}", self.prompt(), quoted.join(" "));
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Some((name, arguments)) = words.split_first() {
                let result = run_command(self, name, arguments);
                self.report(name, result);
            }
            if interrupt::raised() {
                return;
            }
        }
    }

    fn report(&mut self, name: &str, result: CommandResult) {
        self.status = match result {
            Ok(()) => 0,
            Err(CommandError::Ended(status)) => status,
            Err(_) => 1,
        };
        self.any_failed |= self.status != 0;
        match result {
            Ok(()) | Err(CommandError::Reported | CommandError::Ended(_)) => {}
            Err(error) => writeln!(self.out, "{name}: {error}"),
        }
    }
}

fn run_command(shell: &mut Shell, name: &str, arguments: &[&str]) -> CommandResult {
    let command = find(name).ok_or_else(|| CommandError::plain("no such command; help lists them"))?;
    command.check_arity(arguments)?;
    (command.run)(shell, arguments)
}

/// An error number as the shell's messages show it: Linux's text and the name.
fn error_text(errno: Errno) -> String {
    format!("{} ({})", errno.message(), errno.name())
}
