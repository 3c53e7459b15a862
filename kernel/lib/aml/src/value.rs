//! Values, and how one kind is taken for another (ACPI Specification 6.5, 19.3.5).

use crate::code::Path;
use crate::namespace::NodeId;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt::Write;

/// What names, locals and arguments hold, and what methods return.
///
/// Strings, buffers and packages are shared until they are stored, as the specification has it. A package never holds a
/// reference, so values are at most as deep as [`crate::Limits::depth`] says.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nothing yet.
    #[default]
    Uninitialized,
    /// A number of 64 bits, or of 32 in tables of revision 1.
    Integer(u64),
    /// Characters, without a zero at the end.
    String(Rc<RefCell<Vec<u8>>>),
    /// Bytes.
    Buffer(Rc<RefCell<Vec<u8>>>),
    /// Values.
    Package(Rc<RefCell<Vec<Value>>>),
    /// An element of a package that names something.
    Name(Name),
    /// Another place.
    Reference(Reference),
}

/// A name that is looked up when it is used.
#[derive(Clone, Debug)]
pub struct Name {
    pub(crate) scope: NodeId,
    pub(crate) path: Rc<Path>,
}

/// A place that can be read and stored to.
#[derive(Clone, Debug)]
pub enum Reference {
    /// An object in the namespace.
    Node(NodeId),
    /// A byte of a buffer or of a string.
    Byte(Rc<RefCell<Vec<u8>>>, usize),
    /// An element of a package.
    Element(Rc<RefCell<Vec<Value>>>, usize),
}

impl Value {
    /// A string.
    pub fn string(text: &str) -> Value {
        Value::characters(text.into())
    }

    /// A string of characters that need not be UTF-8.
    pub(crate) fn characters(text: Vec<u8>) -> Value {
        Value::String(Rc::new(RefCell::new(text)))
    }

    /// A buffer.
    pub fn buffer(bytes: Vec<u8>) -> Value {
        Value::Buffer(Rc::new(RefCell::new(bytes)))
    }

    /// A package.
    pub fn package(elements: Vec<Value>) -> Value {
        Value::Package(Rc::new(RefCell::new(elements)))
    }

    /// The number, if it is one.
    pub fn as_integer(&self) -> Option<u64> {
        if let Value::Integer(value) = self { Some(*value) } else { None }
    }

    /// A copy of a buffer's bytes.
    pub fn as_bytes(&self) -> Option<Vec<u8>> {
        if let Value::Buffer(bytes) = self { Some(bytes.borrow().clone()) } else { None }
    }

    /// A copy of a string's characters.
    pub fn as_text(&self) -> Option<Vec<u8>> {
        if let Value::String(text) = self { Some(text.borrow().clone()) } else { None }
    }

    /// A copy of a package's elements (those that are packages are shared).
    pub fn as_elements(&self) -> Option<Vec<Value>> {
        if let Value::Package(elements) = self { Some(elements.borrow().clone()) } else { None }
    }

    /// The number of ObjectType.
    pub(crate) fn kind(&self) -> u64 {
        match self {
            Value::Uninitialized | Value::Name(_) | Value::Reference(_) => 0,
            Value::Integer(_) => 1,
            Value::String(_) => 2,
            Value::Buffer(_) => 3,
            Value::Package(_) => 4,
        }
    }

    /// Taken for a number of `bytes` bytes, 4 or 8; `None`: it cannot be.
    pub(crate) fn to_integer(&self, bytes: usize) -> Option<u64> {
        match self {
            Value::Integer(value) => Some(*value),
            Value::Buffer(buffer) => Some(number(&buffer.borrow(), bytes)),
            Value::String(text) => {
                let text = text.borrow();
                // Tables are written for systems that take either.
                let text = text.strip_prefix(b"0x").or(text.strip_prefix(b"0X")).unwrap_or(&text);
                Some(hexadecimal(text, bytes))
            }
            _ => None,
        }
    }

    /// Taken for bytes.
    pub(crate) fn to_bytes(&self, integer_bytes: usize) -> Option<Vec<u8>> {
        match self {
            Value::Integer(value) => value.to_le_bytes().get(..integer_bytes).map(<[u8]>::to_vec),
            Value::Buffer(buffer) => Some(buffer.borrow().clone()),
            Value::String(text) => {
                let mut bytes = text.borrow().clone();
                // Its end belongs to it.
                let zero = (!bytes.is_empty()).then_some(0);
                bytes.extend(zero);
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Taken for a string: numbers with as many hexadecimal digits as they have bytes for, bytes separated by spaces.
    pub(crate) fn to_text(&self, integer_bytes: usize) -> Option<Vec<u8>> {
        match self {
            Value::Integer(value) => {
                Some(format(format_args!("{value:0width$X}", width = integer_bytes * 2)))
            }
            Value::Buffer(buffer) => Some(listed(&buffer.borrow(), " ", Radix::Hexadecimal)),
            Value::String(text) => Some(text.borrow().clone()),
            _ => None,
        }
    }
}

/// How digits are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Radix {
    Decimal,
    Hexadecimal,
}

/// Bytes as text, with something between them.
pub(crate) fn listed(bytes: &[u8], between: &str, radix: Radix) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(between.as_bytes());
        }
        text.extend(match radix {
            Radix::Decimal => format(format_args!("{byte}")),
            Radix::Hexadecimal => format(format_args!("0x{byte:02X}")),
        });
    }
    text
}

/// Formatted bytes.
pub(crate) fn format(arguments: core::fmt::Arguments<'_>) -> Vec<u8> {
    let mut text = alloc::string::String::new();
    text.write_fmt(arguments).expect("strings take everything");
    text.into_bytes()
}

/// The first bytes of a buffer as a number, the lowest first.
pub(crate) fn number(buffer: &[u8], bytes: usize) -> u64 {
    buffer.iter().take(bytes.min(8)).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The leading hexadecimal digits of a string.
fn hexadecimal(text: &[u8], bytes: usize) -> u64 {
    let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(16));
    digits.take(bytes * 2).fold(0, |number, digit| number << 4 | u64::from(digit))
}

/// The leading digits of a string, hexadecimal behind "0x" (ToInteger).
pub(crate) fn digits(text: &[u8]) -> u64 {
    match text {
        [b'0', b'x' | b'X', rest @ ..] => hexadecimal(rest, 8),
        _ => {
            let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(10));
            digits.fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(digit.into()))
        }
    }
}
