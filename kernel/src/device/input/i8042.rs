//! The i8042 keyboard controller: the keyboard on its first port, the mouse on its second.
//!
//! The mouse is found and set up by polling, before the keyboard may say anything; afterwards both interrupt.
//! The controller translates the keyboard's codes to scan code set 1. Commands to the keyboard (its lights) are
//! sent from the interrupt handler, one byte at a time as the keyboard acknowledges them.
//!
//! Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".

use super::description::{Description, Id, Repeating, code, kind};
use super::events::{EventDevice, Repetition, Request};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use keymap::{Decoder, KeyEvent, MouseDecoder, MouseEvent, MouseKind};
use machine::io::IoPorts;
use machine::irq::{Claim, Handled, IrqLine};
use machine::sync::{IrqSpinLock, Once};
use machine::time;

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const KEYBOARD_IRQ: u8 = 1;
const MOUSE_IRQ: u8 = 12;

/// What the keyboard is called, and where it is, as Linux says it.
const KEYBOARD: &str = "AT Translated Set 2 keyboard";
const BUS: u16 = 0x11;
/// Keys that a PC keyboard may have.
const KEYS: core::ops::Range<u16> = 1..128;

/// Bits of the status register.
mod status {
    pub(super) const OUTPUT_FULL: u8 = 1 << 0;
    pub(super) const INPUT_FULL: u8 = 1 << 1;
    /// The byte is from the second port.
    pub(super) const SECOND_PORT: u8 = 1 << 5;
}

/// Commands to the controller.
mod command {
    pub(super) const READ_CONFIGURATION: u8 = 0x20;
    pub(super) const WRITE_CONFIGURATION: u8 = 0x60;
    pub(super) const DISABLE_SECOND: u8 = 0xa7;
    pub(super) const ENABLE_SECOND: u8 = 0xa8;
    pub(super) const TEST: u8 = 0xaa;
    pub(super) const DISABLE_FIRST: u8 = 0xad;
    pub(super) const ENABLE_FIRST: u8 = 0xae;
    /// The next byte is for the second port.
    pub(super) const WRITE_SECOND: u8 = 0xd4;
}

const TEST_PASSED: u8 = 0x55;

/// Bits of the controller's configuration.
mod configuration {
    pub(super) const FIRST_INTERRUPT: u8 = 1 << 0;
    pub(super) const SECOND_INTERRUPT: u8 = 1 << 1;
    pub(super) const FIRST_CLOCK_OFF: u8 = 1 << 4;
    pub(super) const SECOND_CLOCK_OFF: u8 = 1 << 5;
    pub(super) const TRANSLATE: u8 = 1 << 6;
}

/// To the keyboard, and its answers.
const SET_LIGHTS: u8 = 0xed;
const SET_REPETITION: u8 = 0xf3;
const ENABLE_SCANNING: u8 = 0xf4;
const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;

/// To the mouse.
mod mouse_command {
    pub(super) const GET_ID: u8 = 0xf2;
    pub(super) const SET_RATE: u8 = 0xf3;
    pub(super) const ENABLE: u8 = 0xf4;
    pub(super) const DEFAULTS: u8 = 0xf6;
}

/// Samples a second that, asked for one after another, have a mouse show its wheel, and then its further buttons.
const WHEEL_RATES: [[u8; 3]; 2] = [[200, 100, 80], [200, 200, 80]];
/// Samples a second.
const MOUSE_RATE: u8 = 100;

/// How long the controller may take.
const PATIENCE_NS: u64 = 20_000_000;
/// Bytes that are read in one interrupt, so that a broken controller does not hold the CPU.
const BYTES_PER_INTERRUPT: usize = 64;

static CONTROLLER: Once<Arc<Controller>> = Once::new();

struct Controller {
    data: IoPorts,
    status: IoPorts,
    state: IrqSpinLock<State>,
    lines: Once<(IrqLine, Option<IrqLine>)>,
    keyboard: Once<Arc<EventDevice>>,
    mouse: Once<Arc<EventDevice>>,
}

struct State {
    decoder: Decoder,
    mouse: MouseDecoder,
    /// Bytes for the keyboard; the first of them was sent and is not acknowledged yet.
    outgoing: VecDeque<u8>,
}

