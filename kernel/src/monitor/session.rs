//! Reading lines and running them.

use super::arguments::{Arguments, Failure};
use super::command::{Command, Context, Mode, Needs, State};
use super::completion::Completion;
use super::console::Console;
use super::output::{Output, Paging};
use super::table;
use core::fmt::Write;
use line_editor::{Editor, Event, Line, Words, commands};

/// What is in front of each line.
pub(super) const PROMPT: &str = "monitor> ";

/// Whether the monitor is used on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Next {
    /// It is.
    Stay,
    /// It is left.
    Leave,
}

impl State {
    /// At the start.
    pub(super) const fn new(mode: Mode) -> Self {
        Self { mode, paging: Paging::Off, root: None }
    }
}

/// Runs the commands of a list, each shown before.
pub(super) fn run_list(list: &str, state: &mut State, console: &dyn Console) -> Next {
    for command in commands(list) {
        Output::new(console, Paging::Off).write_fmt(format_args!("{PROMPT}{command}\n")).unwrap_or(());
        if run(command, state, console, None) == Next::Leave {
            return Next::Leave;
        }
    }
    Next::Stay
}

/// Reads lines and runs them until the monitor is left.
pub(super) fn run_interactively(state: &mut State, console: &dyn Console, editor: &mut Editor) {
    state.paging = Paging::On(0);
    loop {
        let mut line = Line::new();
        match read_line(state, console, editor) {
            Event::Line => line.set(editor.line()),
            Event::EndOfFile => return,
            Event::Interrupt | Event::Editing => continue,
        }
        for command in commands(line.text()) {
            match run(command, state, console, Some(editor)) {
                Next::Leave => return,
                Next::Stay if console.is_interrupted() => break,
                Next::Stay => {}
            }
        }
    }
}

fn read_line(state: &State, console: &dyn Console, editor: &mut Editor) -> Event {
    console.begin();
    // Nothing that is written while a line is edited is a long output.
    let mut out = Plain(console);
    editor.set_columns(console.size().1);
    let completion = Completion { mode: state.mode };
    let mut event = editor.begin(&mut out).map(|()| Event::Editing);
    while let Ok(Event::Editing) = event {
        let Some(byte) = console.read() else { return Event::EndOfFile };
        event = editor.feed(byte, &mut out, &completion);
    }
    event.unwrap_or(Event::EndOfFile)
}

/// A console as it is.
struct Plain<'a>(&'a dyn Console);

impl Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text);
        Ok(())
    }
}

/// Runs one command.
pub(super) fn run(line: &str, state: &mut State, console: &dyn Console, editor: Option<&Editor>) -> Next {
    console.begin();
    let mut words = Words::new(line);
    let Some(name) = words.next() else { return Next::Stay };
    let mut plain = Plain(console);
    // What is written to a console as it is does not fail.
    let Some(command) = table::find(name) else {
        let _ = writeln!(plain, "there is no command '{name}'; `help` lists them");
        return Next::Stay;
    };
    if command.needs == Needs::System && state.mode == Mode::Panicked {
        let _ = writeln!(plain, "{name}: not after a panic: nothing but this runs any more");
        return Next::Stay;
    }
    let out = Output::new(console, state.paging);
    let mut context = Context { out, console, state, editor };
    match (command.run)(&mut context, &mut Arguments::new(words)) {
        Ok(()) => Next::Stay,
        Err(Failure::Leave) => Next::Leave,
        Err(failure) => {
            let _ = report(&mut plain, command, &failure);
            Next::Stay
        }
    }
}

/// Says what went wrong.
fn report(out: &mut dyn Write, command: &Command, failure: &Failure) -> core::fmt::Result {
    let name = command.name;
    match failure {
        Failure::Leave | Failure::Stopped => return Ok(()),
        Failure::Error(what, error) => return writeln!(out, "{name}: {what}: {error}"),
        Failure::Refused(why) => return writeln!(out, "{name}: {why}"),
        Failure::Invalid(what, word, why) => writeln!(out, "{name}: {word} is no {what}: {why}")?,
        Failure::TooMany => writeln!(out, "{name}: too many arguments")?,
        Failure::Usage => {}
    }
    writeln!(out, "usage: {name} {}", command.usage)
}
