//! What a command is, and the errors it gives: one line, `name: <argument>: what is wrong`.

use super::Shell;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

/// One command of the shell.
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// Its arguments as `help` shows them, optional ones in brackets; the n-th word names the n-th argument.
    pub arguments: &'static str,
    /// Fewest and most arguments.
    pub arity: (usize, usize),
    /// One line on what it does.
    pub help: &'static str,
    /// More, with an example.
    pub details: &'static str,
    /// Does it; the arguments come without the name, their number checked against `arity`.
    pub run: fn(&mut Shell, &[&str]) -> CommandResult,
}

/// Any number of arguments.
pub const ANY: usize = usize::MAX;

/// How a command ended.
pub type CommandResult = Result<(), CommandError>;

/// Why a command failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommandError {
    /// To be printed behind the command's name: the argument that is at fault, and what is wrong with it.
    About {
        /// The argument.
        argument: String,
        /// What is wrong.
        problem: String,
    },
    /// Of no argument in particular.
    Plain(String),
    /// The command has printed what there is to say.
    Reported,
    /// So it has; the program that it ran ended with this status, not 0.
    Ended(u8),
}

impl CommandError {
    /// `problem` with `argument`.
    pub fn about(argument: impl fmt::Display, problem: impl fmt::Display) -> Self {
        CommandError::About { argument: argument.to_string(), problem: problem.to_string() }
    }

    /// `problem`, of no argument in particular.
    pub fn plain(problem: impl fmt::Display) -> Self {
        CommandError::Plain(problem.to_string())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::About { argument, problem } => write!(f, "{argument}: {problem}"),
            CommandError::Plain(problem) => f.write_str(problem),
            CommandError::Reported | CommandError::Ended(_) => Ok(()),
        }
    }
}

impl Command {
    /// The arguments that it cannot do without.
    fn needed(&self) -> impl Iterator<Item = &'static str> {
        self.arguments.split_whitespace().filter(|argument| !argument.starts_with('['))
    }

    /// Whether `count` arguments (`given`) are as many as it takes; the error names the one missing or too many.
    pub fn check_arity(&self, given: &[&str]) -> CommandResult {
        let (least, most) = self.arity;
        if let Some(extra) = given.get(most) {
            return Err(CommandError::about(extra, format_args!("one argument too many; usage: {self}")));
        }
        if given.len() < least {
            let missing = self.needed().nth(given.len()).unwrap_or("argument");
            return Err(CommandError::about(missing, format_args!("argument is missing; usage: {self}")));
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    /// The usage: name and arguments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.arguments {
            "" => f.write_str(self.name),
            arguments => write!(f, "{} {arguments}", self.name),
        }
    }
}

/// The number in `text`, decimal or with `0x` hexadecimal, at most `most`; `what` it is goes into the error.
pub fn number(text: &str, what: &str, most: u64) -> Result<u64, CommandError> {
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` would take a sign.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse(),
        _ => return Err(CommandError::about(text, format_args!("{what} is not a number"))),
    };
    match value {
        Ok(value) if value <= most => Ok(value),
        Err(error) if *error.kind() == core::num::IntErrorKind::Empty => {
            Err(CommandError::about(text, format_args!("{what} is not a number")))
        }
        _ => Err(CommandError::about(text, format_args!("{what} is larger than {most}"))),
    }
}

/// The seconds in `text`, with up to nine decimals.
pub fn seconds(text: &str) -> Result<Duration, CommandError> {
    let wrong = || CommandError::about(text, "not a number of seconds");
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits || (whole.is_empty() && decimals.is_empty()) {
        return Err(wrong());
    }
    if decimals.len() > 9 {
        return Err(CommandError::about(text, "more than nine decimals"));
    }
    let whole: u32 = match whole {
        "" => 0,
        whole => whole.parse().map_err(|_| CommandError::about(text, "too many seconds"))?,
    };
    let scale = 10u32.pow(9 - decimals.len() as u32);
    let nanoseconds = decimals.parse::<u32>().unwrap_or(0) * scale;
    Ok(Duration::new(whole.into(), nanoseconds))
}
