//! What is printed, and where.
//!
//! Printing is done by whoever comes first, for all who come meanwhile: so a message costs no waiting, can be written
//! in any context, and comes out whole. Before there is a console, messages go to the first serial line by polling; one
//! that is found later elsewhere is given all messages again. There may be several: each gets every message.

use super::{LEVEL_DEBUG, Line, MAX_MESSAGE, RING, Seconds};
use crate::config;
use alloc::{sync::Arc, vec::Vec};
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use machine::sync::IrqSpinLock;
use machine::{cpu, io::serial};
use message_ring::{Cursor, Record};

/// Where messages are printed.
pub(crate) trait Console: Send + Sync {
    /// Prints text whose lines end in `\n`. May be called in any context; must not log.
    fn print(&self, text: &[u8]);
}

/// What has been printed. Only whoever has set `IS_PRINTING` moves it.
static PRINTED: IrqSpinLock<Option<Cursor>> = IrqSpinLock::new("log position", None);
static IS_PRINTING: AtomicBool = AtomicBool::new(false);
static CONSOLES: IrqSpinLock<Vec<Arc<dyn Console>>> = IrqSpinLock::new("log consoles", Vec::new());

/// The levels of /proc/sys/kernel/printk, see [`Levels`].
static CONSOLE_LEVEL: AtomicU8 = AtomicU8::new(config::CONSOLE_LEVEL);
static MESSAGE_LEVEL: AtomicU8 = AtomicU8::new(4);
static MINIMUM_LEVEL: AtomicU8 = AtomicU8::new(1);
static DEFAULT_LEVEL: AtomicU8 = AtomicU8::new(config::CONSOLE_LEVEL);
/// What the console's level was before it was switched off; 0: it is on.
static LEVEL_WHEN_ON: AtomicU8 = AtomicU8::new(0);

/// What is printed, in the order of /proc/sys/kernel/printk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Messages below this level are printed.
    pub(crate) console: u8,
    /// The level of a program's message that names none.
    pub(crate) message: u8,
    /// The lowest that syslog(2) may set `console` to.
    pub(crate) minimum: u8,
    /// What `console` was at boot.
    pub(crate) default: u8,
}

/// The levels now.
pub(crate) fn levels() -> Levels {
    Levels {
        console: CONSOLE_LEVEL.load(Ordering::Relaxed),
        message: MESSAGE_LEVEL.load(Ordering::Relaxed),
        minimum: MINIMUM_LEVEL.load(Ordering::Relaxed),
        default: DEFAULT_LEVEL.load(Ordering::Relaxed),
    }
}

/// Sets all of them, as they are.
pub(crate) fn set_levels(levels: Levels) {
    CONSOLE_LEVEL.store(levels.console, Ordering::Relaxed);
    MESSAGE_LEVEL.store(levels.message, Ordering::Relaxed);
    MINIMUM_LEVEL.store(levels.minimum, Ordering::Relaxed);
    DEFAULT_LEVEL.store(levels.default, Ordering::Relaxed);
    LEVEL_WHEN_ON.store(0, Ordering::Relaxed);
}

/// Messages below this level are printed on the console.
pub(crate) fn console_level() -> u8 {
    CONSOLE_LEVEL.load(Ordering::Relaxed)
}

/// See [`console_level`]; at least the minimum, at most 8.
pub(crate) fn set_console_level(level: u8) {
    let minimum = MINIMUM_LEVEL.load(Ordering::Relaxed);
    CONSOLE_LEVEL.store(level.min(LEVEL_DEBUG + 1).max(minimum), Ordering::Relaxed);
    LEVEL_WHEN_ON.store(0, Ordering::Relaxed);
}

/// Switches the console off (only the gravest messages are printed) or back to what it was.
pub(crate) fn switch_console(is_on: bool) {
    if !is_on {
        let level = CONSOLE_LEVEL.swap(MINIMUM_LEVEL.load(Ordering::Relaxed), Ordering::Relaxed);
        // A second "off" must not make "on" mean nothing.
        let _ = LEVEL_WHEN_ON.compare_exchange(0, level, Ordering::Relaxed, Ordering::Relaxed);
    } else {
        match LEVEL_WHEN_ON.swap(0, Ordering::Relaxed) {
            0 => {}
            level => CONSOLE_LEVEL.store(level, Ordering::Relaxed),
        }
    }
}

/// Whether a console is given what was printed before it was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// It is the first serial line, which has shown that already.
    No,
    /// It is another one.
    Yes,
}

/// From here on messages are printed by `console` too; those before it no more by the first serial line.
pub(crate) fn add_console(console: Arc<dyn Console>, replay: Replay) {
    let preemption = cpu::disable_preemption();
    wait_for_printer();
    let mut old = RING.lock().oldest();
    let printed = PRINTED.lock().map_or(0, |cursor| cursor.sequence());
    while replay == Replay::Yes && old.sequence() < printed {
        let Some((record, line)) = next_after(&mut old) else { break };
        if record.header.priority % 8 < console_level() {
            each_line(record.header.time_ns, line.bytes(), &mut |line| console.print(line));
        }
    }
    let mut all = CONSOLES.lock().clone();
    all.push(console);
    let before = core::mem::replace(&mut *CONSOLES.lock(), all);
    drop(before);
    IS_PRINTING.store(false, Ordering::Release);
    drop(preemption);
    print_pending();
}

