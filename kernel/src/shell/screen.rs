//! Commands about the screen and the keyboard.

use super::Shell;
use super::command::{ANY, Command, CommandError, CommandResult};
use super::output::{Align, Table};
use crate::screen;
use crate::tty::keyboard;
use klib::keyboard::LAYOUTS;

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
