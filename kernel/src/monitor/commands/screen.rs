//! The screen.

use crate::monitor::arguments::{Arguments, Failure, Outcome};
use crate::monitor::command::Context;
use crate::tty::screen;

/// Writes a line on the virtual console that is shown.
pub(in crate::monitor) fn write_framebuffer(
    _context: &mut Context<'_>,
    arguments: &mut Arguments<'_>,
) -> Outcome {
    let text = arguments.rest();
    let tty = screen::shown_tty().ok_or(Failure::Refused("there is no screen"))?;
    tty.line().first_opened();
    tty.line().write(text.as_bytes());
    tty.line().write(b"\r\n");
    Ok(())
}
