//! The end: scripts, processes, file systems, machine, in this order.

use std::fs;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use rustix::system::{RebootCommand, reboot};

use crate::children::{self, Ended, Reaped};
use crate::console;
use crate::mounts;
use crate::say::say;
use crate::signals::Signals;

const SCRIPT: &str = "/etc/rc.shutdown";
const SCRIPT_LIMIT: Duration = Duration::from_secs(30);
/// How long processes may take to end after SIGTERM, and the kernel to end them after SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// What becomes of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    Halt,
    PowerOff,
    Reboot,
}

impl Goal {
    fn name(self) -> &'static str {
        match self {
            Goal::Halt => "halt",
            Goal::PowerOff => "power off",
            Goal::Reboot => "reboot",
        }
    }

    fn command(self) -> RebootCommand {
        match self {
            Goal::Halt => RebootCommand::Halt,
            Goal::PowerOff => RebootCommand::PowerOff,
            Goal::Reboot => RebootCommand::Restart,
        }
    }
}

/// Takes the system down. Does not return: if the kernel refuses, process 1 goes on reaping.
pub(crate) fn end(goal: Goal, signals: &Signals) -> ! {
    say!("going down: {}", goal.name());
    run_script(signals);
    end_processes(signals);
    rustix::fs::sync();
    mounts::take_down();
    rustix::fs::sync();
    say!("{}", goal.name());
    if let Err(error) = reboot(goal.command()) {
        say!("the kernel refuses to {}: {error}", goal.name());
    }
    loop {
        while let Reaped::One(..) = children::reap() {}
        signals.wait(None);
    }
}

fn run_script(signals: &Signals) {
    if !fs::exists(SCRIPT).unwrap_or(false) {
        return;
    }
    let command = ["/bin/sh", SCRIPT].map(str::to_owned);
    match children::run_to_end(&console::main(), &command, signals, Some(SCRIPT_LIMIT)) {
        Ended::Status(status) if !status.is_success() => say!("{SCRIPT} {status}"),
        Ended::TimedOut => say!("{SCRIPT} still runs after {} s: going on", SCRIPT_LIMIT.as_secs()),
        Ended::Status(_) | Ended::NotStarted | Ended::Interrupted(_) => {}
    }
}

/// Asks all processes to end, then makes them.
fn end_processes(signals: &Signals) {
    for signal in [Signal::TERM, Signal::KILL] {
        // A group number of 1 is kill(2)'s -1: everybody but process 1. No such process: nobody is left.
        match kill_process_group(Pid::INIT, signal) {
            Ok(()) => {}
            Err(Errno::SRCH) => break,
            Err(error) => say!("cannot signal all processes: {error}"),
        }
        let _ = kill_process_group(Pid::INIT, Signal::CONT);
        if wait_for_all(signals) {
            break;
        }
    }
    while let Reaped::One(..) = children::reap() {}
}

/// Reaps until no child is left (true) or the grace is over.
fn wait_for_all(signals: &Signals) -> bool {
    let deadline = Instant::now() + GRACE;
    loop {
        match children::reap() {
            Reaped::One(..) => {}
            Reaped::NoneLeft => return true,
            Reaped::NoneEnded => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return false;
                }
                signals.wait(Some(left));
            }
        }
    }
}
