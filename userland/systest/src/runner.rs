//! Runs each test in a child process of its own and judges how it ends.
//!
//! The child leads a session, so that whatever it leaves behind can be killed as a group. It works in an empty
//! directory that is removed afterwards. Its answer is its exit status, the reason comes through a
//! pipe; the parent waits for its end, not for the pipe's, which a forgotten grandchild might hold.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::report::{Outcome, Stop};
use crate::sys::files::{Fd, chdir, pipe, read, umask, write};
use crate::sys::process::{self, Child, Status};
use crate::sys::signals;
use crate::sys::time::{Wait, poll};

pub(crate) struct Settings {
    pub(crate) directory: PathBuf,
    pub(crate) limit: Duration,
    pub(crate) verbosity: Verbosity,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Verbosity {
    All,
    Failures,
}

impl Default for Settings {
    fn default() -> Self {
        let directory = PathBuf::from("/tmp");
        Settings { directory, limit: Duration::from_secs(20), verbosity: Verbosity::All }
    }
}

/// What became of a test.
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

#[derive(Default)]
pub(crate) struct Totals {
    passed: usize,
    pub(crate) failed: usize,
    skipped: usize,
}

impl Totals {
    pub(crate) fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// How often the parent looks whether the child has ended although the pipe is still open.
const GLANCE: Duration = Duration::from_millis(50);

const PASSED: i32 = 0;
const FAILED: i32 = 1;
const SKIPPED: i32 = 2;

/// Runs one test and prints its line.
pub(crate) fn run_one(name: &str, test: fn() -> Outcome, settings: &Settings) -> Verdict {
    let verdict = match judge(name, test, settings) {
        Ok(verdict) => verdict,
        Err(why) => Verdict::Failed(format!("cannot run it: {why}")),
    };
    let line = match &verdict {
        Verdict::Passed => format!("ok {name}"),
        Verdict::Failed(why) => format!("FAIL {name}: {why}"),
        Verdict::Skipped(why) => format!("skip {name}: {why}"),
    };
    if settings.verbosity == Verbosity::All || matches!(verdict, Verdict::Failed(_)) {
        let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
    }
    verdict
}

fn judge(name: &str, test: fn() -> Outcome, settings: &Settings) -> Result<Verdict, String> {
    let directory =
        settings.directory.join(format!("systest.{}.{}", std::process::id(), name.replace('/', ".")));
    std::fs::create_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let verdict = in_child(test, &directory.to_string_lossy(), settings.limit);
    let _ = std::fs::remove_dir_all(&directory);
    verdict
}

fn in_child(test: fn() -> Outcome, directory: &str, limit: Duration) -> Result<Verdict, String> {
    let (answers, answer_end) = pipe(libc::O_CLOEXEC).map_err(|errno| format!("pipe: {errno}"))?;
    let child =
        process::fork(|| answer(test, directory, &answer_end)).map_err(|errno| format!("fork: {errno}"))?;
    drop(answer_end);
    let (status, text) = wait(&child, &answers, limit)?;
    let _ = signals::kill(-child.pid(), libc::SIGKILL); // whatever it left behind
    Ok(match status {
        None => Verdict::Failed(format!("still running after {} s", limit.as_secs())),
        Some(Status::Exited(PASSED)) => Verdict::Passed,
        Some(Status::Exited(FAILED)) => Verdict::Failed(text),
        Some(Status::Exited(SKIPPED)) => Verdict::Skipped(text),
        Some(other) => Verdict::Failed(format!("the test's process {other}")),
    })
}

/// The child's part: quiet surroundings, the test, the answer.
fn answer(test: fn() -> Outcome, directory: &str, answer_end: &Fd) -> i32 {
    let pipe = answer_end.raw();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = write(pipe, format!("panicked: {panic}").replace('\n', " ").as_bytes());
        process::exit_now(FAILED);
    }));
    let surroundings = process::setsid().and_then(|_| chdir(directory)).and_then(|()| signals::forget_all());
    umask(0o022);
    let outcome = match surroundings {
        Ok(_) => test(),
        Err(errno) => Err(Stop::fail(format!("surroundings: {errno}"))),
    };
    let (code, text) = match outcome {
        Ok(()) => return PASSED,
        Err(Stop::Fail(why)) => (FAILED, why),
        Err(Stop::Skip(why)) => (SKIPPED, why),
    };
    let _ = write(pipe, text.as_bytes());
    code
}

/// Waits for the child's end, or kills it after the limit (`None`); what it wrote to the pipe.
fn wait(child: &Child, answers: &Fd, limit: Duration) -> Result<(Option<Status>, String), String> {
    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    let mut ended = None;
    loop {
        if ended.is_none() {
            ended = child.try_wait().map_err(|errno| format!("wait: {errno}"))?;
        }
        let is_readable =
            poll(&mut [Wait::readable(answers.raw())], if ended.is_some() { Duration::ZERO } else { GLANCE });
        if is_readable.is_ok_and(|ready| ready > 0) {
            let mut buffer = [0; 1024];
            match read(answers.raw(), &mut buffer) {
                Ok(count) if count > 0 => {
                    text.extend_from_slice(&buffer[..count]);
                    continue;
                }
                _ if ended.is_none() => std::thread::sleep(Duration::from_millis(1)),
                _ => {}
            }
        }
        if ended.is_some() {
            return Ok((ended, String::from_utf8_lossy(&text).into_owned()));
        }
        if Instant::now() >= deadline {
            let _ = signals::kill(-child.pid(), libc::SIGKILL);
            let _ = signals::kill(child.pid(), libc::SIGKILL);
            let _ = child.wait();
            return Ok((None, String::new()));
        }
    }
}
