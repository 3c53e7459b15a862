//! What an input device is: name, number, and the events that it has. Source: Linux's input-event-codes.h and input.h.

use alloc::{string::String, vec::Vec};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Kinds of events.
pub(crate) mod kind {
    pub(crate) const SYN: u16 = 0x00;
    pub(crate) const KEY: u16 = 0x01;
    pub(crate) const REL: u16 = 0x02;
    pub(crate) const ABS: u16 = 0x03;
    pub(crate) const MSC: u16 = 0x04;
    pub(crate) const LED: u16 = 0x11;
    pub(crate) const REP: u16 = 0x14;
    pub(crate) const KINDS: usize = 0x20;
}

/// Codes of events that are named here.
pub(crate) mod code {
    pub(crate) const SYN_REPORT: u16 = 0;
    pub(crate) const SYN_DROPPED: u16 = 3;
    pub(crate) const REL_X: u16 = 0;
    pub(crate) const REL_Y: u16 = 1;
    pub(crate) const REL_WHEEL: u16 = 8;
    pub(crate) const MSC_SCAN: u16 = 4;
    pub(crate) const BTN_LEFT: u16 = 0x110;
}

/// Codes of all keys are below.
pub(crate) const KEYS: usize = 0x300;
/// Codes of all axes are below.
pub(crate) const AXES: usize = 0x40;

/// `struct input_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Id {
    pub(crate) bus: u16,
    pub(crate) vendor: u16,
    pub(crate) product: u16,
    pub(crate) version: u16,
}

/// `struct input_absinfo`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Axis {
    pub(crate) value: i32,
    pub(crate) minimum: i32,
    pub(crate) maximum: i32,
    pub(crate) fuzz: i32,
    pub(crate) flat: i32,
    /// Units per mm.
    pub(crate) resolution: i32,
}

/// A set of codes, a bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes(Vec<u8>);

impl Codes {
    /// From the bytes that a device says.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn insert(&mut self, code: u16) {
        let byte = usize::from(code / 8);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << (code % 8);
    }

    pub(crate) fn contains(&self, code: u16) -> bool {
        self.0.get(usize::from(code / 8)).is_some_and(|byte| byte & 1 << (code % 8) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Who has held keys repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Repeating {
    /// Nobody.
    #[default]
    Never,
    /// The device.
    Device,
    /// We.
    Timer,
}

/// A device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    pub(crate) name: String,
    /// Where it is connected.
    pub(crate) place: String,
    /// Its serial number; empty if it has none.
    pub(crate) serial: String,
    pub(crate) id: Id,
    /// INPUT_PROP_*.
    pub(crate) properties: Codes,
    /// The codes of each kind of events.
    pub(crate) codes: Vec<(u16, Codes)>,
    /// Its axes with their codes.
    pub(crate) axes: Vec<(u16, Axis)>,
    pub(crate) repeating: Repeating,
}

impl Description {
    /// Says that it has these events.
    pub(crate) fn add(&mut self, kind: u16, codes: Codes) {
        if !codes.is_empty() && usize::from(kind) < kind::KINDS {
            self.codes.push((kind, codes));
        }
    }

    /// Says that it has events with these codes.
    pub(crate) fn add_all(&mut self, kind: u16, codes: impl IntoIterator<Item = u16>) {
        let mut set = Codes::default();
        codes.into_iter().for_each(|code| set.insert(code));
        self.add(kind, set);
    }

    /// The codes of a kind; those of SYN are the kinds, as EVIOCGBIT has it.
    pub(crate) fn codes(&self, wanted: u16) -> Codes {
        if wanted != kind::SYN {
            return self.find(wanted).cloned().unwrap_or_default();
        }
        let mut kinds = Codes::default();
        kinds.insert(kind::SYN);
        self.codes.iter().for_each(|(kind, _)| kinds.insert(*kind));
        kinds
    }

    /// Whether it has an event.
    pub(crate) fn has(&self, kind: u16, code: u16) -> bool {
        self.find(kind).is_some_and(|codes| codes.contains(code))
    }

    fn find(&self, wanted: u16) -> Option<&Codes> {
        self.codes.iter().find(|(kind, _)| *kind == wanted).map(|(_, codes)| codes)
    }
}
