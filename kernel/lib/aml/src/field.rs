//! Fields: registers of devices by name, and parts of buffers.
//!
//! A field of a region lies at some bits of it and is reached in units of its access width, which may hold other fields:
//! those bits are kept, or set, as its update rule says. Source: ACPI Specification 6.5, 19.6.48 (Field), 20.2.5.2.

use crate::code::{Code, Path};
use crate::machine::Interpreter;
use crate::namespace::{NodeId, Object};
use crate::value::Value;
use crate::{Error, Space, segment};
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;

/// The number of configuration space among the kinds of regions.
pub(crate) const PCI_CONFIG: u8 = 2;

/// Longest field, in bits.
const MAX_BITS: usize = 4096;

/// A stretch of registers.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) space: u8,
    pub(crate) start: u64,
    pub(crate) length: u64,
    /// The scope it was declared in: of a device, for its configuration space.
    pub(crate) scope: NodeId,
}

/// A field of registers.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) place: FieldPlace,
    access: u8,
    start_bit: usize,
    bits: usize,
}

/// Where the bits of a field are.
#[derive(Clone, Debug)]
pub(crate) enum FieldPlace {
    /// In a region.
    Region(NodeId),
    /// In a region, while another field has this value.
    Bank { region: NodeId, bank: NodeId, value: u64 },
    /// Behind a pair of fields: one takes the byte's number, the other is the data.
    Index { index: NodeId, data: NodeId },
}

/// A part of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct BufferField {
    pub(crate) buffer: Rc<RefCell<Vec<u8>>>,
    pub(crate) start_bit: usize,
    pub(crate) bits: usize,
    /// CreateField's hold bytes, however short they are; the others numbers.
    pub(crate) holds_bytes: bool,
}

