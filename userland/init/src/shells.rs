//! The shells on the consoles: started, and started anew when they end.
//!
//! One that ends at once would be started again and again; so each end within [`SHORT_LIFE`] doubles the pause
//! before the next start, from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`].

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::children::{self, Reaped, Status};
use crate::config::{Consoles, Line};
use crate::say::say;
use crate::shutdown::Goal;
use crate::signals::Signals;

const SHORT_LIFE: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) struct Shells {
    shells: Vec<Shell>,
}

struct Shell {
    line: Line,
    state: State,
    /// The pause after the next short life.
    pause: Duration,
}

enum State {
    Running { pid: Pid, since: Instant },
    Waiting { until: Instant },
}

impl Shells {
    /// One shell for each line whose device exists; a line for `console` counts for each of `consoles`.
    pub(crate) fn new(config: &Consoles, consoles: &[String]) -> Self {
        let lines = expand(config, consoles);
        let now = Instant::now();
        let is_present = |line: &Line| {
            let present = Path::new("/dev").join(&line.device).exists();
            if !present && !line.is_optional {
                say!("no shell on {}: there is no such device", line.device);
            }
            present
        };
        let start = |line| Shell { line, state: State::Waiting { until: now }, pause: FIRST_PAUSE };
        Shells { shells: lines.into_iter().filter(is_present).map(start).collect() }
    }

    /// Keeps the shells alive until a signal asks for the end.
    pub(crate) fn run(mut self, signals: &Signals) -> Goal {
        if self.shells.is_empty() {
            say!("no console has a shell: waiting for signals only");
        }
        loop {
            while let Reaped::One(pid, status) = children::reap() {
                self.note_end(pid, status, Instant::now());
            }
            if let Some(goal) = signals.take_wish() {
                self.hang_up();
                return goal;
            }
            let next = self.start_due(Instant::now());
            signals.wait(next);
        }
    }

    /// Starts what is due; the time until the next start, if one is planned.
    fn start_due(&mut self, now: Instant) -> Option<Duration> {
        self.shells.iter_mut().filter_map(|shell| shell.start_if_due(now)).min()
    }

    fn note_end(&mut self, pid: Pid, status: Status, now: Instant) {
        let shell = self
            .shells
            .iter_mut()
            .find(|shell| matches!(shell.state, State::Running { pid: running, .. } if running == pid));
        if let Some(shell) = shell {
            shell.note_end(status, now);
        }
    }

    /// Interactive shells ignore SIGTERM; a hang-up ends them.
    fn hang_up(&self) {
        for shell in &self.shells {
            if let State::Running { pid, .. } = shell.state {
                let _ = kill_process_group(pid, Signal::HUP);
            }
        }
    }
}

impl Shell {
    fn start_if_due(&mut self, now: Instant) -> Option<Duration> {
        let State::Waiting { until } = self.state else { return None };
        if until > now {
            return Some(until - now);
        }
        match children::start(&self.line.device, &self.line.command) {
            Some(pid) => {
                self.state = State::Running { pid, since: now };
                None
            }
            None => Some(self.wait_longer(now)),
        }
    }

    fn note_end(&mut self, status: Status, now: Instant) {
        let State::Running { since, .. } = self.state else { return };
        if now - since >= SHORT_LIFE {
            self.pause = FIRST_PAUSE;
            self.state = State::Waiting { until: now };
            return;
        }
        let pause = self.wait_longer(now);
        let (device, command) = (&self.line.device, self.line.command.join(" "));
        say!("{device}: `{command}` {status}; again in {} s", pause.as_secs());
    }

    fn wait_longer(&mut self, now: Instant) -> Duration {
        let pause = self.pause;
        self.state = State::Waiting { until: now + pause };
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}

/// Lines with real device names; a device of its own line wins over `console`.
fn expand(config: &Consoles, consoles: &[String]) -> Vec<Line> {
    let mut lines: Vec<Line> = config.lines.iter().filter(|line| line.device != "console").cloned().collect();
    if let Some(template) = config.lines.iter().find(|line| line.device == "console") {
        for device in consoles {
            if !lines.iter().any(|line| line.device == *device) {
                lines.push(Line { device: device.clone(), ..template.clone() });
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Shell {
        let line =
            Line { device: "null".to_owned(), is_optional: false, command: vec!["/bin/sh".to_owned()] };
        Shell { line, state: State::Waiting { until: Instant::now() }, pause: FIRST_PAUSE }
    }

    #[test]
    fn console_stands_for_each_device_without_a_line() {
        let (config, faults) = Consoles::parse("tty1: /bin/login\nconsole: /bin/sh\n");
        assert!(faults.is_empty());
        let names = ["tty1".to_owned(), "ttyS0".to_owned()];
        let lines = expand(&config, &names);
        let seen: Vec<_> =
            lines.iter().map(|line| (line.device.as_str(), line.command[0].as_str())).collect();
        assert_eq!(seen, [("tty1", "/bin/login"), ("ttyS0", "/bin/sh")]);
    }

    #[test]
    fn short_lives_wait_longer_and_longer() {
        let mut shell = shell();
        let now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            shell.state = State::Running { pid: Pid::INIT, since: now };
            shell.note_end(Status::Exited(1), now);
            let State::Waiting { until } = shell.state else { panic!("not waiting") };
            pauses.push((until - now).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_long_life_starts_anew_at_once() {
        let mut shell = shell();
        let now = Instant::now();
        shell.pause = LONGEST_PAUSE;
        shell.state = State::Running { pid: Pid::INIT, since: now };
        shell.note_end(Status::Exited(0), now + SHORT_LIFE);
        assert!(matches!(shell.state, State::Waiting { until } if until == now + SHORT_LIFE));
        assert_eq!(shell.pause, FIRST_PAUSE);
    }
}
