//! The kernel's log: `log::info!("area: what")` and its kin end here.
//!
//! Every message goes into a ring in memory, which /dev/kmsg and syslog(2) read, and those that are grave
//! enough (`loglevel=`, `quiet`) are printed on the console. Printing is done by whoever comes first, for
//! all who come meanwhile: so a message costs no waiting, can be written in any context (interrupt handlers
//! too), and comes out whole. Before there is a console, messages go to the first serial line by polling.
//!
//! Levels are syslog's: 3 error, 4 warning, 6 information, 7 debugging.

use crate::config;
use crate::sched::wait::WaitQueue;
use alloc::{boxed::Box, vec::Vec};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use machine::sync::{IrqSpinLock, Once};
use machine::{cpu, io::serial, time};
use message_ring::{Cursor, Header, MessageRing, Record};

/// The longest message; what is beyond is cut off.
pub(crate) const MAX_MESSAGE: usize = 976;

/// Highest level, the least grave.
pub(crate) const LEVEL_DEBUG: u8 = 7;

/// Where messages are printed.
pub(crate) trait Console: Send + Sync {
    /// Prints text whose lines end in `\n`. May be called in any context; must not log.
    fn print(&self, text: &[u8]);
}

static RING: IrqSpinLock<MessageRing<{ config::LOG_BYTES }>> = IrqSpinLock::new("log", MessageRing::new());
/// What has been printed. Only whoever has set `IS_PRINTING` moves it.
static PRINTED: IrqSpinLock<Option<Cursor>> = IrqSpinLock::new("log position", None);
static IS_PRINTING: AtomicBool = AtomicBool::new(false);
static CONSOLE_LEVEL: AtomicU8 = AtomicU8::new(config::CONSOLE_LEVEL);
static CONSOLE: Once<Box<dyn Console>> = Once::new();
/// Where syslog(2)'s "read all" begins after a "clear".
static CLEARED: IrqSpinLock<Option<Cursor>> = IrqSpinLock::new("log cleared", None);

/// Woken by every message.
pub(crate) static NEWS: WaitQueue = WaitQueue::named("log");

struct KernelLog;

/// Connects the `log` macros with the ring. The first step of boot.
pub(crate) fn init() {
    // Fails only if somebody was faster, which then is this same logger.
    let _ = log::set_logger(&KernelLog);
    log::set_max_level(log::LevelFilter::Debug);
}

/// From here on messages are printed by `console` instead of the first serial line. Only the first call counts.
pub(crate) fn set_console(console: Box<dyn Console>) {
    CONSOLE.call_once(|| console);
}

/// Messages below this level are printed on the console.
pub(crate) fn console_level() -> u8 {
    CONSOLE_LEVEL.load(Ordering::Relaxed)
}

/// See [`console_level`]; 1 to 8.
pub(crate) fn set_console_level(level: u8) {
    CONSOLE_LEVEL.store(level.clamp(1, LEVEL_DEBUG + 1), Ordering::Relaxed);
}

/// Adds a message to the log and prints it if its level asks for that. `priority` is facility * 8 + level.
pub(crate) fn append(priority: u8, text: &[u8]) {
    let header = Header { time_ns: time::monotonic_ns(), cpu: cpu::current_id() as u16, priority };
    RING.lock().push(header, text);
    print_pending();
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
        print_pending();
    }
}

/// Prints what has not been printed yet, unless somebody is at it already, who then prints this too.
fn print_pending() {
    while !IS_PRINTING.swap(true, Ordering::Acquire) {
        let preemption = cpu::disable_preemption();
        while let Some((record, line)) = next_to_print() {
            if record.header.priority % 8 < console_level() {
                print_line(&record, line.bytes());
            }
        }
        IS_PRINTING.store(false, Ordering::Release);
        drop(preemption);
        // A message may have come in after the last look and before the flag was cleared.
        let printed = PRINTED.lock().map_or(0, |cursor| cursor.sequence());
        if printed >= RING.lock().newest().sequence() {
            break;
        }
    }
}

