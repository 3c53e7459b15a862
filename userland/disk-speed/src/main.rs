//! Measures how fast a file system on a disk is: transfers in order, random reads past the cache, fsync, names.
//!
//! It runs on Linux and on this system, so `make disk-speed` compares the two. Each measurement does a fixed amount of
//! work below a folder of its own and prints one line: `disk-speed: NAME RATE UNIT`. Exit status: 0, 1 when a
//! measurement fails, 2 for a wrong call.

mod measurements;
mod options;
mod workplace;

use std::io::{self, Write};
use std::process::ExitCode;

use measurements::{ALL, Measurement};
use options::{Options, Request, USAGE};
use workplace::Workplace;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let done = match Options::parse(&words) {
        Err(why) => {
            eprintln!("disk-speed: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
        Ok(Request::Help) => print(USAGE),
        Ok(Request::List) => {
            ALL.iter().try_for_each(|one| print(&format!("{:14} {:8} {}", one.name, one.unit, one.about)))
        }
        Ok(Request::Measure(options)) => measure(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("disk-speed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A line of output, out at once: who reads it may watch.
fn print(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Does what was chosen, one after the other.
fn measure(options: &Options) -> io::Result<()> {
    let place = Workplace::new(&options.folder, options.mib, options.percent)?;
    for Measurement { name, unit, run, .. } in &options.chosen {
        let rate = run(&place).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        let decimals = if rate < 1000.0 { 1 } else { 0 };
        print(&format!("disk-speed: {name} {rate:.decimals$} {unit}"))?;
    }
    Ok(())
}
