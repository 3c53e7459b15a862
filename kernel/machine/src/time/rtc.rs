//! The CMOS real-time clock (MC146818): read at boot and by /dev/rtc0, written when somebody asks for it.
//!
//! # Soundness
//! The CMOS's ports belong to this module; they reach no memory. A register is chosen and accessed under one lock.

use crate::acpi;
use crate::io::port;
use crate::sync::IrqSpinLock;
use timekeeping::calendar::{DateTime, Format, Registers};

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;

const SECOND: u8 = 0x00;
const MINUTE: u8 = 0x02;
const HOUR: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
/// Where the century is if ACPI does not say: nowhere that can be relied upon.
const LAST_CMOS_REGISTER: u8 = 0x7f;

/// In register A: the registers are about to change.
const UPDATING: u8 = 1 << 7;
/// In register B: no updates.
const SET: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const TWENTY_FOUR_HOURS: u8 = 1 << 1;

/// Why there is no time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcError {
    /// There is no such clock.
    Absent,
    /// It does not stop changing.
    Stuck,
    /// It shows no date, or cannot show that one.
    Invalid,
}

/// The right to use the ports.
struct Cmos(());

static CMOS: IrqSpinLock<Cmos> = IrqSpinLock::new("cmos", Cmos(()));

impl Cmos {
    fn read(&mut self, index: u8) -> u8 {
        // SAFETY: the CMOS's ports; reading changes nothing. NMIs stay enabled (bit 7 clear).
        unsafe { port::write_u8(INDEX, index) };
        // SAFETY: as above.
        unsafe { port::read_u8(DATA) }
    }

    fn write(&mut self, index: u8, value: u8) {
        // SAFETY: the CMOS's ports.
        unsafe { port::write_u8(INDEX, index) };
        // SAFETY: a register of the clock's.
        unsafe { port::write_u8(DATA, value) };
    }

    fn format(&mut self) -> Format {
        let status = self.read(STATUS_B);
        Format { is_binary: status & BINARY != 0, has_24_hours: status & TWENTY_FOUR_HOURS != 0 }
    }

    /// The registers between two updates.
    fn registers(&mut self, century: Option<u8>) -> Result<Registers, RtcError> {
        const PATIENCE: usize = 100_000;
        (0..PATIENCE).find(|_| self.read(STATUS_A) & UPDATING == 0).ok_or(RtcError::Stuck)?;
        Ok(Registers {
            second: self.read(SECOND),
            minute: self.read(MINUTE),
            hour: self.read(HOUR),
            day: self.read(DAY),
            month: self.read(MONTH),
            year: self.read(YEAR),
            century: century.map(|index| self.read(index)),
        })
    }
}

/// Where the century stands; `Err`: there is no clock.
fn century() -> Result<Option<u8>, RtcError> {
    let platform = acpi::platform();
    if platform.has_no_rtc {
        return Err(RtcError::Absent);
    }
    Ok(platform.rtc_century.filter(|index| (STATUS_B + 1..=LAST_CMOS_REGISTER).contains(index)))
}

/// The date and time that it shows (the clock is taken to run in UTC).
///
/// # Errors
/// There is none, or it shows nonsense.
pub fn read() -> Result<DateTime, RtcError> {
    const TRIES: usize = 16;
    let century = century()?;
    let mut cmos = CMOS.lock();
    let mut registers = cmos.registers(century)?;
    // Twice the same, so that no update came between.
    for _ in 0..TRIES {
        let again = cmos.registers(century)?;
        if again == registers {
            let format = cmos.format();
            return registers.decode(format).ok_or(RtcError::Invalid);
        }
        registers = again;
    }
    Err(RtcError::Stuck)
}

/// Sets it.
///
/// # Errors
/// There is none, or it cannot show that date.
pub fn write(date: &DateTime) -> Result<(), RtcError> {
    let century = century()?;
    let mut cmos = CMOS.lock();
    let format = cmos.format();
    let registers = Registers::encode(date, format, century.is_some()).ok_or(RtcError::Invalid)?;
    let status = cmos.read(STATUS_B);
    cmos.write(STATUS_B, status | SET);
    for (index, value) in [
        (SECOND, registers.second),
        (MINUTE, registers.minute),
        (HOUR, registers.hour),
        (DAY, registers.day),
        (MONTH, registers.month),
        (YEAR, registers.year),
    ] {
        cmos.write(index, value);
    }
    if let (Some(index), Some(value)) = (century, registers.century) {
        cmos.write(index, value);
    }
    cmos.write(STATUS_B, status & !SET);
    Ok(())
}
