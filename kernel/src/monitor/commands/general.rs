//! Help, history, paging, and the ways out.

use crate::init::{self, Action};
use crate::monitor::arguments::{Arguments, Failure, Outcome, invalid, parse_number};
use crate::monitor::command::{Context, Mode};
use crate::monitor::output::Paging;
use crate::monitor::table;
use core::fmt::Write;
use machine::io::power;

/// Where the explanations of `help` stand.
const HELP_COLUMN: usize = 31;
/// QEMU's exit status becomes 33.
const SUCCESS: u8 = 0x10;

/// Lists all commands, or explains one.
pub(in crate::monitor) fn help(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let name = arguments.optional();
    arguments.end()?;
    let Some(name) = name else {
        for command in table::COMMANDS {
            write!(context.out, "{} {}", command.name, command.usage)?;
            match HELP_COLUMN.checked_sub(command.name.len() + 1 + command.usage.len()) {
                Some(blanks @ 1..) => writeln!(context.out, "{:blanks$}{}", "", command.help)?,
                _ => writeln!(context.out, "\n{:HELP_COLUMN$}{}", "", command.help)?,
            }
        }
        return Ok(());
    };
    let command = table::find(name).ok_or(invalid("command", name, "`help` lists them"))?;
    writeln!(context.out, "{} {}\n  {}", command.name, command.usage, command.help)?;
    Ok(())
}

/// Shows the lines before.
pub(in crate::monitor) fn history(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    if let Some(editor) = context.editor {
        for (number, line) in editor.history().lines().enumerate() {
            writeln!(context.out, "{:4}  {line}", number + 1)?;
        }
    }
    Ok(())
}

/// Chooses how long output is shown.
pub(in crate::monitor) fn page(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let wanted = arguments.optional();
    arguments.end()?;
    context.state.paging = match wanted {
        None | Some("on") => Paging::On(0),
        Some("off") => Paging::Off,
        Some(rows) => match parse_number(rows) {
            Ok(rows @ 2..=1000) => Paging::On(rows as usize),
            Ok(_) => return Err(invalid("number of rows", rows, "it is not from 2 to 1000")),
            Err(why) => return Err(invalid("number of rows", rows, why)),
        },
    };
    Ok(())
}

/// Ends QEMU by its debug exit, with success; switches off where there is none.
pub(in crate::monitor) fn exit(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    if context.state.mode == Mode::Running {
        crate::fs::mount::shut_down();
    }
    writeln!(context.out, "exiting")?;
    power::allow_debug_exit();
    power::debug_exit(SUCCESS);
    power::power_off()
}

/// Leaves the monitor.
pub(in crate::monitor) fn leave(_context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    Err(Failure::Leave)
}

/// Switches off: in an orderly way if the system runs.
pub(in crate::monitor) fn poweroff(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    match context.state.mode {
        Mode::Running => init::shutdown(Action::PowerOff),
        Mode::Panicked => power::power_off(),
    }
}

/// Restarts: in an orderly way if the system runs.
pub(in crate::monitor) fn reboot(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    match context.state.mode {
        Mode::Running => init::shutdown(Action::Reboot),
        Mode::Panicked => power::reboot(),
    }
}

/// Panics, for those who want to see what comes then.
pub(in crate::monitor) fn panic(_context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    match arguments.rest() {
        "" => panic!("the monitor was asked to panic"),
        message => panic!("the monitor was asked to panic: {message}"),
    }
}
