//! The prompt: lines typed on the console terminal.

use super::Shell;
use super::complete::ShellCompleter;
use crate::tty;
use alloc::string::String;
use alloc::vec::Vec;
use klib::line_edit::{LineEditor, Outcome};

/// The prompt with the history of its lines.
pub struct Prompt {
    editor: LineEditor,
}

impl Prompt {
    /// A prompt without history.
    pub fn new() -> Self {
        Prompt { editor: LineEditor::new() }
    }

    /// Shows the prompt of `shell` and waits for a line. Ctrl-C drops what was typed and begins again; Ctrl-D has no end to
    /// give, and does the same.
    pub fn read_line(&mut self, shell: &Shell) -> String {
        let terminal = tty::console();
        loop {
            let mut shown = Vec::new();
            terminal.tidy();
            self.editor.begin(&shell.prompt(), terminal.window().ws_col.into(), &mut shown);
            terminal.write_terminal(&shown);
            match self.edit() {
                Outcome::Line(line) => {
                    terminal.end_editing();
                    return line;
                }
                Outcome::Interrupted => {}
                Outcome::EndOfInput => terminal.write(b"\n"),
            }
        }
    }

    fn edit(&mut self) -> Outcome {
        let terminal = tty::console();
        loop {
            let mut shown = Vec::new();
            let outcome = self.editor.input(terminal.read_key(), &mut ShellCompleter, &mut shown);
            terminal.write_terminal(&shown);
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }
}
