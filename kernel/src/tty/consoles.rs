//! The consoles: the terminals on which the log is printed, and which of them is /dev/console.
//!
//! `console=NAME[,OPTIONS]` on the kernel's command line names one; the log is printed on all that are named, and the last
//! that exists is /dev/console. Unlike on Linux, several may be of one kind. Without any it is the first serial line, else
//! the first virtual console, else whatever terminal there is. For serial lines the options are speed, parity, bits and
//! flow control: `115200n8r`. A terminal that is found later and was named gets the log as well.
//!
//! What a panic says comes out on all consoles that can be written without locks and interrupts: serial lines
//! (`machine::io::serial`), the screen, and those whose line has [`Line::write_in_panic`](super::Line::write_in_panic).

use super::control::with_speed;
use super::{Tty, serial};
use crate::cmdline;
use crate::log::{Console, Replay};
use abi::tty::{ControlFlags, Termios2};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt::Write;
use machine::sync::{IrqSpinLock, Once};

/// How long [`flush`] waits.
const FLUSH_NS: u64 = 1_000_000_000;

/// Those on which the log is printed, in the order in which they were named; the last one is /dev/console at boot.
static ALL: IrqSpinLock<Vec<Chosen>> = IrqSpinLock::new("consoles", Vec::new());
/// /dev/console. When it goes, the last of the others is.
static MAIN: IrqSpinLock<Option<Arc<Tty>>> = IrqSpinLock::new("main console", None);
/// What /dev/console was called at boot. If that goes and comes again, it is /dev/console again.
static NAME: Once<String> = Once::new();

/// A terminal on which the log is printed, and how.
#[derive(Clone)]
struct Chosen {
    tty: Arc<Tty>,
    output: Arc<dyn Console>,
}

/// Chooses among the terminals that are there.
pub(super) fn choose(ttys: &[Arc<Tty>]) {
    let named = cmdline::parameters().consoles.iter().map(|value| split(value));
    let mut chosen: Vec<Arc<Tty>> = Vec::new();
    for (name, options) in named {
        let Some(tty) = ttys.iter().find(|tty| tty.name() == name) else {
            log::warn!("tty: console={name}: there is no such terminal");
            continue;
        };
        set_up(tty, options);
        // The last time counts for the order.
        chosen.retain(|other| !Arc::ptr_eq(other, tty));
        chosen.push(tty.clone());
    }
    if chosen.is_empty() {
        let named = |name: &str| ttys.iter().find(|tty| tty.name() == name);
        chosen.extend(named(serial::FIRST).or_else(|| named("tty1")).or(ttys.first()).cloned());
    }
    let Some(main) = chosen.last() else { return log::warn!("tty: no terminal, so no console") };
    NAME.call_once(|| main.name().into());
    *MAIN.lock() = Some(main.clone());
    log::info!("tty: console is {}", main.name());
    chosen.iter().for_each(take_in);
}

/// A terminal was found after the others were chosen from.
pub(super) fn found_later(tty: &Arc<Tty>) {
    let mut named = cmdline::parameters().consoles.iter().map(|value| split(value));
    let Some(main) = NAME.get().filter(|_| named.any(|(name, _)| name == tty.name())) else { return };
    take_in(tty);
    if tty.name() == main {
        let old = MAIN.lock().replace(tty.clone());
        drop(old);
    }
}

/// A terminal is gone: the log is not printed there any more, and if it was /dev/console another one is.
pub(super) fn lost(tty: &Arc<Tty>) {
    let mut all = ALL.lock().clone();
    let Some(index) = all.iter().position(|chosen| Arc::ptr_eq(&chosen.tty, tty)) else { return };
    let gone = all.remove(index);
    let last = all.last().map(|chosen| chosen.tty.clone());
    replace(all);
    crate::log::remove_console(&gone.output);
    let mut main = MAIN.lock();
    if main.as_ref().is_some_and(|main| Arc::ptr_eq(main, tty)) {
        let old = core::mem::replace(&mut *main, last.clone());
        drop(main);
        drop(old);
        log::info!("tty: console is {}", last.as_ref().map_or("none", |last| last.name()));
    }
}

/// The name, where tty0 (the console that is shown) is tty1, and the options.
fn split(value: &str) -> (&str, &str) {
    let (name, options) = value.split_once(',').unwrap_or((value, ""));
    (if name == "tty0" { "tty1" } else { name }, options)
}

/// Has the log printed on a terminal.
fn take_in(tty: &Arc<Tty>) {
    let output: Arc<dyn Console> = Arc::new(LogOutput(tty.clone()));
    let mut all = ALL.lock().clone();
    all.push(Chosen { tty: tty.clone(), output: output.clone() });
    replace(all);
    let replay = if tty.name() == serial::FIRST { Replay::No } else { Replay::Yes };
    crate::log::add_console(output, replay);
}

fn replace(all: Vec<Chosen>) {
    let ttys: Vec<_> = all.iter().map(|chosen| chosen.tty.clone()).collect();
    serial::choose_for_emergencies(&ttys);
    let old = core::mem::replace(&mut *ALL.lock(), all);
    drop(old);
}

/// The terminals on which the log is printed, at this moment.
fn all() -> Vec<Arc<Tty>> {
    ALL.lock().iter().map(|chosen| chosen.tty.clone()).collect()
}

/// Sets a line as `115200n8r` says: speed, parity (n, o, e), bits of a byte, r for flow control; what is left out stays.
fn set_up(tty: &Arc<Tty>, options: &str) {
    if let Some(settings) = settings(tty.settings2(), options) {
        tty.set_settings(settings);
    } else {
        log::warn!("tty: console={},{options}: expected SPEED, n, o or e, 5 to 8, r", tty.name());
    }
}

