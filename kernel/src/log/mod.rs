//! The kernel's log: `log::info!("area: what")` and its kin end here.
//!
//! Every message goes into a ring in memory, which /dev/kmsg, /proc/kmsg and syslog(2) read, and those that are grave
//! enough are printed on the console. A message can be written in any context, interrupt handlers included.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the ring, and readers of it |
//! | `early.rs` | messages from before there are locks and memory |
//! | `console.rs` | what is printed where |
//! | `syslog.rs` | the log as text, for syslog(2) and /proc/kmsg |
//! | `rate_limit.rs` | for messages that a program can cause |
//!
//! Boot goes through three stages. Until [`init`], a message is kept in a fixed buffer that needs neither locks nor
//! per-CPU data, and printed on the first serial line at once. From then on it goes through the ring and its lock to the
//! first serial line, and from [`add_console`] on to the consoles. No stage loses what came before.
//!
//! Levels are syslog's: 3 error, 4 warning, 6 information, 7 debugging.

mod console;
mod early;
mod rate_limit;
pub(crate) mod syslog;

#[cfg(feature = "tests")]
pub(crate) use console::Silence;
pub(crate) use console::{
    Console, Levels, Replay, add_console, console_level, levels, print_for_panic, remove_console,
    set_console_level, set_levels, switch_console,
};
pub(crate) use rate_limit::RateLimit;

use crate::config;
use crate::sched::wait::WaitQueue;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::boot::BootInfo;
use machine::sync::IrqSpinLock;
use machine::{cpu, time};
use message_ring::{Cursor, Header, MessageRing, Record};

/// The longest message; what is beyond is cut off.
pub(crate) const MAX_MESSAGE: usize = 976;

/// Highest level, the least grave.
pub(crate) const LEVEL_DEBUG: u8 = 7;

/// Has no memory before [`init`].
static RING: IrqSpinLock<MessageRing<Vec<u8>>> = IrqSpinLock::new("log", MessageRing::new(Vec::new()));
/// The ring and the locks can be used.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// Woken by every message.
pub(crate) static NEWS: WaitQueue = WaitQueue::named("log");

struct KernelLog;

/// Connects the `log` macros with this module. The first thing that the kernel does: before per-CPU data,
/// locks and memory.
pub(crate) fn connect() {
    // Fails only if somebody was faster, which then is this same logger.
    let _ = log::set_logger(&KernelLog);
    log::set_max_level(log::LevelFilter::Debug);
}

/// Gives the log its ring. There are locks and memory by now. Messages from before are the first in it.
pub(crate) fn init(_memory: &BootInfo) -> Ready {
    resize(config::LOG_BYTES);
    early::move_into(&RING);
    let newest = RING.lock().newest();
    console::is_printed(newest);
    IS_READY.store(true, Ordering::Release);
    Ready(())
}

/// Messages are kept and can be read: [`init`] has run.
pub(crate) struct Ready(());

/// Gives the ring this much memory (`log_buf_len=`); the newest messages stay. Without memory it stays as it is.
pub(crate) fn resize(bytes: usize) {
    let mut memory = Vec::new();
    if memory.try_reserve_exact(bytes).is_err() {
        log::warn!("log: no memory for {bytes} bytes of messages");
        return;
    }
    memory.resize(bytes, 0);
    let old = RING.lock().replace(memory);
    drop(old);
}

/// Bytes of memory that the ring has.
pub(crate) fn capacity() -> usize {
    RING.lock().capacity()
}

/// Adds a message to the log and prints it if its level asks for that. `priority` is facility * 8 + level.
pub(crate) fn append(priority: u8, text: &[u8]) {
    if !IS_READY.load(Ordering::Acquire) {
        early::append(priority, text);
        return;
    }
    let header = Header { time_ns: time::monotonic_ns(), cpu: cpu::current_id() as u16, priority };
    RING.lock().push(header, text);
    console::print_pending();
    NEWS.wake_all();
}