impl Interpreter<'_> {
    /// Reads a list of fields and defines them.
    pub(crate) fn define_fields(
        &mut self,
        mut code: Code,
        scope: NodeId,
        flags: u64,
        place: &FieldPlace,
    ) -> Result<(), Error> {
        let rule = flags as u8 & 0x60;
        let mut access = flags as u8 & 0xf | rule;
        let mut start_bit = 0_usize;
        while !code.is_over() {
            self.spend_steps(1)?;
            match code.peek(0) {
                // Reserved.
                Some(0) => {
                    code.byte()?;
                    start_bit = start_bit.saturating_add(code.length()?);
                }
                // From here on in another width.
                Some(1) => {
                    access = code.number(3)?.to_le_bytes()[1] & 0xf | rule;
                }
                Some(3) => {
                    access = code.number(4)?.to_le_bytes()[1] & 0xf | rule;
                }
                Some(2) => return Err(Error::Unsupported("fields of a connection")),
                _ => {
                    let path = Path { is_absolute: false, up: 0, segments: [code.segment()?].into() };
                    let bits = code.length()?;
                    let field = Field { place: place.clone(), access, start_bit, bits };
                    self.namespace.add(scope, &path, Object::Field(field))?;
                    start_bit = start_bit.saturating_add(bits);
                }
            }
        }
        Ok(())
    }

    /// What a field holds: a number, or a buffer if it is larger than one.
    pub(crate) fn read_field(&mut self, field: &Field) -> Result<Value, Error> {
        let bytes = self.field_bytes(field)?;
        let mut value = vec![0; bytes];
        for unit in self.units(field)? {
            let register = self.read_unit(field, unit)?;
            transfer(unit, field, |at, bit| set_bit(&mut value, at, register >> bit & 1 != 0));
        }
        self.spend_bytes(bytes)?;
        Ok(self.number_or_buffer(value))
    }

    /// Stores to a field; a value that is too short is filled up with zeros.
    pub(crate) fn write_field(&mut self, field: &Field, value: &Value) -> Result<(), Error> {
        let bytes = self.field_bytes(field)?;
        let mut value = value.to_bytes(8).ok_or(Error::Type("a store to a field"))?;
        value.resize(bytes, 0);
        for unit in self.units(field)? {
            let is_partial =
                unit.bit < field.start_bit || unit.bit + unit.bits() > field.start_bit + field.bits;
            let mut register = match (is_partial, field.access >> 5) {
                (true, 0) => self.read_unit(field, unit)?,
                (true, 1) => u64::MAX,
                _ => 0,
            };
            transfer(unit, field, |at, bit| {
                let on = value.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 != 0);
                register = register & !(1 << bit) | u64::from(on) << bit;
            });
            self.write_unit(field, unit, register)?;
        }
        Ok(())
    }

    fn field_bytes(&self, field: &Field) -> Result<usize, Error> {
        if field.bits > MAX_BITS {
            Err(Error::TooMuch("bits of a field"))
        } else {
            Ok(field.bits.div_ceil(8))
        }
    }

    /// The units in which a field is reached.
    fn units(&mut self, field: &Field) -> Result<impl Iterator<Item = Unit> + use<>, Error> {
        let bytes = match field.access & 0xf {
            2 => 2,
            3 => 4,
            4 => 8,
            // Any width: that of the field itself, if it is one and lies well.
            0 if matches!(field.bits, 16 | 32 | 64) && field.start_bit.is_multiple_of(field.bits) => {
                field.bits / 8
            }
            _ => 1,
        };
        let width = bytes * 8;
        let first = field.start_bit / width;
        let end =
            field.start_bit.checked_add(field.bits).ok_or(Error::OutOfRange("a field"))?.div_ceil(width);
        self.spend_steps(end.saturating_sub(first))?;
        Ok((first..end).map(move |index| Unit { bit: index * width, bytes }))
    }

    fn read_unit(&mut self, field: &Field, unit: Unit) -> Result<u64, Error> {
        match &field.place {
            FieldPlace::Region(region) => self.access(*region, unit, None),
            FieldPlace::Bank { region, bank, value } => {
                self.write_simple(*bank, *value)?;
                self.access(*region, unit, None)
            }
            FieldPlace::Index { index, data } => {
                self.write_simple(*index, unit.byte())?;
                let Some(Object::Field(data)) = self.namespace.object(*data) else {
                    return Err(Error::Type("an index field"));
                };
                let data = data.clone();
                data.must_be_simple()?;
                self.read_field(&data)?.to_integer(8).ok_or(Error::Type("an index field"))
            }
        }
    }

    fn write_unit(&mut self, field: &Field, unit: Unit, register: u64) -> Result<(), Error> {
        match &field.place {
            FieldPlace::Region(region) => self.access(*region, unit, Some(register)).map(drop),
            FieldPlace::Bank { region, bank, value } => {
                self.write_simple(*bank, *value)?;
                self.access(*region, unit, Some(register)).map(drop)
            }
            FieldPlace::Index { index, data } => {
                self.write_simple(*index, unit.byte())?;
                self.write_simple(*data, register)
            }
        }
    }

    /// Stores to a field that lies in a region as it is, so that no field leads to another without end.
    fn write_simple(&mut self, field: NodeId, value: u64) -> Result<(), Error> {
        let Some(Object::Field(field)) = self.namespace.object(field) else {
            return Err(Error::Type("an index field"));
        };
        let field = field.clone();
        field.must_be_simple()?;
        self.write_field(&field, &Value::Integer(value))
    }

    /// Reads a register of a region, or writes it.
    fn access(&mut self, region: NodeId, unit: Unit, value: Option<u64>) -> Result<u64, Error> {
        let Some(Object::Region(region)) = self.namespace.object(region) else {
            return Err(Error::Type("a field"));
        };
        let region = region.clone();
        let end = unit.byte().checked_add(unit.bytes as u64).filter(|end| *end <= region.length);
        let address = region.start.checked_add(unit.byte()).filter(|_| end.is_some());
        let address = address.ok_or(Error::OutOfRange("a field of a region"))?;
        let space = match region.space {
            0 => Space::Memory,
            1 => Space::Port,
            PCI_CONFIG => self.function_around(region.scope)?,
            _ => return Err(Error::Unsupported("registers of this kind of region")),
        };
        let done = match value {
            Some(value) => self.host.write(space, address, unit.bytes, value).map(|()| 0),
            None => self.host.read(space, address, unit.bytes),
        };
        done.ok_or(Error::Register(space, address))
    }

    /// The PCI function whose device is the nearest around a scope.
    fn function_around(&mut self, scope: NodeId) -> Result<Space, Error> {
        let mut devices = Vec::new();
        let mut node = scope;
        let bus = loop {
            if node == self.root() {
                return Err(Error::Unsupported("configuration space of no device on a root bus"));
            }
            if let Some(bus) = self.root_bus(node) {
                break bus;
            }
            if let Some(address) = self.number_of(node, "_ADR") {
                devices.push(address);
            }
            node = self.parent(node);
        };
        // The root bridge's own space is that of the first function on its bus.
        let place = |bus: u8, address: u64| Space::PciConfig {
            bus,
            device: (address >> 16) as u8 & 0x1f,
            function: address as u8 & 7,
        };
        let mut bus = bus;
        let Some((function, bridges)) = devices.split_first() else { return Ok(place(bus, 0)) };
        for bridge in bridges.iter().rev() {
            bus = self.secondary_bus(place(bus, *bridge))?;
        }
        Ok(place(bus, *function))
    }

    /// The bus behind a bridge.
    pub(crate) fn secondary_bus(&mut self, bridge: Space) -> Result<u8, Error> {
        const SECONDARY_BUS: u64 = 0x19;
        let bus = self.host.read(bridge, SECONDARY_BUS, 1).ok_or(Error::Register(bridge, SECONDARY_BUS))?;
        Ok(bus as u8)
    }

    /// The bus of a device that is a PCI root bridge.
    pub(crate) fn root_bus(&self, node: NodeId) -> Option<u8> {
        /// PNP0A03 and PNP0A08 in the form of EISA.
        const ROOT_BRIDGES: [u64; 2] = [0x030a_d041, 0x080a_d041];
        let is_bridge = |name: &str| {
            let child = self.namespace.child(node, &segment(name));
            match child.and_then(|child| self.namespace.object(child)) {
                Some(Object::Value(Value::Integer(id))) => ROOT_BRIDGES.contains(id),
                Some(Object::Value(Value::String(id))) => {
                    matches!(id.borrow().as_slice(), b"PNP0A03" | b"PNP0A08")
                }
                _ => false,
            }
        };
        (is_bridge("_HID") || is_bridge("_CID")).then(|| self.number_of(node, "_BBN").unwrap_or(0) as u8)
    }

    /// A number that a node holds under a name, if it does not have to be computed.
    pub(crate) fn number_of(&self, node: NodeId, name: &str) -> Option<u64> {
        let child = self.namespace.child(node, &segment(name))?;
        match self.namespace.object(child) {
            Some(Object::Value(value)) => value.as_integer(),
            _ => None,
        }
    }

    pub(crate) fn read_buffer_field(&mut self, field: &BufferField) -> Result<Value, Error> {
        let bytes = field.bits.div_ceil(8);
        self.spend_bytes(bytes)?;
        let mut value = vec![0; bytes];
        {
            let buffer = field.buffer.borrow();
            for at in 0..field.bits {
                let bit = field.start_bit + at;
                let on =
                    buffer.get(bit / 8).ok_or(Error::OutOfRange("a field of a buffer"))? >> (bit % 8) & 1;
                set_bit(&mut value, at, on != 0);
            }
        }
        self.spend_steps(bytes)?;
        Ok(if field.holds_bytes { Value::buffer(value) } else { self.number_or_buffer(value) })
    }

    pub(crate) fn write_buffer_field(&mut self, field: &BufferField, value: &Value) -> Result<(), Error> {
        let value = value.to_bytes(8).ok_or(Error::Type("a store to a field"))?;
        self.spend_steps(field.bits.div_ceil(8))?;
        let mut buffer = field.buffer.borrow_mut();
        for at in 0..field.bits {
            let bit = field.start_bit + at;
            if bit / 8 >= buffer.len() {
                return Err(Error::OutOfRange("a field of a buffer"));
            }
            let on = value.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 != 0);
            set_bit(&mut buffer, bit, on);
        }
        Ok(())
    }

    fn number_or_buffer(&self, bytes: Vec<u8>) -> Value {
        if bytes.len() <= self.integer_bytes {
            Value::Integer(crate::value::number(&bytes, 8))
        } else {
            Value::buffer(bytes)
        }
    }
}