fn settings(old: Termios2, options: &str) -> Option<Termios2> {
    if options.is_empty() {
        return Some(old);
    }
    let digits = options.len() - options.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let speed = options[..digits].parse().ok().filter(|speed| *speed > 0)?;
    let mut new = with_speed(old.termios, speed);
    let mut rest = options[digits..].chars();
    let mut control = new.termios.control();
    match rest.next() {
        None => return Some(new),
        Some('n') => control.remove(ControlFlags::PARENB | ControlFlags::PARODD),
        Some('e') => {
            control.insert(ControlFlags::PARENB);
            control.remove(ControlFlags::PARODD);
        }
        Some('o') => control.insert(ControlFlags::PARENB | ControlFlags::PARODD),
        Some(_) => return None,
    }
    if let Some(bits) = rest.next() {
        let size = bits.to_digit(10).filter(|bits| (5..=8).contains(bits))? - 5;
        control = control.difference(ControlFlags::CSIZE) | ControlFlags::from_bits_retain(size << 4);
    }
    match rest.next() {
        None => {}
        Some('r') if rest.next().is_none() => control.insert(ControlFlags::CRTSCTS),
        Some(_) => return None,
    }
    new.termios.cflag = control.bits();
    Some(new)
}

/// /dev/console.
pub(super) fn main() -> Option<Arc<Tty>> {
    MAIN.lock().clone()
}

/// Whether the log is printed on the terminal with this number.
pub(super) fn are_on(minor: u32, major: u32) -> bool {
    let is_meant = |Chosen { tty, .. }: &Chosen| (tty.number().major, tty.number().minor) == (major, minor);
    ALL.lock().iter().any(is_meant)
}

/// The names of the consoles, as /sys/class/tty/console/active has them: /dev/console last.
pub(crate) fn names() -> String {
    all().iter().map(|tty| shown_name(tty)).collect::<Vec<_>>().join(" ")
}

fn shown_name(tty: &Tty) -> &str {
    if tty.name() == "tty1" { "tty0" } else { tty.name() }
}

/// /proc/consoles: name, what it can do (`W`: print, `U`: unblank), what it is (E: in use, C: /dev/console, p: has been
/// given the log from its beginning, a: prints while its CPU is offline), number.
pub(crate) fn report() -> String {
    let mut text = String::new();
    let main = main();
    for tty in all().iter().rev() {
        let is_main = main.as_ref().is_some_and(|main| Arc::ptr_eq(main, tty));
        let is_screen = tty.name() == "tty1";
        let (unblank, main) = (if is_screen { 'U' } else { '-' }, if is_main { 'C' } else { ' ' });
        let any_time = if is_screen { ' ' } else { 'a' };
        let number = tty.number();
        let minor = if is_screen { 0 } else { number.minor };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:<21}-W{unblank} (E{main}  p {any_time}) {:4}:{minor}",
            shown_name(tty),
            number.major
        );
    }
    text
}

/// Waits until the log has left; not for ever. The last step before the machine ends.
pub(crate) fn flush() {
    let deadline = crate::clock::monotonic_ns() + FLUSH_NS;
    let all = all();
    let is_busy = || all.iter().any(|tty| tty.line().waiting() > 0);
    while is_busy() && crate::clock::monotonic_ns() < deadline {
        core::hint::spin_loop();
    }
}

/// Prints what a panic says on consoles that can do that. Takes only locks that are free.
pub(crate) fn print_in_panic(text: &str) {
    let Some(all) = ALL.try_lock() else { return };
    for Chosen { tty, .. } in all.iter() {
        by_lines(text.as_bytes(), |part| tty.line().write_in_panic(part));
    }
}

/// Prints the log on a terminal, past its settings: a program in raw mode does not garble it.
struct LogOutput(Arc<Tty>);

impl Console for LogOutput {
    fn print(&self, text: &[u8]) {
        by_lines(text, |part| self.0.line().write(part));
    }
}

/// Writes text with a carriage return before each newline.
fn by_lines(text: &[u8], write: impl Fn(&[u8])) {
    for part in text.split_inclusive(|byte| *byte == b'\n') {
        match part.split_last() {
            Some((b'\n', line)) => {
                write(line);
                write(b"\r\n");
            }
            _ => write(part),
        }
    }
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use abi::tty::Termios;
    use test_macro::kernel_test;

    #[kernel_test]
    fn console_options_are_speed_parity_bits_flow() {
        let old = with_speed(Termios::default(), 115_200);
        let with = |options: &str| {
            settings(old, options).map(|new| (new.ospeed, new.termios.control() & !ControlFlags::CBAUD))
        };
        let base = ControlFlags::CREAD | ControlFlags::HUPCL;
        let eight = base | ControlFlags::CSIZE;
        assert_eq!(with(""), Some((115_200, eight)));
        assert_eq!(with("9600"), Some((9600, eight)));
        assert_eq!(with("115200n8"), Some((115_200, eight)));
        let seven = base | ControlFlags::from_bits_retain(0x20) | ControlFlags::PARENB;
        assert_eq!(with("1200e7"), Some((1200, seven)));
        assert_eq!(
            with("300o8r"),
            Some((300, eight | ControlFlags::PARENB | ControlFlags::PARODD | ControlFlags::CRTSCTS))
        );
        for nonsense in ["n8", "0n8", "9600x", "9600n9", "9600n8x", "9600n8rr", "99999999999"] {
            assert_eq!(with(nonsense), None, "{nonsense}");
        }
    }
}
