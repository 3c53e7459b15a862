//! System tests: what programs may expect of the kernel, checked through its system calls.
//!
//! The same program runs on Linux and on this system; where the two differ, the test or the system is
//! wrong. Each test runs in a child process with a time limit, so a crash or a hang is one failure.
//!
//! `systest` runs all tests, `systest AREA` or `systest AREA/NAME` some; the last line counts them, and the exit
//! status is 1 if one failed. A test that needs what the system does not have (yet) says so and is
//! counted as skipped.
//!
//! All unsafe code stands in [`sys`]; the tests themselves are safe code.

#![allow(clippy::unnecessary_cast, reason = "the C libraries give their constants different types")]

mod areas;
mod report;
mod role;
mod runner;
mod sys;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use runner::{Settings, Totals};

const USAGE: &str = "\
usage: systest [OPTION...] [AREA | AREA/NAME]...
  --list            name the tests and end
  --dir DIRECTORY   where tests make their files (default /tmp)
  --limit SECONDS   time limit of a test (default 20)
  --failures        print only tests that fail, and the count";

/// A command line that asks for tests (or for their list).
struct Call {
    settings: Settings,
    is_list: bool,
    wanted: Vec<String>,
}

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let [first, role @ ..] = words.as_slice()
        && first == role::WORD
    {
        return role::play(role);
    }
    if words == ["--help"] {
        return print(USAGE);
    }
    match parse(&words) {
        Ok(call) if call.is_list => print(areas::names(&call.wanted).join("\n").as_str()),
        Ok(call) => run(&call),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "systest: {why}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn parse(words: &[String]) -> Result<Call, String> {
    let mut call = Call { settings: Settings::default(), is_list: false, wanted: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => call.is_list = true,
            "--failures" => call.settings.verbosity = runner::Verbosity::Failures,
            "--dir" => call.settings.directory = words.next().ok_or("--dir wants a directory")?.into(),
            "--limit" => {
                let seconds = words.next().and_then(|word| word.parse().ok());
                call.settings.limit = Duration::from_secs(seconds.ok_or("--limit wants whole seconds")?);
            }
            _ if word.starts_with('-') => return Err(format!("unknown option `{word}`")),
            _ if areas::names(std::slice::from_ref(word)).is_empty() => {
                return Err(format!("no area or test is called `{word}`; --list names them"));
            }
            _ => call.wanted.push(word.clone()),
        }
    }
    Ok(call)
}

fn run(call: &Call) -> ExitCode {
    let mut totals = Totals::default();
    for (area, test) in areas::select(&call.wanted) {
        totals.add(runner::run_one(&format!("{area}/{}", test.name), test.run, &call.settings));
    }
    let _ = writeln!(std::io::stdout(), "{totals}");
    if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
