//! Magic keys: what can be asked of the kernel at any time, by a letter written to /proc/sysrq-trigger or typed on a
//! serial console behind a BREAK (in QEMU with its monitor on the same line: Ctrl-A b, then the letter), or on the keyboard
//! with Alt-SysRq held.
//!
//! Typed letters are carried out by a thread of their own that goes before all others, but for `c`, which works from
//! the interrupt. /proc/sys/kernel/sysrq forbids them (0) or allows them (1). The letters are those of Linux's
//! Documentation/admin-guide/sysrq.rst.

use crate::error::Result;
use crate::init::{self, Action};
use crate::monitor::{self, Origin};
use crate::sched::wait::WaitQueue;
use crate::sched::{self, State, Thread, watch};
use crate::{clock, log};
use alloc::string::{String, ToString};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use runqueue::{Policy, RealTimePriority};

/// A letter, what it does in two or three words, and how.
struct Command {
    letter: u8,
    what: &'static str,
    run: fn(),
}

const COMMANDS: &[Command] = &[
    Command { letter: b'b', what: "reboot", run: || init::shutdown(Action::Reboot) },
    Command { letter: b'c', what: "crash", run: || crash() },
    Command { letter: b'd', what: "show locks held", run: crate::sync::log_held },
    Command { letter: b'g', what: "the kernel's monitor", run: || monitor::request(origin()) },
    Command { letter: b'l', what: "show what all CPUs do", run: show_cpus },
    Command { letter: b'm', what: "show memory", run: show_memory },
    Command { letter: b'o', what: "power off", run: || init::shutdown(Action::PowerOff) },
    Command { letter: b's', what: "sync disks", run: sync },
    Command { letter: b't', what: "show all threads", run: || show_threads(|_| true) },
    Command { letter: b'w', what: "show blocked threads", run: || show_threads(is_blocked) },
];

/// Does what a letter stands for; an unknown one lists the known. The console shows all of it, whatever its level.
pub(crate) fn run(letter: u8) {
    if letter.is_ascii_digit() {
        log::set_console_level(letter - b'0');
        return;
    }
    let level = log::console_level();
    log::set_console_level(log::LEVEL_DEBUG);
    match COMMANDS.iter().find(|command| command.letter == letter) {
        Some(command) => {
            ::log::info!("sysrq: {}", command.what);
            (command.run)();
        }
        None => {
            let mut known = String::from("0-9 (console log level)");
            for command in COMMANDS {
                known += &alloc::format!(" {} ({})", char::from(command.letter), command.what);
            }
            ::log::info!("sysrq: {known}");
        }
    }
    log::set_console_level(level);
}

/// A letter that was typed and waits for the thread; 0: none.
static TYPED: AtomicU8 = AtomicU8::new(0);
/// Where that was, as [`Origin::to_number`] says it.
static TYPED_AT: AtomicU8 = AtomicU8::new(Origin::Program.to_number());
static NEWS: WaitQueue = WaitQueue::named("sysrq");
/// How urgent the thread is.
const FIRST: RealTimePriority = RealTimePriority::new(99).expect("1 to 99 are priorities");
static IS_ALLOWED: AtomicBool = AtomicBool::new(true);

/// Whether keys are obeyed; what is written to /proc/sysrq-trigger always is.
pub(crate) fn is_allowed() -> bool {
    IS_ALLOWED.load(Ordering::Relaxed)
}

/// See [`is_allowed`].
pub(crate) fn allow(is_allowed: bool) {
    IS_ALLOWED.store(is_allowed, Ordering::Relaxed);
}

/// Starts the thread that obeys.
///
/// # Errors
/// ENOMEM.
pub(crate) fn init(_threads: &sched::Ready) -> Result<()> {
    let thread = sched::spawn("sysrq", || {
        loop {
            let letter = NEWS.wait_for_work(|| match TYPED.swap(0, Ordering::AcqRel) {
                0 => None,
                letter => Some(letter),
            });
            run(letter);
            TYPED_AT.store(Origin::Program.to_number(), Ordering::Relaxed);
        }
    })?;
    sched::set_policy(&thread, Policy::Fifo(FIRST));
    Ok(())
}

