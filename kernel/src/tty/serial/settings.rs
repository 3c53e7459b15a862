//! From termios to what a UART knows: speed, frame, flow control.
//!
//! Source: termios(3); setserial(8) for the speeds that replace 38400.

use super::control::Chosen;
use crate::tty::control::{speed_of, with_speed};
use abi::tty::{ControlFlags, SerialFlags, Termios2};
use machine::io::serial::{BASE_BAUD, FlowControl, LineSettings, Parity, StopBits};

/// The slowest speed: the largest divisor.
const SLOWEST: u32 = BASE_BAUD.div_ceil(u16::MAX as u32);
/// What a line takes when it can do neither the speed wanted nor the one before.
const FALLBACK: u32 = 9600;

/// A speed of 0: the modem is to hang up.
pub(super) fn is_hung_up(settings: &Termios2) -> bool {
    speed_of(settings) == 0
}

/// What `new` asks for. A speed that the UART cannot do is put right in `new`: as before, or 9600.
pub(super) fn of(new: &mut Termios2, old: &Termios2, chosen: &Chosen) -> LineSettings {
    let control = new.termios.control();
    let data_bits = 5 + (control & ControlFlags::CSIZE).bits().wrapping_shr(4) as u8;
    let stop_bits = if control.contains(ControlFlags::CSTOPB) { StopBits::Two } else { StopBits::One };
    let is_odd = control.contains(ControlFlags::PARODD);
    let parity = match (control.contains(ControlFlags::PARENB), control.contains(ControlFlags::CMSPAR)) {
        (false, _) => Parity::None,
        (true, false) if is_odd => Parity::Odd,
        (true, false) => Parity::Even,
        (true, true) if is_odd => Parity::Mark,
        (true, true) => Parity::Space,
    };
    let has_flow = control.contains(ControlFlags::CRTSCTS);
    let flow = if has_flow { FlowControl::ClearToSend } else { FlowControl::None };
    LineSettings { divisor: divisor(new, old, chosen), data_bits, stop_bits, parity, flow }
}

fn divisor(new: &mut Termios2, old: &Termios2, chosen: &Chosen) -> u16 {
    let wanted = speed_of(new);
    if wanted == 38400
        && chosen.flags & SerialFlags::SPEED == SerialFlags::CUSTOM
        && let Ok(divisor @ 1..) = u16::try_from(chosen.divisor)
    {
        return divisor;
    }
    if wanted == 0 {
        // The lines that hang up say it all; the speed stays as it can be.
        return LineSettings::divisor_for(FALLBACK);
    }
    let real = chosen.replace(wanted);
    if (SLOWEST..=BASE_BAUD).contains(&real) {
        return LineSettings::divisor_for(real);
    }
    let before = chosen.replace(speed_of(old));
    let speed = if (SLOWEST..=BASE_BAUD).contains(&before) { before } else { FALLBACK };
    *new = with_speed(new.termios, speed);
    LineSettings::divisor_for(speed)
}
