//! /proc/bus/input/devices: what Linux shows there.

use super::description::{Codes, code, kind};
use super::events::{EventDevice, for_each};
use alloc::{format, string::String};
use core::fmt::Write;

/// The sets that are shown, by kind.
const SETS: [(&str, u16); 6] = [
    ("EV", kind::SYN),
    ("KEY", kind::KEY),
    ("REL", kind::REL),
    ("ABS", kind::ABS),
    ("MSC", kind::MSC),
    ("LED", kind::LED),
];

/// All devices.
pub(crate) fn report() -> String {
    let mut text = String::new();
    for_each(|index, device| {
        // Strings take everything.
        let _ = write_device(&mut text, index, device);
    });
    text
}

fn write_device(text: &mut String, index: usize, device: &EventDevice) -> core::fmt::Result {
    let description = &device.description;
    let id = description.id;
    let (bus, vendor, product, version) = (id.bus, id.vendor, id.product, id.version);
    writeln!(text, "I: Bus={bus:04x} Vendor={vendor:04x} Product={product:04x} Version={version:04x}")?;
    writeln!(text, "N: Name=\"{}\"", description.name)?;
    writeln!(text, "P: Phys={}", description.place)?;
    writeln!(text, "S: Sysfs=/devices/virtual/input/event{index}")?;
    writeln!(text, "U: Uniq={}", description.serial)?;
    let is_keyboard = description.has(kind::KEY, 1) && !description.has(kind::KEY, code::BTN_LEFT);
    writeln!(text, "H: Handlers={}event{index} ", if is_keyboard { "sysrq kbd leds " } else { "" })?;
    writeln!(text, "B: PROP={}", words(&description.properties))?;
    for (name, kind) in SETS {
        let codes = description.codes(kind);
        if !codes.is_empty() {
            writeln!(text, "B: {name}={}", words(&codes))?;
        }
    }
    writeln!(text)
}

/// Words of 64 bits, the highest that is not 0 first.
fn words(codes: &Codes) -> String {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let mut text = String::new();
    for word in codes.bytes().chunks(8).rev().map(word) {
        if !text.is_empty() {
            text.push(' ');
        }
        if !text.is_empty() || word != 0 {
            text.push_str(&format!("{word:x}"));
        }
    }
    if text.is_empty() { "0".into() } else { text }
}
