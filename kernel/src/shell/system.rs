//! Commands about the shell itself and the kernel as a whole.

use super::command::{ANY, Command, CommandError, CommandResult, number};
use super::output::{Align, Table};
use super::{Shell, commands, error_text, find};
use crate::vfs;
use machine::{cpu, power, time};

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        arguments: "[command]",
        arity: (0, 1),
        help: "list the commands, or explain one",
        details: "Example: help exec",
        run: help,
    },
    Command {
        name: "exit",
        arguments: "[status]",
        arity: (0, 1),
        help: "switch the machine off",
        details: "With status 0 the machine is switched off by ACPI. Any other status, 1 to 255, goes to an emulator\n\
                  that has the isa-debug-exit device. Without a status it is 0 if no command has failed, else 1.\n\
                  What is not on the disks yet is written first.\n\
                  Example: exit 0",
        run: exit,
    },
    Command {
        name: "reboot",
        arguments: "",
        arity: (0, 0),
        help: "restart the machine",
        details: "By the ACPI reset register, else the keyboard controller, else a triple fault.\n\
                  Example: reboot",
        run: reboot,
    },
    Command {
        name: "echo",
        arguments: "[word]…",
        arity: (0, ANY),
        help: "print the words",
        details: "Quotes keep spaces and semicolons together. Example: echo 'a; b'",
        run: echo,
    },
    Command {
        name: "backtrace",
        arguments: "",
        arity: (0, 0),
        help: "print the stack trace of the shell",
        details: "Innermost function first, with addresses and demangled names.\n\
                  Example: backtrace",
        run: backtrace,
    },
    Command {
        name: "dmesg",
        arguments: "",
        arity: (0, 0),
        help: "print the kernel's log",
        details: "The last 32 KiB of it. The whole log goes to the second serial port.\n\
                  Example: dmesg",
        run: dmesg,
    },
    Command {
        name: "uptime",
        arguments: "",
        arity: (0, 0),
        help: "print the time since boot and the number of CPUs",
        details: "Example: uptime",
        run: uptime,
    },
];

fn help(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    if let Some(name) = arguments.first() {
        let command = find(name).ok_or_else(|| CommandError::about(name, "no such command"))?;
        writeln!(shell.out, "{command}\n    {}", command.help);
        for line in command.details.lines() {
            writeln!(shell.out, "    {line}");
        }
        return Ok(());
    }
    let mut table = Table::new(&[("command", Align::Left), ("what it does", Align::Left)]);
    for command in commands() {
        table.row([alloc::format!("{command}"), command.help.into()]);
    }
    table.print(&mut shell.out);
    Ok(())
}

fn exit(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let status = match arguments.first() {
        Some(text) => number(text, "status", u8::MAX.into())? as u8,
        None => u8::from(shell.any_failed()),
    };
    let written = vfs::finish_all();
    if let Err(error) = written {
        writeln!(shell.out, "exit: not everything could be written: {}", error_text(error));
    }
    match status.max(u8::from(written.is_err())) {
        0 => power::off(),
        status => power::exit(status),
    }
}

fn reboot(_: &mut Shell, _: &[&str]) -> CommandResult {
    vfs::finish_all().map_err(|error| CommandError::plain(error_text(error)))?;
    power::restart()
}

fn echo(shell: &mut Shell, words: &[&str]) -> CommandResult {
    writeln!(shell.out, "{}", words.join(" "));
    Ok(())
}

fn backtrace(shell: &mut Shell, _: &[&str]) -> CommandResult {
    machine::trap::backtrace::write_current(&mut shell.out).map_err(CommandError::plain)
}

fn dmesg(shell: &mut Shell, _: &[&str]) -> CommandResult {
    machine::kept_log::each(&mut |bytes| shell.out.bytes(bytes));
    Ok(())
}

fn uptime(shell: &mut Shell, _: &[&str]) -> CommandResult {
    let ms = time::since_boot_ns() / 1_000_000;
    let cpus = cpu::online_count();
    writeln!(shell.out, "up {}.{:03} s, {cpus} {}", ms / 1000, ms % 1000, if cpus == 1 { "CPU" } else { "CPUs" });
    Ok(())
}
