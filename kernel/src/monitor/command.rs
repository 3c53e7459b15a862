//! What a command is.

use super::arguments::{Arguments, Outcome};
use super::console::Console;
use super::output::{Output, Paging};
use crate::fs::RootMounted;
use line_editor::Editor;

/// A row of the table.
pub(super) struct Command {
    /// What is typed.
    pub(super) name: &'static str,
    /// Its arguments, as `help` shows them.
    pub(super) usage: &'static str,
    /// What it does, in a line.
    pub(super) help: &'static str,
    /// What must work for it.
    pub(super) needs: Needs,
    /// What its arguments are, one after the other; the last stands for all that follow.
    pub(super) arguments: &'static [Argument],
    /// Does it.
    pub(super) run: fn(&mut Context<'_>, &mut Arguments<'_>) -> Outcome,
}

/// What must work for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: it can be used after a panic.
    Nothing,
    /// Threads, interrupts and devices: it may wait.
    System,
}

/// What an argument is, for completion.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    /// Something that cannot be guessed.
    Free,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A file.
    Path,
    /// A disk.
    Disk,
    /// A command.
    Command,
    /// An in-kernel test.
    Test,
}

/// What the monitor does when it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The system runs.
    Running,
    /// It has panicked: nothing else runs any more.
    Panicked,
}

/// What is kept from command to command.
pub(super) struct State {
    /// Whether the system runs.
    pub(super) mode: Mode,
    /// How output is shown.
    pub(super) paging: Paging,
    /// A root file system was mounted here.
    pub(super) root: Option<RootMounted>,
}

/// What a command works with.
pub(super) struct Context<'a> {
    /// Where it writes.
    pub(super) out: Output<'a>,
    /// Where that ends up, for what is not text.
    pub(super) console: &'a dyn Console,
    /// What is kept.
    pub(super) state: &'a mut State,
    /// The lines before; `None` in lists.
    pub(super) editor: Option<&'a Editor>,
}

impl Context<'_> {
    /// Fails if the command was interrupted.
    pub(super) fn check(&self) -> Outcome {
        use super::arguments::Failure;
        if self.console.is_interrupted() { Err(Failure::Stopped) } else { Ok(()) }
    }
}
