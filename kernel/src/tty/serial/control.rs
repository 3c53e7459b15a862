//! The ioctls of serial lines: modem lines, what setserial sets, counters; /proc/tty/driver/serial.
//!
//! Source: ioctl_tty(2), setserial(8), Linux's linux/serial.h.

use super::{ALL, Serial};
use crate::error::{Error, Result};
use crate::sched;
use crate::tty::Tty;
use crate::tty::carrier::Closing;
use crate::tty::control::{caller, get, may_administer, put};
use abi::errno::Errno;
use abi::tty::{self, Counters, SerialFlags, SerialInfo};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::fmt::Write;
use core::mem::size_of;
use machine::io::serial::{BASE_BAUD, ModemLines, PORTS_AT_MOST};

/// `SerialInfo::kind`: a 16450, a 16550A.
const KIND_16450: i32 = 2;
const KIND_16550A: i32 = 4;

/// What TIOCSSERIAL has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) flags: SerialFlags,
    /// For [`SerialFlags::CUSTOM`].
    pub(super) divisor: i32,
    /// In hundredths of a second.
    close_delay: u16,
    /// The same; 0 is for ever, [`NO_WAIT`] not at all.
    closing_wait: u16,
}

/// A `closing_wait`, and the unit of both.
const NO_WAIT: u16 = u16::MAX;
const HUNDREDTH_NS: u64 = 10_000_000;

impl Default for Chosen {
    fn default() -> Self {
        let flags = SerialFlags::BOOT_AUTOCONF | SerialFlags::SKIP_TEST;
        Self { flags, divisor: 0, close_delay: 50, closing_wait: 3000 }
    }
}

impl Chosen {
    /// How the line closes.
    pub(super) fn closing(&self) -> Closing {
        closing(self.close_delay, self.closing_wait)
    }

    /// What is meant by a speed: 38400 may stand for another one.
    pub(super) fn replace(&self, baud: u32) -> u32 {
        match self.flags & SerialFlags::SPEED {
            _ if baud != 38400 => baud,
            SerialFlags::HIGH => 57_600,
            SerialFlags::VERY_HIGH => 115_200,
            SerialFlags::SUPER_HIGH => 230_400,
            SerialFlags::WARP => 460_800,
            _ => baud,
        }
    }
}

/// How a line with these settings closes.
pub(in crate::tty) fn closing(close_delay: u16, closing_wait: u16) -> Closing {
    let drain_ns = match closing_wait {
        0 => None,
        NO_WAIT => Some(0),
        hundredths => Some(u64::from(hundredths) * HUNDREDTH_NS),
    };
    Closing { drain_ns, delay_ns: u64::from(close_delay) * HUNDREDTH_NS }
}

