//! Operations that make a value of values.

use crate::Error;
use crate::execute::Operands;
use crate::machine::Interpreter;
use crate::namespace::{NodeId, Object};
use crate::opcode::*;
use crate::resource;
use crate::stacks::Target;
use crate::value::{Radix, Reference, Value, digits, format, listed};
use alloc::vec::Vec;
use core::cmp::Ordering;

impl Interpreter<'_> {
    /// The value of an operation, which is also stored if it says where.
    pub(crate) fn operate(&mut self, code: u16, operands: &mut Operands) -> Result<Value, Error> {
        match code {
            ADD | SUBTRACT | MULTIPLY | SHIFT_LEFT | SHIFT_RIGHT | AND | NAND | OR | NOR | XOR | MODULO => {
                let (left, right) = (self.integer(&operands.value()?)?, self.integer(&operands.value()?)?);
                let value = self.wrap(arithmetic(code, left, right)?);
                self.store_result(operands, Value::Integer(value))
            }
            DIVIDE => {
                let (left, right) = (self.integer(&operands.value()?)?, self.integer(&operands.value()?)?);
                let by_zero = Error::OutOfRange("a division by zero");
                let rest = left.checked_rem(right).ok_or(by_zero.clone())?;
                let quotient = left.checked_div(right).ok_or(by_zero)?;
                self.store(&operands.target()?, &Value::Integer(rest))?;
                self.store_result(operands, Value::Integer(quotient))
            }
            NOT | FIND_LEFT | FIND_RIGHT => {
                let number = self.integer(&operands.value()?)?;
                let value = match code {
                    NOT => !number,
                    FIND_LEFT => u64::from(u64::BITS - number.leading_zeros()),
                    _ if number == 0 => 0,
                    _ => u64::from(number.trailing_zeros()) + 1,
                };
                let value = self.wrap(value);
                self.store_result(operands, Value::Integer(value))
            }
            INCREMENT | DECREMENT => {
                let target = operands.target()?;
                let old = self.read_target(&target)?;
                let old = self.integer(&old)?;
                let new = if code == INCREMENT { old.wrapping_add(1) } else { old.wrapping_sub(1) };
                let new = Value::Integer(self.wrap(new));
                self.store(&target, &new)?;
                Ok(new)
            }
            LOGICAL_AND | LOGICAL_OR => {
                let left = self.integer(&operands.value()?)? != 0;
                let right = self.integer(&operands.value()?)? != 0;
                Ok(self.truth(if code == LOGICAL_AND { left && right } else { left || right }))
            }
            LOGICAL_NOT => {
                let is_zero = self.integer(&operands.value()?)? == 0;
                Ok(self.truth(is_zero))
            }
            EQUAL | GREATER | LESS => {
                let order = self.compare(&operands.value()?, &operands.value()?)?;
                let wanted = match code {
                    EQUAL => Ordering::Equal,
                    GREATER => Ordering::Greater,
                    _ => Ordering::Less,
                };
                Ok(self.truth(order == wanted))
            }
            // Nobody else holds what is acquired, and what is waited for has happened.
            ACQUIRE | WAIT => Ok(Value::Integer(0)),
            REFERENCE_OF | REFERENCE_IF_ANY | DEREFERENCE | INDEX | SIZE_OF | OBJECT_TYPE | MATCH => {
                self.look(code, operands)
            }
            _ => self.convert(code, operands),
        }
    }

    /// References and sizes.
    fn look(&mut self, code: u16, operands: &mut Operands) -> Result<Value, Error> {
        match code {
            REFERENCE_OF => self.reference(&operands.target()?),
            REFERENCE_IF_ANY => {
                let (target, to) = (operands.target()?, operands.target()?);
                if matches!(target, Target::Missing) {
                    return Ok(self.truth(false));
                }
                let reference = self.reference(&target)?;
                self.store(&to, &reference)?;
                Ok(self.truth(true))
            }
            DEREFERENCE => match operands.value()? {
                Value::String(path) => {
                    let path = path.borrow().clone();
                    self.read_path(&path)
                }
                value @ (Value::Reference(_) | Value::Name(_)) => self.plain(&value),
                // Of an element that holds a value the value was taken already.
                _ => Err(Error::Type("DerefOf")),
            },
            INDEX => {
                let container = self.plain(&operands.value()?)?;
                let index = usize::try_from(self.integer(&operands.value()?)?).unwrap_or(usize::MAX);
                let (length, place) = match container {
                    Value::Buffer(bytes) | Value::String(bytes) => {
                        (bytes.borrow().len(), Reference::Byte(bytes.clone(), index))
                    }
                    Value::Package(elements) => {
                        (elements.borrow().len(), Reference::Element(elements.clone(), index))
                    }
                    _ => return Err(Error::Type("Index")),
                };
                if index >= length {
                    return Err(Error::OutOfRange("an index"));
                }
                self.store_result(operands, Value::Reference(place))
            }
            SIZE_OF => {
                let value = operands.value()?;
                let size = match self.plain(&value)? {
                    Value::Buffer(bytes) | Value::String(bytes) => bytes.borrow().len(),
                    Value::Package(elements) => elements.borrow().len(),
                    _ => return Err(Error::Type("SizeOf")),
                };
                Ok(Value::Integer(size as u64))
            }
            OBJECT_TYPE => {
                let target = operands.target()?;
                let mut value = match target {
                    Target::Nowhere | Target::Missing => Value::Uninitialized,
                    _ => self.read_type(&target)?,
                };
                if let Value::Reference(Reference::Node(node)) = value {
                    return Ok(Value::Integer(self.node_kind(node)));
                }
                if matches!(value, Value::Reference(_)) {
                    value = self.plain(&value)?;
                }
                Ok(Value::Integer(value.kind()))
            }
            _ => self.find_match(operands),
        }
    }

    fn reference(&mut self, target: &Target) -> Result<Value, Error> {
        match target {
            Target::Place(place) => Ok(Value::Reference(place.clone())),
            _ => Err(Error::Unsupported("a reference to a variable")),
        }
    }

    /// What ObjectType looks at: fields are not read for it.
    fn read_type(&mut self, target: &Target) -> Result<Value, Error> {
        match target {
            Target::Place(Reference::Node(node))
                if !matches!(self.namespace.object(*node), Some(Object::Value(_))) =>
            {
                Ok(Value::Reference(Reference::Node(*node)))
            }
            _ => self.read_target(target),
        }
    }

    /// ObjectType of a node.
    pub(crate) fn node_kind(&self, node: NodeId) -> u64 {
        match self.namespace.object(node) {
            Some(Object::Value(value)) => value.kind(),
            Some(Object::Field(_)) => 5,
            Some(Object::Device) => 6,
            Some(Object::Event) => 7,
            Some(Object::Mutex) => 9,
            Some(Object::Method(_) | Object::OperatingSystems) => 8,
            Some(Object::Region(_)) => 10,
            Some(Object::PowerResource) => 11,
            Some(Object::Processor) => 12,
            Some(Object::ThermalZone) => 13,
            Some(Object::BufferField(_)) => 14,
            Some(Object::Scope | Object::Alias(_)) | None => 0,
        }
    }

    /// A node by its path in a string.
    fn read_path(&mut self, path: &[u8]) -> Result<Value, Error> {
        let mut node = if path.first() == Some(&b'\\') { self.root() } else { self.block()?.scope };
        let names = path.strip_prefix(b"\\").unwrap_or(path).split(|byte| *byte == b'.');
        for name in names {
            let mut segment = *b"____";
            if name.len() > segment.len() {
                return Err(Error::Type("DerefOf"));
            }
            segment.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
            node = self.child(node, segment).ok_or(Error::Type("DerefOf"))?;
        }
        self.read_node(node)
    }

    /// Match: the first element of a package from a place on that stands so to two numbers.
    fn find_match(&mut self, operands: &mut Operands) -> Result<Value, Error> {
        let Value::Package(elements) = self.plain(&operands.value()?)? else {
            return Err(Error::Type("Match"));
        };
        let tests = [
            (operands.number()?, self.integer(&operands.value()?)?),
            (operands.number()?, self.integer(&operands.value()?)?),
        ];
        let start = usize::try_from(self.integer(&operands.value()?)?).unwrap_or(usize::MAX);
        let elements = elements.borrow().clone();
        self.spend_steps(elements.len())?;
        let passes = |number: u64, (test, other): (u64, u64)| match test {
            0 => true,
            1 => number == other,
            2 => number <= other,
            3 => number < other,
            4 => number >= other,
            _ => number > other,
        };
        for (index, element) in elements.iter().enumerate().skip(start) {
            let Some(number) = element.to_integer(self.integer_bytes) else { continue };
            if tests.into_iter().all(|test| passes(number, test)) {
                return Ok(Value::Integer(index as u64));
            }
        }
        Ok(Value::Integer(self.wrap(u64::MAX)))
    }

    /// Strings and buffers.
    fn convert(&mut self, code: u16, operands: &mut Operands) -> Result<Value, Error> {
        let value = operands.value()?;
        let value = self.plain(&value)?;
        let bytes = self.integer_bytes;
        let result = match code {
            CONCATENATE => {
                let other = operands.value()?;
                let other = self.plain(&other)?;
                match &value {
                    Value::Integer(_) => {
                        let other = other.to_integer(bytes).ok_or(Error::Type("Concatenate"))?;
                        let parts = [value.to_bytes(bytes), Value::Integer(other).to_bytes(bytes)];
                        Value::buffer(joined(parts)?)
                    }
                    Value::Buffer(_) => {
                        Value::buffer(joined([value.to_bytes(bytes), other.to_bytes(bytes)])?)
                    }
                    _ => Value::characters(joined([value.to_text(bytes), other.to_text(bytes)])?),
                }
            }
            CONCATENATE_RESOURCES => {
                let other = operands.value()?;
                let (Some(first), Some(second)) = (value.as_bytes(), self.plain(&other)?.as_bytes()) else {
                    return Err(Error::Type("ConcatenateResTemplate"));
                };
                Value::buffer(resource::joined(&first, &second))
            }
            TO_BUFFER => Value::buffer(value.to_bytes(bytes).ok_or(Error::Type("ToBuffer"))?),
            TO_DECIMAL | TO_HEXADECIMAL => Value::characters(self.digits(code, &value)?),
            TO_INTEGER => match &value {
                Value::String(text) => Value::Integer(self.wrap(digits(&text.borrow()))),
                _ => Value::Integer(self.integer(&value)?),
            },
            TO_STRING => {
                let length = usize::try_from(self.integer(&operands.value()?)?).unwrap_or(usize::MAX);
                let mut text = value.to_bytes(bytes).ok_or(Error::Type("ToString"))?;
                let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                text.truncate(end.min(length));
                Value::characters(text)
            }
            MIDDLE => {
                let start = usize::try_from(self.integer(&operands.value()?)?).unwrap_or(usize::MAX);
                let length = usize::try_from(self.integer(&operands.value()?)?).unwrap_or(usize::MAX);
                let cut =
                    |bytes: &[u8]| -> Vec<u8> { bytes.iter().copied().skip(start).take(length).collect() };
                match &value {
                    Value::Buffer(bytes) => Value::buffer(cut(&bytes.borrow())),
                    value => Value::characters(cut(&value.to_text(bytes).ok_or(Error::Type("Mid"))?)),
                }
            }
            code => return Err(Error::UnknownOperation(code)),
        };
        self.store_result(operands, result)
    }

    fn digits(&self, code: u16, value: &Value) -> Result<Vec<u8>, Error> {
        match (code, value) {
            (_, Value::String(text)) => Ok(text.borrow().clone()),
            (TO_DECIMAL, Value::Integer(number)) => Ok(format(format_args!("{number}"))),
            (_, Value::Integer(_)) => value.to_text(self.integer_bytes).ok_or(Error::Type("ToHexString")),
            (TO_DECIMAL, Value::Buffer(bytes)) => Ok(listed(&bytes.borrow(), ",", Radix::Decimal)),
            (_, Value::Buffer(bytes)) => Ok(listed(&bytes.borrow(), ",", Radix::Hexadecimal)),
            _ => Err(Error::Type("ToDecimalString or ToHexString")),
        }
    }

    /// Stores what an operation has made where it says, and makes it its value. Counts its bytes.
    fn store_result(&mut self, operands: &mut Operands, value: Value) -> Result<Value, Error> {
        match &value {
            Value::String(bytes) | Value::Buffer(bytes) => self.spend_bytes(bytes.borrow().len())?,
            _ => {}
        }
        self.store(&operands.target()?, &value)?;
        Ok(value)
    }

    fn truth(&self, is_true: bool) -> Value {
        Value::Integer(if is_true { self.wrap(u64::MAX) } else { 0 })
    }

    /// The right value is taken for what the left one is.
    fn compare(&mut self, left: &Value, right: &Value) -> Result<Ordering, Error> {
        let (left, right) = (self.plain(left)?, self.plain(right)?);
        let bytes = self.integer_bytes;
        let order = match &left {
            Value::Integer(number) => right.to_integer(bytes).map(|other| number.cmp(&other)),
            Value::String(text) => right.to_text(bytes).map(|other| text.borrow().cmp(&other)),
            Value::Buffer(buffer) => right.to_bytes(bytes).map(|other| buffer.borrow().cmp(&other)),
            _ => None,
        };
        order.ok_or(Error::Type("a comparison"))
    }
}

fn arithmetic(code: u16, left: u64, right: u64) -> Result<u64, Error> {
    let shift = u32::try_from(right).unwrap_or(u32::MAX);
    Ok(match code {
        ADD => left.wrapping_add(right),
        SUBTRACT => left.wrapping_sub(right),
        MULTIPLY => left.wrapping_mul(right),
        SHIFT_LEFT => left.checked_shl(shift).unwrap_or(0),
        SHIFT_RIGHT => left.checked_shr(shift).unwrap_or(0),
        AND => left & right,
        NAND => !(left & right),
        OR => left | right,
        NOR => !(left | right),
        XOR => left ^ right,
        _ => left.checked_rem(right).ok_or(Error::OutOfRange("a division by zero"))?,
    })
}

fn joined(parts: [Option<Vec<u8>>; 2]) -> Result<Vec<u8>, Error> {
    match parts {
        [Some(first), Some(second)] => Ok([first, second].concat()),
        _ => Err(Error::Type("Concatenate")),
    }
}