/// Messages are not printed by `console` any more; on return it is not printing.
pub(crate) fn remove_console(console: &Arc<dyn Console>) {
    let preemption = cpu::disable_preemption();
    wait_for_printer();
    let mut all = CONSOLES.lock().clone();
    all.retain(|known| !Arc::ptr_eq(known, console));
    let before = core::mem::replace(&mut *CONSOLES.lock(), all);
    IS_PRINTING.store(false, Ordering::Release);
    drop(preemption);
    drop(before);
    print_pending();
}

/// Becomes the one who prints. Whoever prints is not preempted, so this does not take long.
fn wait_for_printer() {
    while IS_PRINTING.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
}

/// While it lives, messages are kept and not printed; when it goes they are.
#[cfg(feature = "tests")]
pub(crate) struct Silence(());

#[cfg(feature = "tests")]
impl Silence {
    /// From here on nothing is printed, unless there is a panic.
    pub(crate) fn begin() -> Self {
        wait_for_printer();
        Self(())
    }
}

#[cfg(feature = "tests")]
impl Drop for Silence {
    fn drop(&mut self) {
        IS_PRINTING.store(false, Ordering::Release);
        print_pending();
    }
}

/// Everything before this place was printed.
pub(super) fn is_printed(up_to: Cursor) {
    *PRINTED.lock() = Some(up_to);
}

/// Prints what has not been printed yet, unless somebody is at it already, who then prints this too.
pub(super) fn print_pending() {
    while !IS_PRINTING.swap(true, Ordering::Acquire) {
        let preemption = cpu::disable_preemption();
        while let Some((record, line)) = next_to_print() {
            if record.header.priority % 8 < console_level() {
                print(record.header.time_ns, line.bytes());
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
    let mut cursor = printed.unwrap_or_else(|| RING.lock().oldest());
    let next = next_after(&mut cursor)?;
    *PRINTED.lock() = Some(cursor);
    Some(next)
}

/// The message at a place, which moves on.
fn next_after(cursor: &mut Cursor) -> Option<(Record, Line<MAX_MESSAGE>)> {
    let mut line = Line::new();
    let record = RING.lock().read(cursor, &mut line.bytes)?;
    line.length = record.length.min(MAX_MESSAGE);
    Some((record, line))
}

/// In a panic: prints where that can be done without locks what the console's level asks for and nobody has printed yet. Takes only
/// locks that are free, since the panicking code may hold them.
pub(crate) fn print_for_panic() {
    let mut line = Line::<MAX_MESSAGE>::new();
    loop {
        let (Some(mut printed), Some(ring)) = (PRINTED.try_lock(), RING.try_lock()) else { return };
        let mut cursor = printed.unwrap_or_else(|| ring.oldest());
        let Some(record) = ring.read(&mut cursor, &mut line.bytes) else { return };
        line.length = record.length.min(MAX_MESSAGE);
        *printed = Some(cursor);
        drop((ring, printed));
        if record.header.priority % 8 < console_level() {
            each_line(record.header.time_ns, line.bytes(), &mut |line| {
                print_serial(line);
                print_in_panic(line);
            });
        }
    }
}

fn print_in_panic(line: &[u8]) {
    for part in line.utf8_chunks() {
        crate::tty::consoles::print_in_panic(part.valid());
    }
}

/// A message from before there is a ring.
pub(super) fn print_early(time_ns: u64, priority: u8, text: &[u8]) {
    if priority % 8 < console_level() {
        each_line(time_ns, text, &mut print_serial);
    }
}

fn print(time_ns: u64, text: &[u8]) {
    each_line(time_ns, text, &mut |line| {
        let mut index = 0;
        // Not under the lock: printing takes others.
        while let Some(console) = console_at(index) {
            console.print(line);
            index += 1;
        }
        if index == 0 {
            print_serial(line);
        }
    });
}

fn console_at(index: usize) -> Option<Arc<dyn Console>> {
    CONSOLES.lock().get(index).cloned()
}

/// Each line of a message as Linux prints it: `[    1.234567] text` and a newline.
fn each_line(time_ns: u64, text: &[u8], print: &mut dyn FnMut(&[u8])) {
    for part in text.split(|byte| *byte == b'\n') {
        let mut line = Line::<{ MAX_MESSAGE + 32 }>::new();
        // The buffer is larger than a message and its time.
        let _ = write!(line, "[{}] ", Seconds(time_ns));
        line.push(part);
        line.push(b"\n");
        print(line.bytes());
    }
}

fn print_serial(line: &[u8]) {
    serial::emergency_write(line.strip_suffix(b"\n").unwrap_or(line));
    serial::emergency_write(b"\r\n");
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn the_console_goes_off_and_comes_back_as_it_was() {
        let before = levels();
        set_levels(Levels { console: 5, message: 4, minimum: 2, default: 7 });
        switch_console(false);
        switch_console(false);
        assert_eq!(console_level(), 2);
        switch_console(true);
        assert_eq!(console_level(), 5);
        switch_console(true);
        assert_eq!(console_level(), 5);
        set_console_level(0);
        assert_eq!(console_level(), 2);
        set_console_level(200);
        assert_eq!(console_level(), LEVEL_DEBUG + 1);
        set_levels(before);
    }

    #[kernel_test]
    fn each_line_of_a_message_has_its_time() {
        let mut all = alloc::vec::Vec::new();
        each_line(1_500_000_000, b"one\ntwo", &mut |line| all.extend_from_slice(line));
        assert_eq!(all, b"[    1.500000] one\n[    1.500000] two\n");
    }
}