impl Field {
    fn must_be_simple(&self) -> Result<(), Error> {
        let is_simple = matches!(self.place, FieldPlace::Region(_));
        if is_simple { Ok(()) } else { Err(Error::Unsupported("fields behind fields behind fields")) }
    }
}

/// What is read or written at once: some bytes at a multiple of their number.
#[derive(Clone, Copy)]
struct Unit {
    /// Its first bit.
    bit: usize,
    bytes: usize,
}

impl Unit {
    fn bits(self) -> usize {
        self.bytes * 8
    }

    fn byte(self) -> u64 {
        (self.bit / 8) as u64
    }
}

/// Calls a function with each bit of a field that lies in a unit: its number in the field, and in the unit.
fn transfer(unit: Unit, field: &Field, mut with: impl FnMut(usize, usize)) {
    let start = unit.bit.max(field.start_bit);
    let end = (unit.bit + unit.bits()).min(field.start_bit + field.bits);
    (start..end).for_each(|bit| with(bit - field.start_bit, bit - unit.bit));
}

fn set_bit(bytes: &mut [u8], at: usize, on: bool) {
    if let Some(byte) = bytes.get_mut(at / 8) {
        *byte = *byte & !(1 << (at % 8)) | u8::from(on) << (at % 8);
    }
}
