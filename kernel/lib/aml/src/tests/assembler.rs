//! Byte code from expressions.

use alloc::vec::Vec;

pub(crate) const NOWHERE: [u8; 1] = [0];
pub(crate) const BREAK: [u8; 1] = [0xa5];
pub(crate) const CONTINUE: [u8; 1] = [0x9f];

pub(crate) fn zero() -> Vec<u8> {
    [0].into()
}

pub(crate) fn one() -> Vec<u8> {
    [1].into()
}

pub(crate) fn byte(value: u8) -> Vec<u8> {
    [0x0a, value].into()
}

pub(crate) fn word(value: u16) -> Vec<u8> {
    [&[0x0b], &value.to_le_bytes()[..]].concat()
}

pub(crate) fn double(value: u32) -> Vec<u8> {
    [&[0x0c], &value.to_le_bytes()[..]].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&[0x0d], text.as_bytes(), &[0]].concat()
}

pub(crate) fn local(index: u8) -> Vec<u8> {
    [0x60 + index].into()
}

pub(crate) fn argument(index: u8) -> Vec<u8> {
    [0x68 + index].into()
}

/// A name of four characters, or several with dots between.
pub(crate) fn path(text: &str) -> Vec<u8> {
    let (start, names) = match text.strip_prefix('\\') {
        Some(names) => (&b"\\"[..], names),
        None => (&b""[..], text),
    };
    let names: Vec<&str> = names.split('.').collect();
    let count: &[u8] = match names.len() {
        1 => &[],
        2 => b".",
        3 => b"/\x03",
        _ => panic!("tests have no longer paths"),
    };
    [start, count, names.concat().as_bytes()].concat()
}

pub(crate) fn operation(code: &[u8], operands: &[&[u8]]) -> Vec<u8> {
    [code, &operands.concat()].concat()
}

/// An operation with a package around its operands.
pub(crate) fn packed(code: &[u8], body: &[u8]) -> Vec<u8> {
    let short = body.len() + 1;
    let length = if short < 0x40 {
        [short as u8].into()
    } else {
        let long = body.len() + 2;
        Vec::from([0x40 | (long & 0xf) as u8, (long >> 4) as u8])
    };
    [code, &length, body].concat()
}

pub(crate) fn store(value: &[u8], target: &[u8]) -> Vec<u8> {
    operation(&[0x70], &[value, target])
}

pub(crate) fn add(left: &[u8], right: &[u8], target: &[u8]) -> Vec<u8> {
    operation(&[0x72], &[left, right, target])
}

pub(crate) fn and(left: &[u8], right: &[u8]) -> Vec<u8> {
    operation(&[0x7b], &[left, right, &NOWHERE])
}

pub(crate) fn not(value: &[u8]) -> Vec<u8> {
    operation(&[0x92], &[value])
}

pub(crate) fn not_bits(value: &[u8], target: &[u8]) -> Vec<u8> {
    operation(&[0x80], &[value, target])
}

pub(crate) fn less(left: &[u8], right: &[u8]) -> Vec<u8> {
    operation(&[0x95], &[left, right])
}

pub(crate) fn equal(left: &[u8], right: &[u8]) -> Vec<u8> {
    operation(&[0x93], &[left, right])
}

pub(crate) fn increment(target: &[u8]) -> Vec<u8> {
    operation(&[0x75], &[target])
}

pub(crate) fn index(container: &[u8], at: &[u8]) -> Vec<u8> {
    operation(&[0x88], &[container, at, &NOWHERE])
}

pub(crate) fn size_of(name: &str) -> Vec<u8> {
    operation(&[0x87], &[&path(name)])
}

pub(crate) fn dereference(value: &[u8]) -> Vec<u8> {
    operation(&[0x83], &[value])
}

pub(crate) fn return_(value: &[u8]) -> Vec<u8> {
    operation(&[0xa4], &[value])
}

pub(crate) fn if_(condition: &[u8], then: &[u8]) -> Vec<u8> {
    packed(&[0xa0], &[condition, then].concat())
}

pub(crate) fn else_(then: &[u8]) -> Vec<u8> {
    packed(&[0xa1], then)
}

pub(crate) fn while_(condition: &[u8], body: &[u8]) -> Vec<u8> {
    packed(&[0xa2], &[condition, body].concat())
}

pub(crate) fn call(name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [path(name), arguments.concat()].concat()
}

pub(crate) fn name(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0x08], &path(name)[..], value].concat()
}

pub(crate) fn method(name: &str, arguments: u8, body: &[u8]) -> Vec<u8> {
    packed(&[0x14], &[&path(name), &[arguments][..], body].concat())
}

pub(crate) fn device(name: &str, body: &[u8]) -> Vec<u8> {
    packed(&[0x5b, 0x82], &[&path(name), body].concat())
}

pub(crate) fn scope(name: &str, body: &[u8]) -> Vec<u8> {
    packed(&[0x10], &[&path(name), body].concat())
}

pub(crate) fn buffer(length: u8, bytes: &[u8]) -> Vec<u8> {
    packed(&[0x11], &[&byte(length), bytes].concat())
}

pub(crate) fn package(elements: &[Vec<u8>]) -> Vec<u8> {
    packed(&[0x12], &[&[elements.len() as u8][..], &elements.concat()].concat())
}

/// One of the operations that name a part of a buffer, by its code.
pub(crate) fn create_field(code: u8, buffer: &str, at: u8, name: &str) -> Vec<u8> {
    operation(&[code], &[&path(buffer), &byte(at), &path(name)])
}

pub(crate) fn region(name: &str, space: u8, start: u32, length: u8) -> Vec<u8> {
    operation(&[0x5b, 0x80], &[&path(name), &[space], &double(start), &byte(length)])
}

pub(crate) fn fields_of(region: &str, flags: u8, entries: &[u8]) -> Vec<u8> {
    packed(&[0x5b, 0x81], &[&path(region), &[flags][..], entries].concat())
}

pub(crate) fn index_fields(index: &str, data: &str, entries: &[u8]) -> Vec<u8> {
    packed(&[0x5b, 0x86], &[&path(index), &path(data), &[1][..], entries].concat())
}

pub(crate) fn field_entry(name: &str, bits: u8) -> Vec<u8> {
    [&path(name)[..], &[bits]].concat()
}

/// Bits without a name.
pub(crate) fn skip(bits: u16) -> Vec<u8> {
    if bits < 0x40 {
        [0, bits as u8].into()
    } else {
        [0, 0x40 | (bits & 0xf) as u8, (bits >> 4) as u8].into()
    }
}