/// The key with a scan code; 0x80 is added to those with the prefix 0xe0. `None`: there is no such one.
pub(crate) fn key_code(scan: usize) -> Option<u16> {
    let controller = CONTROLLER.get()?;
    if scan > usize::from(u8::MAX) {
        return None;
    }
    Some(controller.state.lock().decoder.code(scan).unwrap_or(0))
}

/// Has a scan code stand for another key; 0: for the usual one. `None`: there is no such one.
pub(crate) fn set_key_code(scan: usize, key: u16) -> Option<()> {
    CONTROLLER.get()?.state.lock().decoder.set_code(scan, key).then_some(())
}

/// Finds the controller and takes its keyboard into service.
pub(super) fn init() -> Result<()> {
    let missing = |what| Error::new(Errno::ENODEV, what);
    let ports = IoPorts::claim(DATA, 1, "keyboard").zip(IoPorts::claim(STATUS, 1, "keyboard"));
    let (data, status) = ports.ok_or(missing("its ports are taken"))?;
    let state = State { decoder: Decoder::new(), mouse: MouseDecoder::default(), outgoing: VecDeque::new() };
    let state = IrqSpinLock::new("keyboard controller", state);
    let (lines, keyboard, mouse) = (Once::new(), Once::new(), Once::new());
    let controller = Arc::new(Controller { data, status, state, lines, keyboard, mouse });
    // Where nothing is, all bits read as ones.
    if controller.status.read_u8(0) == u8::MAX {
        return Err(missing("nothing answers"));
    }
    let mouse = controller.reset()?;
    let weak = Arc::downgrade(&controller);
    let output = Box::new(move |request| {
        if let Some(controller) = weak.upgrade() {
            controller.output(request);
        }
    });
    controller.keyboard.call_once(|| EventDevice::register(describe_keyboard(), output));
    if let Some(kind) = mouse {
        controller.mouse.call_once(|| EventDevice::register(describe_mouse(kind), Box::new(|_| ())));
    }
    let claim = |number| {
        let line =
            IrqLine::claim_isa(number, Claim::Exclusive).map_err(|_| missing("its interrupt is taken"))?;
        let handler = controller.clone();
        line.set_handler("i8042", Box::new(move || handler.interrupt()));
        Ok::<_, Error>(line)
    };
    let lines = (claim(KEYBOARD_IRQ)?, mouse.map(|_| claim(MOUSE_IRQ)).transpose()?);
    controller.lines.call_once(|| lines);
    controller.send(&[ENABLE_SCANNING]);
    CONTROLLER.call_once(|| controller);
    Ok(())
}

fn describe_keyboard() -> Description {
    let mut description = Description {
        name: KEYBOARD.into(),
        place: "isa0060/serio0/input0".into(),
        id: Id { bus: BUS, vendor: 1, product: 1, version: 0xab41 },
        repeating: Repeating::Device,
        ..Description::default()
    };
    description.add_all(kind::KEY, KEYS);
    description.add_all(kind::MSC, [code::MSC_SCAN]);
    description.add_all(kind::LED, 0..3);
    description.add_all(kind::REP, 0..2);
    description
}

fn describe_mouse(mouse: MouseKind) -> Description {
    let (name, product) = match mouse {
        MouseKind::Plain => ("PS/2 Generic Mouse", 1),
        MouseKind::Wheel => ("ImPS/2 Generic Wheel Mouse", 5),
        MouseKind::FiveButtons => ("ImExPS/2 Generic Explorer Mouse", 6),
    };
    let mut description = Description {
        name: name.into(),
        place: "isa0060/serio1/input0".into(),
        id: Id { bus: BUS, vendor: 2, product, version: 0 },
        ..Description::default()
    };
    // It is a pointer.
    description.properties.insert(0);
    description.add_all(kind::KEY, (0..mouse.buttons()).map(|button| code::BTN_LEFT + button));
    let wheel = (mouse != MouseKind::Plain).then_some(code::REL_WHEEL);
    description.add_all(kind::REL, [code::REL_X, code::REL_Y].into_iter().chain(wheel));
    description
}

