//! Commands about the screen and the keyboard.

use super::Shell;
use super::command::{ANY, Command, CommandError, CommandResult};
use super::output::{Align, Table};
use super::pager::{self, Mode};
use crate::screen;
use crate::tty::keyboard;
use klib::keyboard::LAYOUTS;
use machine::console;

/// This file's commands.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "write-framebuffer",
        arguments: "text…",
        arity: (1, ANY),
        help: "show a text at the top left of the screen",
        details: "It stays there, over what scrolls below, until the screen is cleared; an empty text takes it away.\n\
                  Example: write-framebuffer 'hello!'",
        run: write_framebuffer,
    },
    Command {
        name: "colours",
        arguments: "[on|off]",
        arity: (0, 1),
        help: "tell whether prompt and log have colours, or switch them",
        details: "What programs write is left as it is. Example: colours off",
        run: colours,
    },
    Command {
        name: "pager",
        arguments: "[on|off|screen]",
        arity: (0, 1),
        help: "tell whether long output of commands stops at each page, or switch that",
        details: "Only the output of commands that are typed, not of programs. At first it is so on the screen, where lines\n\
                  are lost in the end, and not on the serial console. At a stop the space bar goes on by a page, Enter by a\n\
                  line, q or Ctrl-C ends it. Example: pager on",
        run: pager,
    },
    Command {
        name: "keymap",
        arguments: "[layout]",
        arity: (0, 1),
        help: "list the keyboard's layouts, or choose one",
        details: "The keyboard starts with the one of the United States. Example: keymap de",
        run: keymap,
    },
];

fn write_framebuffer(_: &mut Shell, words: &[&str]) -> CommandResult {
    let text = words.join(" ");
    screen::set_caption(&text).map_err(|error| CommandError::about(&text, error))
}

fn colours(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    match arguments {
        [] => writeln!(shell.out, "{}", if console::colours() { "on" } else { "off" }),
        [switch @ ("on" | "off")] => console::set_colours(*switch == "on"),
        [other, ..] => return Err(CommandError::about(other, "neither on nor off")),
    }
    Ok(())
}

fn pager(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let Some(name) = arguments.first() else {
        writeln!(shell.out, "{}", pager::mode().name());
        return Ok(());
    };
    match Mode::ALL.into_iter().find(|mode| mode.name() == *name) {
        Some(mode) => pager::set_mode(mode),
        None => return Err(CommandError::about(name, "none of on, off and screen")),
    }
    Ok(())
}

fn keymap(shell: &mut Shell, arguments: &[&str]) -> CommandResult {
    let no_keyboard = || CommandError::plain("there is no keyboard");
    if let Some(name) = arguments.first() {
        return match keyboard::set_layout(name).ok_or_else(no_keyboard)? {
            true => Ok(()),
            false => Err(CommandError::about(name, "no such layout; keymap lists them")),
        };
    }
    let current = keyboard::layout().ok_or_else(no_keyboard)?;
    let mut table = Table::new(&[("layout", Align::Left), ("what it is", Align::Left), ("", Align::Left)]);
    for layout in LAYOUTS {
        let mark = if layout.name == current.name { "in use" } else { "" };
        table.row([layout.name.into(), layout.what.into(), mark.into()]);
    }
    table.print(&mut shell.out);
    Ok(())
}
