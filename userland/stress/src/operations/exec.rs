//! Other programs: this one under a role. What it is given must arrive, what it prints must come back.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};

use super::mark;
use crate::report::{Outcome, Stop, ensure_eq, same_bytes};
use crate::worker::Context;

/// The exit status of a program that could not print.
const UNPRINTED: i32 = 98;

/// The first word of a call that plays a part.
pub(crate) const ROLE: &str = "--role";

/// Prints what it got, and ends with the status that it is told.
pub(crate) fn play(words: &[String]) -> ExitCode {
    let mut text = String::new();
    for word in words {
        text.push_str(&format!("{word}\n"));
    }
    text.push_str(&std::env::var("STRESS").unwrap_or_default());
    let code = words.first().and_then(|word| word.parse().ok()).unwrap_or(99);
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(UNPRINTED as u8),
    }
}

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    let random = &mut context.random;
    let code = random.below(90);
    let mut arguments = vec![code.to_string()];
    for _ in 0..random.below(40) {
        let length = random.within(1..=200);
        arguments.push((0..length).map(|_| random.pick(&['a', 'b', 'c', ' ', 'ä'])).collect());
    }
    let value: String = (0..random.below(3000)).map(|_| random.pick(&['x', 'y'])).collect();
    mark!(context);
    let program = OsString::from("/proc/self/exe");
    let started = Command::new(program)
        .arg(ROLE)
        .args(&arguments)
        .env_clear()
        .env("STRESS", &value)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let output = match started {
        // A fork that is refused.
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Err(Stop::Refused),
        started => started?,
    };
    if context.options.has_refusals && matches!(output.status.code(), None | Some(UNPRINTED)) {
        // The kernel could not build the new program, and the old one was gone; or its output was refused.
        return Err(Stop::Refused);
    }
    ensure_eq!(output.status.code(), Some(code as i32), "the program's exit status");
    let expected = arguments.join("\n") + "\n" + &value;
    same_bytes("the program's output", &output.stdout, expected.as_bytes())
}