fn next_to_print() -> Option<(Record, Line<MAX_MESSAGE>)> {
    let printed = *PRINTED.lock();
    let mut line = Line::new();
    let ring = RING.lock();
    let mut cursor = printed.unwrap_or_else(|| ring.oldest());
    let record = ring.read(&mut cursor, &mut line.bytes)?;
    drop(ring);
    line.length = record.length.min(MAX_MESSAGE);
    *PRINTED.lock() = Some(cursor);
    Some((record, line))
}

/// `[    1.234567] text`, as Linux prints it.
fn print_line(record: &Record, text: &[u8]) {
    let mut line = Line::<{ MAX_MESSAGE + 32 }>::new();
    // The buffer is larger than a message and its time.
    let _ = write!(line, "[{}] ", Seconds(record.header.time_ns));
    line.push(text);
    line.push(b"\n");
    match CONSOLE.get() {
        Some(console) => console.print(line.bytes()),
        None => {
            for part in line.bytes().split_inclusive(|byte| *byte == b'\n') {
                match part.split_last() {
                    Some((b'\n', text)) => {
                        serial::emergency_write(text);
                        serial::emergency_write(b"\r\n");
                    }
                    _ => serial::emergency_write(part),
                }
            }
        }
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

/// A reader with a place of its own, for /dev/kmsg.
#[derive(Clone)]
pub(crate) struct Reader(Cursor);

impl Reader {
    /// One that begins with the oldest message.
    pub(crate) fn at_oldest() -> Self {
        Self(RING.lock().oldest())
    }

    /// One that sees only what comes from now on.
    #[cfg(feature = "tests")]
    pub(crate) fn at_newest() -> Self {
        Self(RING.lock().newest())
    }

    /// One that begins where the log was last cleared.
    pub(crate) fn at_cleared() -> Self {
        let cleared = *CLEARED.lock();
        cleared.map_or_else(Self::at_oldest, Self)
    }

    /// Number of the message that comes next. If the one that [`next`](Self::next) gives has a higher one,
    /// the ring has overtaken the reader.
    pub(crate) fn sequence(&self) -> u64 {
        self.0.sequence()
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

/// For syslog(2), actions 3 and 4: the newest messages since the last clear that fit into `limit` bytes,
/// each as `<6>[    1.234567] text` and a newline.
pub(crate) fn dmesg(limit: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut starts = Vec::new();
    let mut reader = Reader::at_cleared();
    let mut buffer = [0; MAX_MESSAGE];
    while let Some((record, text)) = reader.next(&mut buffer) {
        starts.push(all.len());
        let mut head = Line::<64>::new();
        // 64 bytes hold any priority and time.
        let _ = write!(head, "<{}>[{}] ", record.header.priority, Seconds(record.header.time_ns));
        all.extend_from_slice(head.bytes());
        all.extend_from_slice(text);
        all.push(b'\n');
    }
    let fits = |start: &&usize| all.len() - **start <= limit;
    let start = starts.iter().find(fits).copied().unwrap_or(all.len());
    all.split_off(start)
}

/// For syslog(2), actions 4 and 5: [`dmesg`] begins here from now on.
pub(crate) fn clear() {
    let newest = RING.lock().newest();
    *CLEARED.lock() = Some(newest);
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
        let all = dmesg(usize::MAX);
        let wanted = b"] log: test message 42\n";
        assert!(all.windows(wanted.len()).any(|part| part == wanted));
        assert!(dmesg(100).len() <= 100);
    }

    #[kernel_test]
    fn a_long_message_is_cut() {
        let mut reader = Reader::at_newest();
        log::debug!("{:2000}|", "log: long test message");
        let mut buffer = [0; MAX_MESSAGE];
        let (_, text) = reader.next(&mut buffer).expect("it was just logged");
        assert_eq!(text.len(), MAX_MESSAGE);
    }
}
