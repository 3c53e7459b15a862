//! Stress: many processes that do random things to the kernel, each result checked against what must come out.
//!
//! It runs on Linux and on this system. Work follows from the seed; a failure names seed, worker and step, and ends
//! the program with status 1. A hang is a failure too: a watchdog reports who waits where.
//!
//! `stress --seconds 60 --jobs 8`; `stress --list` names the operations, `stress --help` the options.
//! All unsafe code stands in [`sys`].

mod board;
mod leaks;
mod operations;
mod options;
mod random;
mod report;
mod supervisor;
mod sys;
mod worker;

use std::process::ExitCode;

use options::{Options, USAGE};
use report::Stop;
use supervisor::print;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let [first, role @ ..] = words.as_slice()
        && first == operations::exec::ROLE
    {
        return operations::exec::play(role);
    }
    if words == ["--help"] {
        print(USAGE);
        return ExitCode::SUCCESS;
    }
    match Options::parse(&words) {
        Err(why) => {
            eprintln!("stress: {why}\n{USAGE}");
            ExitCode::from(2)
        }
        Ok(options) if options.lists => {
            for operation in operations::ALL {
                print(&format!("{:12} {}", operation.name, operation.about));
            }
            ExitCode::SUCCESS
        }
        Ok(options) => match supervisor::run(&options) {
            Ok(()) => {
                print("stress: passed");
                ExitCode::SUCCESS
            }
            Err(stop) => {
                let why = match stop {
                    Stop::Fail(why) => why,
                    Stop::Refused => "the system has no memory".into(),
                    Stop::Told => "a child failed".into(),
                };
                print(&format!("stress: FAILED: {why}"));
                ExitCode::FAILURE
            }
        },
    }
}
