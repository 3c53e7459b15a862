//! Lists of resources, as far as interrupts are concerned: `_CRS`, `_PRS`, `_SRS`.
//!
//! A list is a row of descriptors in a buffer: small ones (type and length in the first byte) and large ones (type, then
//! a length of two bytes), with an end tag at the end. Source: ACPI Specification 6.5, 6.4.

use alloc::vec::Vec;

/// An interrupt that a device has, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Counted over all I/O APICs.
    pub number: u32,
    /// By level, else by edges.
    pub is_level: bool,
    /// While low, or when falling.
    pub is_active_low: bool,
}

const IRQ: u8 = 0x04;
const END: u8 = 0x0f;
const EXTENDED_IRQ: u8 = 0x89;

/// The interrupts that a list names, in its order: all that one descriptor allows.
pub fn interrupts(list: &[u8]) -> Vec<Interrupt> {
    let mut found = Vec::new();
    for descriptor in descriptors(list) {
        match (descriptor.kind, descriptor.body) {
            (IRQ, [low, high, flags @ ..]) => {
                let mask = u16::from_le_bytes([*low, *high]);
                // Without flags it is as ISA has it.
                let flags = flags.first().copied().unwrap_or(1);
                let numbers = (0..16).filter(|number| mask >> number & 1 != 0);
                found.extend(numbers.map(|number| Interrupt {
                    number,
                    is_level: flags & 1 == 0,
                    is_active_low: flags & 8 != 0,
                }));
            }
            (EXTENDED_IRQ, [flags, count, numbers @ ..]) => {
                let numbers = numbers.chunks_exact(4).take(usize::from(*count));
                let numbers = numbers.filter_map(|bytes| bytes.try_into().ok().map(u32::from_le_bytes));
                found.extend(numbers.map(|number| Interrupt {
                    number,
                    is_level: flags & 2 == 0,
                    is_active_low: flags & 4 != 0,
                }));
            }
            _ => {}
        }
    }
    found
}

/// A list that names nothing but one of the interrupts that `list` allows, in the form in which it names that one.
pub fn choose(list: &[u8], number: u32) -> Option<Vec<u8>> {
    for descriptor in descriptors(list) {
        let mut chosen = match (descriptor.kind, descriptor.body) {
            (IRQ, [low, high, flags @ ..]) => {
                let mask = u16::from_le_bytes([*low, *high]);
                let bit = 1_u16.checked_shl(number).filter(|bit| mask & bit != 0);
                let Some(bit) = bit else { continue };
                [&[IRQ << 3 | descriptor.body.len() as u8], &bit.to_le_bytes()[..], flags].concat()
            }
            (EXTENDED_IRQ, [flags, count, numbers @ ..]) => {
                let is_meant = |bytes: &[u8]| bytes == number.to_le_bytes();
                if !numbers.chunks_exact(4).take(usize::from(*count)).any(is_meant) {
                    continue;
                }
                [&[EXTENDED_IRQ, 6, 0, *flags, 1], &number.to_le_bytes()[..]].concat()
            }
            _ => continue,
        };
        // The end, without a checksum.
        chosen.extend([END << 3 | 1, 0]);
        return Some(chosen);
    }
    None
}

/// Two lists as one (ConcatenateResTemplate).
pub(crate) fn joined(first: &[u8], second: &[u8]) -> Vec<u8> {
    let body = |list: &[u8]| -> Vec<u8> {
        let length = descriptors(list).map(|descriptor| descriptor.end).last().unwrap_or(0);
        list.get(..length).unwrap_or_default().to_vec()
    };
    [body(first), body(second), [END << 3 | 1, 0].into()].concat()
}

struct Descriptor<'a> {
    kind: u8,
    body: &'a [u8],
    /// Where it ends in the list.
    end: usize,
}

/// The descriptors up to the end tag, or to the first that is cut off.
fn descriptors(list: &[u8]) -> impl Iterator<Item = Descriptor<'_>> {
    let mut at = 0_usize;
    core::iter::from_fn(move || {
        let first = *list.get(at)?;
        let (kind, start, length) = if first & 0x80 != 0 {
            let length = u16::from_le_bytes([*list.get(at + 1)?, *list.get(at + 2)?]);
            (first, at + 3, usize::from(length))
        } else {
            (first >> 3 & 0xf, at + 1, usize::from(first & 7))
        };
        let body = list.get(start..start + length)?;
        at = start + length;
        (kind != END).then_some(Descriptor { kind, body, end: at })
    })
}
