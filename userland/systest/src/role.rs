//! What this program does when a test executes it as another program.
//!
//! `systest --role NAME ARGUMENT...`: small parts for the tests of `execve`.

use std::io::Write;
use std::process::ExitCode;

use crate::sys::files::fcntl;
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::sys::registers;
use crate::sys::signals::{self, Action};
use crate::sys::users;

/// The first word of a call that plays a part.
pub(crate) const WORD: &str = "--role";

/// Plays the part that the words name.
pub(crate) fn play(words: &[String]) -> ExitCode {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["show", ..] => show(),
        ["exit", code] => ExitCode::from(number(code) as u8),
        ["is-open", fd] => truth(fcntl(number(fd), libc::F_GETFD, 0).is_ok()),
        ["pid-is", pid] => truth(process::getpid() == Ok(number(pid))),
        ["is-default", signal] => truth(signals::disposition(number(signal)) == Ok(Some(Action::Default))),
        ["is-ignored", signal] => truth(signals::disposition(number(signal)) == Ok(Some(Action::Ignore))),
        ["is-blocked", signal] => {
            truth(signals::mask().is_ok_and(|mask| mask & signals::set_of(number(signal)) != 0))
        }
        ["is-pending", signal] => {
            truth(signals::pending().is_ok_and(|set| set & signals::set_of(number(signal)) != 0))
        }
        ["has-alternate-stack"] => {
            truth(signals::alternate_stack_state().is_ok_and(|(flags, _)| flags & libc::SS_DISABLE == 0))
        }
        ["control-words-are-fresh"] => truth(registers::control_words() == registers::FRESH),
        ["name-is", name] => truth(process::name().as_deref() == Ok(name)),
        ["effective-user-is", user] => truth(users::geteuid().is_ok_and(|id| id.to_string() == *user)),
        ["maps"] => maps(),
        ["wait"] => {
            let _ = signals::pause();
            ExitCode::SUCCESS
        }
        _ => ExitCode::from(98),
    }
}

/// Arguments and environment, a line each.
fn show() -> ExitCode {
    let mut text = String::new();
    for argument in std::env::args() {
        text.push_str(&format!("argument {argument}\n"));
    }
    for (name, value) in std::env::vars() {
        text.push_str(&format!("environment {name}={value}\n"));
    }
    truth(std::io::stdout().write_all(text.as_bytes()).is_ok())
}

/// Where this program has its stack and a new mapping, a line each.
fn maps() -> ExitCode {
    let Ok(mapping) = Mapping::private(PAGE) else { return ExitCode::FAILURE };
    let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let stack = text.lines().find(|line| line.ends_with("[stack]")).unwrap_or_default();
    let end = stack.split(['-', ' ']).nth(1).unwrap_or_default();
    println!("{end} [stack]\n{:x} [mapped]", mapping.address());
    ExitCode::SUCCESS
}

fn truth(is_so: bool) -> ExitCode {
    if is_so { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(word: &str) -> i32 {
    word.parse().unwrap_or(-1)
}
