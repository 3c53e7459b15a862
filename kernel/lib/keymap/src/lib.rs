//! From the keys of a PC keyboard to what they mean.
//!
//! [`Decoder`] turns the bytes of a PS/2 keyboard (scan code set 1, as the keyboard controller translates it) into
//! [`KeyEvent`]s with Linux's key codes. [`Keyboard`] knows which modifiers and locks are on, and turns events into
//! [`Action`]s by a [`Keymap`]: characters, dead keys, other keys, and what is meant for the system itself.
//!
//! [`MouseDecoder`] does the same for the packets of a PS/2 mouse, [`MouseEmulation`] makes such packets for programs.
//!
//! Sources: Linux's input-event-codes.h (numbers); the layouts are those of ISO/IEC 9995 keyboards as sold.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod code;
mod compose;
mod emulation;
mod keyboard;
mod layouts;
mod mouse;
mod scancode;
mod symbol;
mod tables;

pub use compose::Accent;
pub use emulation::MouseEmulation;
pub use keyboard::{Action, Indicators, Keyboard, Locks, Modifiers};
pub use mouse::{MouseDecoder, MouseEvent, MouseKind};
pub use scancode::{Decoder, scan_codes};
pub use symbol::{Symbol, kind};
pub use tables::{KEYS, Keymap, MAX_ACCENTS, OutOfMemory, function_key};

/// A key went down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// Linux's key code, below 256.
    pub code: u16,
    /// Down, again (the keyboard repeats), or up.
    pub motion: Motion,
}

/// What a key does; the numbers are those of evdev's EV_KEY values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// It went up.
    Released = 0,
    /// It went down.
    Pressed = 1,
    /// It is held, and repeats.
    Repeated = 2,
}