/// A key that moved, by polling. Takes only locks that are free.
pub(super) fn poll() -> Option<KeyEvent> {
    let controller = CONTROLLER.get()?;
    let status = controller.status.read_u8(0);
    if status & status::OUTPUT_FULL == 0 {
        return None;
    }
    let byte = controller.data.read_u8(0);
    let is_key = status & status::SECOND_PORT == 0 && !matches!(byte, ACKNOWLEDGE | RESEND);
    controller.state.try_lock().filter(|_| is_key)?.decoder.decode(byte)
}

impl Controller {
    /// Tests the controller, looks for a mouse, and has the controller interrupt for both. Tells what mouse there is.
    fn reset(&self) -> Result<Option<MouseKind>> {
        let broken = |what| Error::new(Errno::EIO, what);
        let silent = broken("it does not take commands");
        self.command(command::DISABLE_FIRST).ok_or(silent)?;
        self.command(command::DISABLE_SECOND).ok_or(silent)?;
        // What was typed to the firmware.
        for _ in 0..BYTES_PER_INTERRUPT {
            if self.status.read_u8(0) & status::OUTPUT_FULL == 0 {
                break;
            }
            self.data.read_u8(0);
        }
        self.command(command::READ_CONFIGURATION).ok_or(silent)?;
        let old = self.answer().ok_or(broken("it does not tell its configuration"))?;
        // The test resets the configuration of some controllers, so it comes before writing it.
        self.command(command::TEST).ok_or(silent)?;
        if self.answer() != Some(TEST_PASSED) {
            return Err(broken("it fails its test"));
        }
        let interrupts = configuration::FIRST_INTERRUPT | configuration::SECOND_INTERRUPT;
        let clocks_off = configuration::FIRST_CLOCK_OFF | configuration::SECOND_CLOCK_OFF;
        self.set_configuration(old & !(interrupts | clocks_off) | configuration::FIRST_CLOCK_OFF)
            .ok_or(silent)?;
        let mouse = self.find_mouse();
        let mut new = old & !(interrupts | clocks_off);
        new |= configuration::FIRST_INTERRUPT | configuration::TRANSLATE;
        if let Some(kind) = mouse {
            new |= configuration::SECOND_INTERRUPT;
            self.state.lock().mouse = MouseDecoder::new(kind);
        } else {
            new |= configuration::SECOND_CLOCK_OFF;
            self.command(command::DISABLE_SECOND).ok_or(silent)?;
        }
        self.set_configuration(new).ok_or(silent)?;
        self.command(command::ENABLE_FIRST).ok_or(silent)?;
        Ok(mouse)
    }

    fn set_configuration(&self, configuration: u8) -> Option<()> {
        self.command(command::WRITE_CONFIGURATION)?;
        self.write(configuration)
    }

    /// Looks for a mouse on the second port, and has it send what it can, by polling.
    fn find_mouse(&self) -> Option<MouseKind> {
        self.command(command::ENABLE_SECOND)?;
        self.ask_mouse(&[mouse_command::DEFAULTS])?;
        let mut kind = MouseKind::Plain;
        for rates in WHEEL_RATES {
            for rate in rates {
                self.ask_mouse(&[mouse_command::SET_RATE, rate])?;
            }
            self.ask_mouse(&[mouse_command::GET_ID])?;
            kind = MouseKind::from_id(self.answer()?);
            if kind == MouseKind::Plain {
                break;
            }
        }
        self.ask_mouse(&[mouse_command::SET_RATE, MOUSE_RATE])?;
        self.ask_mouse(&[mouse_command::ENABLE])?;
        Some(kind)
    }

    /// Sends bytes to the mouse, each of which it has to acknowledge.
    fn ask_mouse(&self, bytes: &[u8]) -> Option<()> {
        bytes.iter().try_for_each(|byte| {
            self.command(command::WRITE_SECOND)?;
            self.write(*byte)?;
            (self.answer()? == ACKNOWLEDGE).then_some(())
        })
    }

