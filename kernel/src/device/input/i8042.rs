//! The i8042 keyboard controller, and the keyboard on its first port.
//!
//! The controller translates the keyboard's codes to scan code set 1. Commands to the keyboard (its lights) are
//! sent from the interrupt handler, one byte at a time as the keyboard acknowledges them.
//!
//! Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller".

use super::events::EventDevice;
use super::keyboard;
use crate::device::random;
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use keymap::{Decoder, Indicators, KeyEvent};
use machine::io::IoPorts;
use machine::irq::{Claim, Handled, IrqLine};
use machine::sync::{IrqSpinLock, Once};
use machine::time;

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const KEYBOARD_IRQ: u8 = 1;

/// What the keyboard is called, and where it is, as Linux says it.
const NAME: &str = "AT Translated Set 2 keyboard";
const PLACE: &str = "isa0060/serio0/input0";

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
    pub(super) const TEST: u8 = 0xaa;
    pub(super) const DISABLE_FIRST: u8 = 0xad;
    pub(super) const ENABLE_FIRST: u8 = 0xae;
}

const TEST_PASSED: u8 = 0x55;

/// Bits of the controller's configuration.
mod configuration {
    pub(super) const FIRST_INTERRUPT: u8 = 1 << 0;
    pub(super) const SECOND_INTERRUPT: u8 = 1 << 1;
    pub(super) const FIRST_CLOCK_OFF: u8 = 1 << 4;
    pub(super) const TRANSLATE: u8 = 1 << 6;
}

/// To the keyboard, and its answers.
const SET_LIGHTS: u8 = 0xed;
const ENABLE_SCANNING: u8 = 0xf4;
const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;

/// How long the controller may take.
const PATIENCE_NS: u64 = 20_000_000;
/// Bytes that are read in one interrupt, so that a broken controller does not hold the CPU.
const BYTES_PER_INTERRUPT: usize = 64;

static CONTROLLER: Once<Arc<Controller>> = Once::new();

struct Controller {
    data: IoPorts,
    status: IoPorts,
    state: IrqSpinLock<State>,
    line: Once<IrqLine>,
    events: Once<Arc<EventDevice>>,
}

struct State {
    decoder: Decoder,
    /// Bytes for the keyboard; the first of them was sent and is not acknowledged yet.
    outgoing: VecDeque<u8>,
}

/// Finds the controller and takes its keyboard into service.
pub(super) fn init() -> Result<()> {
    let missing = |what| Error::new(Errno::ENODEV, what);
    let ports = IoPorts::claim(DATA, 1).zip(IoPorts::claim(STATUS, 1));
    let (data, status) = ports.ok_or(missing("its ports are taken"))?;
    let state = State { decoder: Decoder::new(), outgoing: VecDeque::new() };
    let state = IrqSpinLock::new("keyboard controller", state);
    let controller = Arc::new(Controller { data, status, state, line: Once::new(), events: Once::new() });
    // Where nothing is, all bits read as ones.
    if controller.status.read_u8(0) == u8::MAX {
        return Err(missing("nothing answers"));
    }
    controller.reset()?;
    let lamps = Arc::downgrade(&controller);
    let set_lights = Box::new(move |lights| {
        if let Some(controller) = lamps.upgrade() {
            controller.show(lights);
        }
    });
    controller.events.call_once(|| EventDevice::register(0, NAME, PLACE, set_lights));
    let line =
        IrqLine::claim_isa(KEYBOARD_IRQ, Claim::Exclusive).map_err(|_| missing("its interrupt is taken"))?;
    let handler = controller.clone();
    line.set_handler("i8042", Box::new(move || handler.interrupt()));
    controller.line.call_once(|| line);
    controller.send(&[ENABLE_SCANNING]);
    CONTROLLER.call_once(|| controller);
    log::info!("input: keyboard");
    Ok(())
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
    /// Tests the controller, and sets it up for the keyboard alone.
    fn reset(&self) -> Result<()> {
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
        let cleared = configuration::SECOND_INTERRUPT | configuration::FIRST_CLOCK_OFF;
        let new = old & !cleared | configuration::FIRST_INTERRUPT | configuration::TRANSLATE;
        self.command(command::WRITE_CONFIGURATION).ok_or(silent)?;
        self.write(new).ok_or(silent)?;
        self.command(command::ENABLE_FIRST).ok_or(silent)
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
        random::add_time();
        let Some((event, events)) = event.zip(self.events.get()) else { return };
        events.key(event);
        if !events.is_grabbed()
            && let Some(lights) = keyboard::handle(event)
        {
            self.show(lights);
            events.lights(lights);
        }
    }

    fn show(&self, lights: Indicators) {
        self.send(&[SET_LIGHTS, lights.bits()]);
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