/// Where the letter was typed that is being carried out.
fn origin() -> Origin {
    Origin::from_number(TYPED_AT.load(Ordering::Relaxed))
}

/// Watches what a serial line receives for BREAK and the letter behind it.
pub(crate) struct Keys {
    /// Which line.
    origin: Origin,
    /// Until when a letter counts.
    until_ns: AtomicU64,
}

impl Keys {
    /// How long after a BREAK.
    const PATIENCE_NS: u64 = 5 * clock::SECOND_NS;

    /// For one line, counted from 0.
    pub(crate) const fn new(line: u8) -> Self {
        Self { origin: Origin::Serial(line), until_ns: AtomicU64::new(0) }
    }

    /// A BREAK has come. `true`: it announces a letter, and nobody else is to hear of it; a second one in its place does
    /// not, as on Linux.
    pub(crate) fn arm(&self) -> bool {
        let now = clock::monotonic_ns();
        let is_second = self.until_ns.swap(0, Ordering::Relaxed) > now;
        let is_announcement = is_allowed() && !is_second;
        if is_announcement {
            self.until_ns.store(now + Self::PATIENCE_NS, Ordering::Relaxed);
        }
        is_announcement
    }

    /// These bytes have come: takes the letter, if one is due, and returns the rest. In interrupt context.
    pub(crate) fn filter<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let until = self.until_ns.load(Ordering::Relaxed);
        let Some((&letter, rest)) = bytes.split_first() else { return bytes };
        if until == 0 {
            return bytes;
        }
        self.until_ns.store(0, Ordering::Relaxed);
        if clock::monotonic_ns() > until {
            return bytes;
        }
        typed(letter, self.origin);
        rest
    }
}

/// A magic letter was typed: has it carried out, if that is allowed. In interrupt context.
pub(crate) fn typed(letter: u8, origin: Origin) {
    if !is_allowed() {
        return;
    }
    if letter == b'c' {
        crash();
    }
    TYPED_AT.store(origin.to_number(), Ordering::Relaxed);
    TYPED.store(letter, Ordering::Release);
    NEWS.wake_all();
}

/// Has every CPU tell what it does: a message for each line.
fn show_cpus() {
    let mut text = String::new();
    machine::cpu::write_what_cpus_do(&mut text);
    text.lines().for_each(|line| ::log::info!("{line}"));
}

fn show_memory() {
    ::log::info!("{:?}", machine::mm::statistics());
}

fn sync() {
    if let Err(error) = crate::fs::mount::sync_all() {
        ::log::error!("sysrq: {error}");
    }
}

fn is_blocked(thread: &Thread) -> bool {
    thread.state() == State::Waiting
}

/// Logs threads, with where they are in the kernel.
fn show_threads(is_meant: fn(&Thread) -> bool) {
    for thread in watch::all().iter().filter(|thread| is_meant(thread)) {
        let process = thread.process().map_or(0, |process| process.pid());
        let used = watch::stack_use(thread).map_or(0, |stack| stack.used);
        let what = watch::describe(thread);
        ::log::info!("{} {what}, process {process}, stack {used} bytes", thread.state().letter());
        match sched::backtrace(thread) {
            Some(trace) => trace.to_string().lines().for_each(|line| ::log::info!("{line}")),
            None => ::log::info!("  it runs"),
        }
    }
    if let Some(watch::StackUse { used, size, name }) = watch::deepest_stack() {
        ::log::info!("sysrq: the deepest stack ever: {used} of {size} bytes, by {name:?}");
    }
}

/// Panics, for those who want to see a report or test what comes after.
#[inline(never)]
fn crash() -> ! {
    panic!("sysrq triggered a crash")
}