impl log::Log for KernelLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Error => 3,
            log::Level::Warn => 4,
            log::Level::Info => 6,
            log::Level::Debug | log::Level::Trace => LEVEL_DEBUG,
        };
        let mut line = Line::<MAX_MESSAGE>::new();
        // A line that is full swallows the rest and is no error.
        let _ = line.write_fmt(*record.args());
        append(level, line.bytes());
    }

    fn flush(&self) {
        console::print_pending();
    }
}

/// Seconds with six decimals, right-aligned as on Linux.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let microseconds = self.0 / 1000;
        write!(f, "{:5}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000)
    }
}

/// Text of at most `N` bytes; what does not fit is dropped.
struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, text: &[u8]) {
        let kept = text.len().min(N - self.length);
        self.bytes[self.length..self.length + kept].copy_from_slice(&text[..kept]);
        self.length += kept;
    }
}

impl<const N: usize> Write for Line<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// A reader with a place of its own.
#[derive(Clone)]
pub(crate) struct Reader(Cursor);

impl Reader {
    /// One that begins with the oldest message.
    pub(crate) fn at_oldest() -> Self {
        Self(RING.lock().oldest())
    }

    /// One that sees only what comes from now on.
    pub(crate) fn at_newest() -> Self {
        Self(RING.lock().newest())
    }

    /// Number of the message that comes next. If the one that [`next`](Self::next) gives has a higher one,
    /// the ring has overtaken the reader.
    pub(crate) fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    /// Whether the message that comes next is gone.
    pub(crate) fn is_overtaken(&self) -> bool {
        RING.lock().oldest().sequence() > self.0.sequence()
    }

    /// Whether there is something to read.
    pub(crate) fn has_next(&self) -> bool {
        RING.lock().newest().sequence() > self.0.sequence()
    }

    /// Copies the next message's text into `buffer`; returns it with its record.
    pub(crate) fn next<'b>(&mut self, buffer: &'b mut [u8; MAX_MESSAGE]) -> Option<(Record, &'b [u8])> {
        let record = RING.lock().read(&mut self.0, buffer)?;
        Some((record, &buffer[..record.length.min(MAX_MESSAGE)]))
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn a_message_reaches_every_reader() {
        let mut reader = Reader::at_newest();
        log::debug!("log: test message {}", 42);
        let mut buffer = [0; MAX_MESSAGE];
        let mut found = false;
        while let Some((record, text)) = reader.next(&mut buffer) {
            found |= text == b"log: test message 42" && record.header.priority == LEVEL_DEBUG;
        }
        assert!(found);
        let all = syslog::newest(usize::MAX);
        let wanted = b"] log: test message 42\n";
        assert!(all.windows(wanted.len()).any(|part| part == wanted));
        assert!(syslog::newest(100).len() <= 100);
    }

    #[kernel_test]
    fn a_long_message_is_cut() {
        let mut reader = Reader::at_newest();
        log::debug!("{:2000}|", "log: long test message");
        let mut buffer = [0; MAX_MESSAGE];
        let (_, text) = reader.next(&mut buffer).expect("it was just logged");
        assert_eq!(text.len(), MAX_MESSAGE);
    }

    #[kernel_test]
    fn messages_from_before_there_was_a_log_are_in_it() {
        let mut reader = Reader::at_oldest();
        let mut buffer = [0; MAX_MESSAGE];
        let (record, text) = reader.next(&mut buffer).expect("boot says something");
        // The tests do not fill the ring; if they ever do, this needs another place to look.
        assert_eq!(record.sequence, 0);
        assert!(text.starts_with(b"boot: "), "{}", alloc::string::String::from_utf8_lossy(text));
    }

    #[kernel_test]
    fn a_reader_keeps_its_place_when_the_ring_is_moved() {
        let mut reader = Reader::at_newest();
        log::debug!("log: before");
        resize(capacity() + 4096);
        log::debug!("log: after");
        let mut buffer = [0; MAX_MESSAGE];
        let mut found = Vec::new();
        while let Some((_, text)) = reader.next(&mut buffer) {
            found.push(text.to_vec());
        }
        let position = |wanted: &[u8]| found.iter().position(|text| text == wanted);
        assert!(position(b"log: before").is_some() && position(b"log: before") < position(b"log: after"));
    }
}
