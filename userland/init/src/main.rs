//! The first process: brings the system up, keeps its shells alive, takes it down.
//!
//! Boot, in the order of [`bring_up`]: mount the kernel's file systems, set the host name, open the
//! console, run `/etc/rc`. Then, by the words that the kernel hands over (those on its command line
//! after `--`, and those it does not know itself):
//!
//! * nothing: a shell on each console that `/etc/consoles` names, started anew when it ends;
//! * `single` (or `s`, `S`, `1`, `emergency`): one shell on the main console, without `/etc/rc`;
//! * `-c 'COMMAND'` or `PROGRAM ARGUMENT...`: that on the main console, then power off.
//!
//! Signals ask for the end, as busybox's programs send them: SIGUSR1 (`halt`), SIGUSR2 (`poweroff`),
//! SIGTERM (`reboot`), SIGINT (Ctrl-Alt-Del: reboot).
//!
//! Rule: process 1 must not end, so nothing here panics, and every error is one line and a way on.
//! Sessions are opened by a second role of this program (`--on TTY`), which keeps it free of `unsafe`.

mod arguments;
mod children;
mod config;
mod console;
mod mounts;
mod say;
mod session;
mod shells;
mod shutdown;
mod signals;

use std::process::ExitCode;
use std::{env, fs};

use arguments::{Plan, Request};
use children::Ended;
use config::Consoles;
use say::say;
use shells::Shells;
use shutdown::Goal;
use signals::Signals;

const RC: &str = "/etc/rc";

fn main() -> ExitCode {
    let words: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if std::process::id() == 1 {
        run_system(&words)
    }
    match arguments::parse(&words) {
        Ok(Request::Help) => print(arguments::USAGE),
        Ok(Request::Version) => print(concat!("init (rust-os) ", env!("CARGO_PKG_VERSION"))),
        Ok(Request::CheckConfig(path)) => check_config(&path),
        Ok(Request::On { tty, command }) => session::become_on(&tty, &command),
        Err(why) => {
            say!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn check_config(path: &str) -> ExitCode {
    match fs::read_to_string(path) {
        Err(error) => {
            say!("cannot read {path}: {error}");
            ExitCode::FAILURE
        }
        Ok(text) => {
            let (consoles, faults) = Consoles::parse(&text);
            for fault in &faults {
                say!("{path}: {fault}");
            }
            match faults.len() {
                0 => print(&format!("{path}: {} console(s)", consoles.lines.len())),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Everything process 1 does, from the first mount to the last system call.
fn run_system(words: &[String]) -> ! {
    let plan = arguments::plan(words);
    bring_up();
    let signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => {
            say!("cannot set up signals ({error}): one shell, and no clean end");
            session::last_resort()
        }
    };
    let goal = match plan {
        Plan::Consoles => match run_rc(&signals) {
            Some(goal) => goal,
            None => {
                let consoles = console::for_shells().unwrap_or_else(console::names);
                Shells::new(&Consoles::load(), &consoles).run(&signals)
            }
        },
        Plan::Single => Shells::new(&Consoles::default(), &[console::main()]).run(&signals),
        Plan::Command(command) => run_command(&command, &signals),
    };
    shutdown::end(goal, &signals)
}

fn bring_up() {
    mounts::mount_kernel_filesystems(); // proc, sys, dev, tmp, run
    mounts::link_descriptors(); // /dev/fd, /dev/stdin, ...
    set_hostname(); // /etc/hostname
    console::adopt(); // descriptors 0, 1, 2
}

fn set_hostname() {
    let Ok(text) = fs::read_to_string("/etc/hostname") else { return };
    let name = text.trim();
    if let Err(error) = rustix::system::sethostname(name.as_bytes()) {
        say!("cannot set the host name to `{name}`: {error}");
    }
}

/// Runs `/etc/rc` to its end; `Some` when a signal asked for the system's end meanwhile.
fn run_rc(signals: &Signals) -> Option<Goal> {
    if !fs::exists(RC).unwrap_or(false) {
        return None;
    }
    let command = ["/bin/sh", RC].map(str::to_owned);
    match children::run_to_end(&console::main(), &command, signals, None) {
        Ended::Status(status) if status.is_success() => None,
        Ended::Status(status) => {
            say!("{RC} {status}");
            None
        }
        Ended::NotStarted | Ended::TimedOut => None,
        Ended::Interrupted(goal) => Some(goal),
    }
}

/// Runs the command of the kernel command line; the system ends with it.
fn run_command(command: &[String], signals: &Signals) -> Goal {
    match children::run_to_end(&console::main(), command, signals, None) {
        Ended::Status(status) => say!("command {status}"),
        Ended::NotStarted | Ended::TimedOut => say!("command exited with status 127"),
        Ended::Interrupted(goal) => return goal,
    }
    Goal::PowerOff
}
