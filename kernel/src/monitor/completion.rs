//! What Tab finds: commands, and what their arguments can be.

use super::command::{Argument, Command, Mode};
use super::{commands, table};
use crate::block::registry;
use line_editor::{Candidates, Words};

/// What can stand in a line.
pub(super) struct Completion {
    /// After a panic nothing is looked for that a lock may guard.
    pub(super) mode: Mode,
}

impl Candidates for Completion {
    fn visit(&self, before: &str, visit: &mut dyn FnMut(&str)) {
        // The command that is typed is the last one of the line.
        let command = before.rsplit(';').next().unwrap_or("").trim_start();
        let typed = command.rsplit(char::is_whitespace).next().unwrap_or("");
        let mut words = Words::new(&command[..command.len() - typed.len()]);
        match words.next() {
            None => table::COMMANDS.iter().for_each(|command| visit(command.name)),
            Some(name) => {
                let Some(command) = table::find(name) else { return };
                if let Some(argument) = argument_at(command, words.count()) {
                    self.visit_argument(argument, typed, visit);
                }
            }
        }
    }
}

/// What the argument at an index, from 0, is.
fn argument_at(command: &Command, index: usize) -> Option<Argument> {
    command.arguments.get(index).or(command.arguments.last()).copied()
}

impl Completion {
    fn visit_argument(&self, argument: Argument, typed: &str, visit: &mut dyn FnMut(&str)) {
        match argument {
            Argument::Free => {}
            Argument::OneOf(words) => words.iter().for_each(|word| visit(word)),
            Argument::Command => table::COMMANDS.iter().for_each(|command| visit(command.name)),
            Argument::Test => machine::test::all().iter().for_each(|test| visit(test.name)),
            Argument::Path if self.mode == Mode::Running => commands::files::visit_names(typed, visit),
            Argument::Disk if self.mode == Mode::Running => {
                registry::all().iter().for_each(|disk| visit(disk.name()));
            }
            Argument::Path | Argument::Disk => {}
        }
    }
}