impl Serial {
    /// Does what `command` says; ENOTTY for what a serial line does not know.
    pub(super) fn ioctl(&self, tty: &Tty, command: u32, argument: u64) -> Result<u64> {
        match command {
            tty::TIOCMGET => put(argument, &self.port.modem().bits())?,
            tty::TIOCMSET => self.set_modem(lines(argument)?),
            tty::TIOCMBIS => self.set_modem(self.port.modem() | lines(argument)?),
            tty::TIOCMBIC => self.set_modem(self.port.modem() - lines(argument)?),
            tty::TIOCMIWAIT => self.wait_for_change(argument)?,
            tty::TIOCGICOUNT => put(argument, &self.counters())?,
            tty::TIOCGSERIAL => put(argument, &self.info())?,
            tty::TIOCSSERIAL => self.set_info(tty, &get(argument)?)?,
            tty::TIOCSERGETLSR => put(argument, &u32::from(self.port.is_idle()))?,
            // It was found at boot, and is what it is.
            tty::TIOCSERCONFIG => check_may_administer()?,
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    fn set_modem(&self, lines: ModemLines) {
        self.port.set_modem(lines);
    }

    /// TIOCMIWAIT: until one of these lines changes.
    fn wait_for_change(&self, argument: u64) -> Result<()> {
        let wanted = ModemLines::from_bits_truncate(argument as u32);
        let seen = |counts: &machine::io::serial::Counts| {
            let counters = [
                (ModemLines::CTS, counts.cts_changes),
                (ModemLines::DSR, counts.dsr_changes),
                (ModemLines::RING, counts.ring_ends),
                (ModemLines::CARRIER, counts.carrier_changes),
            ];
            let wanted = counters.iter().filter(|(line, _)| wanted.contains(*line));
            wanted.fold(0_u64, |sum, (_, count)| sum.wrapping_add(*count))
        };
        let before = seen(&self.port.counts());
        self.port.watch_modem();
        let has_changed = || (seen(&self.port.counts()) != before).then_some(());
        self.modem_news.wait_interruptible(has_changed, None)
    }

    fn counters(&self) -> Counters {
        let counts = self.port.counts();
        // Linux's numbers have 32 bits and start again as well.
        Counters {
            cts: counts.cts_changes as u32,
            dsr: counts.dsr_changes as u32,
            ring: counts.ring_ends as u32,
            carrier: counts.carrier_changes as u32,
            received: counts.received as u32,
            sent: counts.sent as u32,
            framing: counts.framing_errors as u32,
            overrun: counts.overruns as u32,
            parity: counts.parity_errors as u32,
            breaks: counts.breaks as u32,
            ..Counters::default()
        }
    }

    fn info(&self) -> SerialInfo {
        let chosen = *self.chosen.lock();
        SerialInfo {
            kind: if self.port.fifo_bytes() > 1 { KIND_16550A } else { KIND_16450 },
            line: self.port.index() as i32,
            port: self.port.base().into(),
            irq: self.port.irq().into(),
            flags: chosen.flags.bits(),
            fifo_bytes: self.port.fifo_bytes() as i32,
            custom_divisor: chosen.divisor,
            base_baud: BASE_BAUD as i32,
            close_delay: chosen.close_delay,
            closing_wait: chosen.closing_wait,
            ..SerialInfo::default()
        }
    }

    /// TIOCSSERIAL: speeds and delays; the port itself stays where it is.
    fn set_info(&self, tty: &Tty, new: &SerialInfo) -> Result<()> {
        let (old, flags) = (self.info(), SerialFlags::from_bits_retain(new.flags));
        if check_may_administer().is_err() {
            let delays = |info: &SerialInfo| (info.base_baud, info.close_delay, info.kind, info.fifo_bytes);
            let is_same = delays(new) == delays(&old);
            if !is_same || (flags.bits() ^ old.flags) & !SerialFlags::FOR_ALL.bits() != 0 {
                return Err(Error::new(Errno::EPERM, "serial lines are the administrator's"));
            }
        }
        let place = |info: &SerialInfo| (info.port, info.irq, info.base_baud);
        // Programs may leave out what they do not want to change.
        let is_elsewhere = place(new) != place(&old) && (new.port, new.irq, new.base_baud) != (0, 0, 0);
        if is_elsewhere || new.kind != old.kind || new.fifo_bytes != old.fifo_bytes {
            return Err(Error::new(Errno::EINVAL, "a serial line of a PC is where and what it is"));
        }
        *self.chosen.lock() = Chosen {
            flags,
            divisor: new.custom_divisor,
            close_delay: new.close_delay,
            closing_wait: new.closing_wait,
        };
        tty.reconfigure();
        Ok(())
    }

    fn write_report(&self, is_administrator: bool, text: &mut String) {
        let (counts, lines) = (self.port.counts(), self.port.modem());
        let kind = if self.port.fifo_bytes() > 1 { "16550A" } else { "16450" };
        let (index, base, irq) = (self.port.index(), self.port.base(), self.port.irq());
        // Writing to a string does not fail, here and below.
        let _ = write!(text, "{index}: uart:{kind} port:{base:08X} irq:{irq}");
        if is_administrator {
            let _ = write!(text, " tx:{} rx:{}", counts.sent, counts.received);
            let errors = [
                ("fe", counts.framing_errors),
                ("pe", counts.parity_errors),
                ("brk", counts.breaks),
                ("oe", counts.overruns),
            ];
            for (name, count) in errors.iter().filter(|(_, count)| *count > 0) {
                let _ = write!(text, " {name}:{count}");
            }
            let names = [
                (ModemLines::RTS, "RTS"),
                (ModemLines::CTS, "CTS"),
                (ModemLines::DTR, "DTR"),
                (ModemLines::DSR, "DSR"),
                (ModemLines::CARRIER, "CD"),
                (ModemLines::RING, "RI"),
            ];
            let mut divider = " ";
            for (_, name) in names.iter().filter(|(line, _)| lines.contains(*line)) {
                let _ = write!(text, "{divider}{name}");
                divider = "|";
            }
        }
        text.push('\n');
    }
}

/// The modem lines that a program names.
fn lines(argument: u64) -> Result<ModemLines> {
    Ok(ModemLines::from_bits_truncate(get(argument)?))
}

fn check_may_administer() -> Result<()> {
    let thread = sched::current();
    let process: &Arc<_> = caller(&thread)?;
    if may_administer(process) { Ok(()) } else { Err(Errno::EPERM.into()) }
}

/// /proc/tty/driver/serial.
pub(crate) fn report() -> String {
    let mut text = String::from("serinfo:1.0 driver revision:\n");
    let is_administrator = check_may_administer().is_ok();
    let all: &[Arc<Serial>] = ALL.get().map_or(&[], Vec::as_slice);
    for index in 0..PORTS_AT_MOST {
        match all.iter().find(|serial| serial.port.index() == index) {
            Some(serial) => serial.write_report(is_administrator, &mut text),
            None => {
                let _ = writeln!(text, "{index}: uart:unknown port:00000000 irq:0");
            }
        }
    }
    text
}

const _: () = assert!(size_of::<SerialInfo>() == 72 && size_of::<Counters>() == 80);
