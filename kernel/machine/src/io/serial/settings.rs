//! What a line is set to, and what its modem lines say.
//!
//! Source: PC16550D data sheet, sections 8.1 (line control), 8.3 (divisor latches), 8.7 and 8.8 (modem).

use bitflags::bitflags;

/// The rate of a UART's clock by 16: the speed with a divisor of 1, in baud.
pub const BASE_BAUD: u32 = 115_200;

/// How bytes go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// [`BASE_BAUD`] divided by this is the speed; not 0.
    pub divisor: u16,
    /// Bits of a byte: 5 to 8.
    pub data_bits: u8,
    /// How its end is marked.
    pub stop_bits: StopBits,
    /// What guards it.
    pub parity: Parity,
    /// Whether the other side can stop output.
    pub flow: FlowControl,
}

impl LineSettings {
    /// 115200 8N1.
    pub const DEFAULT: LineSettings = LineSettings {
        divisor: 1,
        data_bits: 8,
        stop_bits: StopBits::One,
        parity: Parity::None,
        flow: FlowControl::None,
    };

    /// The divisor for a speed in baud, rounded; 0 is taken as 1 baud.
    pub fn divisor_for(baud: u32) -> u16 {
        let baud = baud.max(1);
        u16::try_from((BASE_BAUD + baud / 2) / baud).unwrap_or(u16::MAX).max(1)
    }

    /// The line control register.
    pub(super) fn line_control(self) -> u8 {
        let stop = if self.stop_bits == StopBits::Two { 1 << 2 } else { 0 };
        let parity = match self.parity {
            Parity::None => 0,
            Parity::Odd => 0b001,
            Parity::Even => 0b011,
            Parity::Mark => 0b101,
            Parity::Space => 0b111,
        };
        (self.data_bits.clamp(5, 8) - 5) | stop | (parity << 3)
    }
}

/// How the end of a byte is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// By one bit.
    One,
    /// By two; after five data bits by one and a half.
    Two,
}

/// What guards a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// Nothing.
    None,
    /// An odd number of ones.
    Odd,
    /// An even number of ones.
    Even,
    /// A one.
    Mark,
    /// A zero.
    Space,
}

/// Whether the other side can stop output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowControl {
    /// It cannot.
    None,
    /// By its modem line CTS.
    ClearToSend,
}

bitflags! {
    /// Modem lines, by the numbers that TIOCMGET gives them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ModemLines: u32 {
        /// We are there.
        const DTR = 0x0002;
        /// We want to send.
        const RTS = 0x0004;
        /// The other side takes bytes.
        const CTS = 0x0020;
        /// There is a carrier.
        const CARRIER = 0x0040;
        /// Somebody calls.
        const RING = 0x0080;
        /// The other side is there.
        const DSR = 0x0100;
        /// Free for use.
        const OUT1 = 0x2000;
        /// Lets the interrupt out, on a PC; always on.
        const OUT2 = 0x4000;
        /// What is sent comes back.
        const LOOP = 0x8000;
    }
}

/// Bits of the modem control and status registers, with their lines.
const CONTROL: [(u8, ModemLines); 5] = [
    (1 << 0, ModemLines::DTR),
    (1 << 1, ModemLines::RTS),
    (1 << 2, ModemLines::OUT1),
    (1 << 3, ModemLines::OUT2),
    (1 << 4, ModemLines::LOOP),
];
const STATUS: [(u8, ModemLines); 4] = [
    (1 << 4, ModemLines::CTS),
    (1 << 5, ModemLines::DSR),
    (1 << 6, ModemLines::RING),
    (1 << 7, ModemLines::CARRIER),
];

impl ModemLines {
    /// The modem control register. The interrupt is always let out.
    pub(super) fn control(self) -> u8 {
        let lines = self | ModemLines::OUT2;
        CONTROL.iter().filter(|(_, line)| lines.contains(*line)).fold(0, |bits, (bit, _)| bits | bit)
    }

    /// By the two registers.
    pub(super) fn from_registers(control: u8, status: u8) -> ModemLines {
        let lines = |table: &[(u8, ModemLines)], bits: u8| {
            let set = table.iter().filter(|(bit, _)| bits & bit != 0);
            set.fold(ModemLines::empty(), |lines, (_, line)| lines | *line)
        };
        lines(&CONTROL, control) | lines(&STATUS, status)
    }
}

/// Whether the line is held at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakCondition {
    /// It is.
    On,
    /// It carries bytes.
    Off,
}

/// What has happened on a line since it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that have left the ring.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes without an end.
    pub framing_errors: u64,
    /// Bytes with the wrong parity.
    pub parity_errors: u64,
    /// How often input was lost since nobody took it in time.
    pub overruns: u64,
    /// Breaks received.
    pub breaks: u64,
    /// Changes of CTS, as far as they were seen, and of the next ones.
    pub cts_changes: u64,
    /// Of DSR.
    pub dsr_changes: u64,
    /// Ends of RING.
    pub ring_ends: u64,
    /// Of the carrier.
    pub carrier_changes: u64,
}