    /// Waits until the controller takes a byte, then writes it to `port`.
    fn write_to(&self, port: &IoPorts, byte: u8) -> Option<()> {
        let deadline = time::monotonic_ns() + PATIENCE_NS;
        while self.status.read_u8(0) & status::INPUT_FULL != 0 {
            if time::monotonic_ns() > deadline {
                return None;
            }
        }
        port.write_u8(0, byte);
        Some(())
    }

    fn command(&self, command: u8) -> Option<()> {
        self.write_to(&self.status, command)
    }

    fn write(&self, byte: u8) -> Option<()> {
        self.write_to(&self.data, byte)
    }

    fn answer(&self) -> Option<u8> {
        let deadline = time::monotonic_ns() + PATIENCE_NS;
        while self.status.read_u8(0) & status::OUTPUT_FULL == 0 {
            if time::monotonic_ns() > deadline {
                return None;
            }
        }
        Some(self.data.read_u8(0))
    }

    fn interrupt(&self) -> Handled {
        let mut handled = Handled::No;
        for _ in 0..BYTES_PER_INTERRUPT {
            let status = self.status.read_u8(0);
            if status & status::OUTPUT_FULL == 0 {
                break;
            }
            handled = Handled::Yes;
            let byte = self.data.read_u8(0);
            if status & status::SECOND_PORT == 0 {
                self.receive(byte);
            } else {
                self.receive_from_mouse(byte);
            }
        }
        handled
    }

    fn receive(&self, byte: u8) {
        let mut state = self.state.lock();
        match byte {
            ACKNOWLEDGE => {
                state.outgoing.pop_front();
                if let Some(&next) = state.outgoing.front() {
                    self.write_or_forget(&mut state, next);
                }
                return;
            }
            // It did not understand.
            RESEND => return state.outgoing.clear(),
            _ => {}
        }
        let event = state.decoder.decode(byte);
        drop(state);
        if let Some((event, keyboard)) = event.zip(self.keyboard.get()) {
            keyboard.key_event(event);
        }
    }

    fn receive_from_mouse(&self, byte: u8) {
        let event = self.state.lock().mouse.decode(byte);
        let Some((MouseEvent { x, y, wheel, buttons }, mouse)) = event.zip(self.mouse.get()) else { return };
        for button in 0..8 {
            mouse.event(kind::KEY, code::BTN_LEFT + button, i32::from(buttons >> button & 1));
        }
        mouse.event(kind::REL, code::REL_X, x);
        mouse.event(kind::REL, code::REL_Y, y);
        mouse.event(kind::REL, code::REL_WHEEL, wheel);
        mouse.event(kind::SYN, code::SYN_REPORT, 0);
    }

    fn output(&self, request: Request) {
        match request {
            Request::Lights(lights) => self.send(&[SET_LIGHTS, lights.bits()]),
            Request::Repeat(repetition) => self.send(&[SET_REPETITION, rate_of(repetition)]),
        }
    }

    /// Sends bytes to the keyboard, behind those that wait to be sent.
    fn send(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        let is_idle = state.outgoing.is_empty();
        // Without memory the lights are wrong, and nothing else.
        if state.outgoing.try_reserve(bytes.len()).is_err() {
            return;
        }
        state.outgoing.extend(bytes);
        if is_idle && let Some(&first) = bytes.first() {
            self.write_or_forget(&mut state, first);
        }
    }

    /// A keyboard that takes nothing gets nothing more.
    fn write_or_forget(&self, state: &mut State, byte: u8) {
        if self.write(byte).is_none() {
            state.outgoing.clear();
        }
    }
}

/// The byte that comes nearest to a repetition: bits 5 and 6 are the delay in steps of 250 ms, bits 0 to 4 the period, which
/// is (8 + bits 0 to 2) times 2 to the power of bits 3 and 4, in units of 4.17 ms.
fn rate_of(repetition: Repetition) -> u8 {
    let delay = repetition.delay.div_ceil(250).clamp(1, 4) - 1;
    let period = |bits: u32| ((8 + (bits & 7)) << (bits >> 3)) * 417 / 100;
    let nearest = (0..32).min_by_key(|bits| period(*bits).abs_diff(repetition.period)).unwrap_or(0);
    (delay << 5 | nearest) as u8
}
