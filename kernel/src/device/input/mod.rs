//! Keyboards and mice.
//!
//! | file | what |
//! |---|---|
//! | `events.rs` | /dev/input/event*: for programs that want to know of every key |
//! | `i8042.rs` | the keyboard controller of PCs, and the keyboard behind it |
//! | `keyboard.rs` | what keys do: characters for the virtual consoles, combinations for the system |

mod events;
mod i8042;
mod keyboard;

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
