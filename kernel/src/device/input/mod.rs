//! Keyboards and mice.
//!
//! | file | what |
//! |---|---|
//! | `description.rs` | what a device is, and which events it has |
//! | `events.rs` | a device's state; how its events go to programs and consoles |
//! | `evdev.rs` | /dev/input/event*: for programs that want to know of every event |
//! | `mice.rs` | /dev/input/mice, mouse*: for programs that want PS/2 mice |
//! | `i8042.rs` | the keyboard controller of PCs, and keyboard and mouse behind it |
//! | `report.rs` | /proc/bus/input/devices |
//! | `keyboard.rs` | what keys do: characters for the virtual consoles, combinations for the system |

mod description;
mod evdev;
mod events;
mod i8042;
pub(crate) mod keyboard;
mod mice;
mod report;
#[cfg(feature = "tests")]
mod tests;

pub(crate) use description::{Axis, Codes, Description, Id, Repeating, code, kind};
pub(crate) use events::{EventDevice, LIGHTS, Repetition, Request};
pub(crate) use events::{change_console, reset_locks, set_lights, set_locks, set_repetition};
pub(crate) use i8042::{key_code, set_key_code};
pub(crate) use report::report;

use crate::cmdline::Parameters;

/// Finds the input devices that are on no bus.
pub(crate) fn init(parameters: &Parameters) {
    keyboard::set_layout(parameters.keymap.as_deref());
    if let Err(error) = i8042::init() {
        log::info!("input: no keyboard controller: {error}");
    }
}

/// A byte for a key that was pressed, as a simple terminal sends it, by polling: for a panic, when no interrupt comes any
/// more. Takes only locks that are free.
pub(crate) fn poll() -> Option<u8> {
    keyboard::byte_of(i8042::poll()?)
}
