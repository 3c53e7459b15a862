//! What operations do that define names, change the flow, or read and store. The others: `operators.rs`.

use crate::Error;
use crate::code::Path;
use crate::field::{BufferField, FieldPlace, Region};
use crate::machine::Interpreter;
use crate::namespace::{Method, NodeId, Object};
use crate::opcode::*;
use crate::stacks::{BlockKind, Operand, Operation, Target};
use crate::value::{Reference, Value};
use alloc::vec::Vec;

/// The operands of an operation, one after the other. They are what its row in the table says.
pub(crate) struct Operands(alloc::vec::IntoIter<Operand>);

const WRONG: Error = Error::Malformed("an operation with the wrong operands");

impl Operands {
    pub(crate) fn value(&mut self) -> Result<Value, Error> {
        if let Some(Operand::Value(value)) = self.0.next() { Ok(value) } else { Err(WRONG) }
    }

    pub(crate) fn target(&mut self) -> Result<Target, Error> {
        if let Some(Operand::Target(target)) = self.0.next() { Ok(target) } else { Err(WRONG) }
    }

    fn path(&mut self) -> Result<Path, Error> {
        if let Some(Operand::Path(path)) = self.0.next() { Ok(path) } else { Err(WRONG) }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        if let Some(Operand::Number(number)) = self.0.next() { Ok(number) } else { Err(WRONG) }
    }

    fn values(self) -> Vec<Value> {
        let value = |operand| if let Operand::Value(value) = operand { Some(value) } else { None };
        self.0.filter_map(value).collect()
    }
}

impl Interpreter<'_> {
    /// Carries out an operation that has its operands.
    pub(crate) fn execute(&mut self, operation: Operation) -> Result<(), Error> {
        let Operation { code, method, start, end, operands, .. } = operation;
        let mut operands = Operands(operands.into_iter());
        match code {
            CALL => self.call_or_answer(method, operands.values()),
            RETURN => {
                let value = operands.value()?;
                self.return_value(value)
            }
            IF => {
                let is_true = self.integer(&operands.value()?)? != 0;
                self.branch(end, is_true)
            }
            // One whose condition was false was entered by `branch`.
            ELSE | EXTERNAL | NOTHING | BREAK_POINT | SIGNAL | RESET | RELEASE => {
                if code == ELSE {
                    self.block()?.code.at = end;
                }
                Ok(())
            }
            NOTIFY => {
                let (target, value) = (operands.target()?, operands.value()?);
                let value = self.integer(&value)?;
                self.note(&target, value)
            }
            WHILE => {
                let is_true = self.integer(&operands.value()?)? != 0;
                let block = self.block()?;
                let (body, scope) = (block.code.part(end), block.scope);
                block.code.at = end;
                if is_true { self.enter(body, scope, BlockKind::Loop { start, end }) } else { Ok(()) }
            }
            CONTINUE => self.leave_loop(|start, _| start),
            BREAK => self.leave_loop(|_, end| end),
            STALL | SLEEP => {
                let time = self.integer(&operands.value()?)?;
                self.wait(if code == SLEEP { time.saturating_mul(1000) } else { time })
            }
            FATAL => {
                operands.number()?;
                Err(Error::Fatal(operands.number()?))
            }
            STORE | COPY => {
                let (value, target) = (operands.value()?, operands.target()?);
                if code == COPY {
                    self.store_as_it_is(&target, &value)?
                } else {
                    self.store(&target, &value)?
                }
                self.deliver(value)
            }
            BUFFER => self.buffer(end, &mut operands),
            PACKAGE => {
                let count = operands.number()?;
                self.package(end, count, operands.values())
            }
            VARIABLE_PACKAGE => {
                let count = self.integer(&operands.value()?)?;
                self.package(end, count, operands.values())
            }
            ALIAS | NAME | SCOPE | METHOD | MUTEX | EVENT | REGION | FIELD | INDEX_FIELD | BANK_FIELD
            | DEVICE | PROCESSOR | POWER_RESOURCE | THERMAL_ZONE => self.define(code, end, &mut operands),
            CREATE_BIT_FIELD | CREATE_BYTE_FIELD | CREATE_WORD_FIELD | CREATE_DOUBLE_FIELD
            | CREATE_QUAD_FIELD | CREATE_FIELD => self.define_buffer_field(code, &mut operands),
            _ => {
                let value = self.operate(code, &mut operands)?;
                self.deliver(value)
            }
        }
    }

    fn call_or_answer(&mut self, node: NodeId, arguments: Vec<Value>) -> Result<(), Error> {
        if !matches!(self.namespace.object(node), Some(Object::OperatingSystems)) {
            return self.call(node, arguments);
        }
        // As every system does: tables are written for one, and ask for its versions.
        let is_windows =
            |value: &Value| matches!(value, Value::String(name) if name.borrow().starts_with(b"Windows "));
        let answer = if arguments.first().is_some_and(is_windows) { self.wrap(u64::MAX) } else { 0 };
        self.deliver(Value::Integer(answer))
    }

    /// Enters a branch of an If, whose first one ends at `end`, and goes on behind both.
    fn branch(&mut self, end: usize, is_true: bool) -> Result<(), Error> {
        let block = self.block()?;
        let scope = block.scope;
        let first = block.code.part(end);
        block.code.at = end;
        let mut second = None;
        if block.code.peek(0) == Some(ELSE as u8) {
            block.code.byte()?;
            let end = block.code.package()?;
            second = Some(block.code.part(end));
            block.code.at = end;
        }
        match if is_true { Some(first) } else { second } {
            Some(code) => self.enter(code, scope, BlockKind::Plain),
            None => Ok(()),
        }
    }

    fn buffer(&mut self, end: usize, operands: &mut Operands) -> Result<(), Error> {
        let length = self.integer(&operands.value()?)?;
        let code = &mut self.block()?.code;
        let initial = end.checked_sub(code.at).ok_or(Error::Truncated)?;
        let mut bytes = code.bytes(initial)?.to_vec();
        let length = usize::try_from(length).unwrap_or(usize::MAX).max(initial);
        self.spend_bytes(length)?;
        bytes.resize(length, 0);
        self.deliver(Value::buffer(bytes))
    }

    fn package(&mut self, end: usize, count: u64, mut elements: Vec<Value>) -> Result<(), Error> {
        self.block()?.code.at = end;
        let count = usize::try_from(count).unwrap_or(usize::MAX).max(elements.len());
        self.spend_bytes(count.saturating_mul(size_of::<Value>()))?;
        elements.resize_with(count, Value::default);
        // An element is a value of its own, as it would be if it were stored.
        for element in &mut elements {
            *element = self.element(element)?;
        }
        self.deliver(Value::package(elements))
    }

    /// Gives a name to something.
    fn define(&mut self, code: u16, end: usize, operands: &mut Operands) -> Result<(), Error> {
        let block = self.block()?;
        let scope = block.scope;
        let body = block.code.part(end);
        if end > 0 {
            block.code.at = end;
        }
        let path = operands.path()?;
        let find = |this: &Self, path: &Path| {
            this.namespace.find(scope, path).ok_or_else(|| this.namespace.unknown(scope, path))
        };
        let object = match code {
            SCOPE => {
                let node = find(self, &path)?;
                return self.enter(body, node, BlockKind::Plain);
            }
            FIELD => {
                let place = FieldPlace::Region(find(self, &path)?);
                return self.define_fields(body, scope, operands.number()?, &place);
            }
            INDEX_FIELD => {
                let data = operands.path()?;
                let place = FieldPlace::Index { index: find(self, &path)?, data: find(self, &data)? };
                return self.define_fields(body, scope, operands.number()?, &place);
            }
            BANK_FIELD => {
                let (region, bank) = (find(self, &path)?, find(self, &operands.path()?)?);
                let value = self.integer(&operands.value()?)?;
                let place = FieldPlace::Bank { region, bank, value };
                return self.define_fields(body, scope, operands.number()?, &place);
            }
            ALIAS => {
                let name = operands.path()?;
                let node = find(self, &path)?;
                self.namespace.add(scope, &name, Object::Alias(node))?;
                return Ok(());
            }
            NAME => {
                let value = operands.value()?;
                Object::Value(self.copy(&value)?)
            }
            METHOD => Object::Method(Method { code: body.clone(), arguments: operands.number()? as u8 & 7 }),
            MUTEX => Object::Mutex,
            EVENT => Object::Event,
            REGION => {
                let space = operands.number()? as u8;
                let start = self.integer(&operands.value()?)?;
                let length = self.integer(&operands.value()?)?;
                Object::Region(Region { space, start, length, scope })
            }
            DEVICE => Object::Device,
            PROCESSOR => Object::Processor,
            POWER_RESOURCE => Object::PowerResource,
            THERMAL_ZONE => Object::ThermalZone,
            _ => return Err(Error::UnknownOperation(code)),
        };
        let node = self.namespace.add(scope, &path, object)?;
        match code {
            DEVICE | PROCESSOR | POWER_RESOURCE | THERMAL_ZONE => self.enter(body, node, BlockKind::Plain),
            _ => Ok(()),
        }
    }

    fn define_buffer_field(&mut self, code: u16, operands: &mut Operands) -> Result<(), Error> {
        let Value::Buffer(buffer) = self.plain(&operands.value()?)? else {
            return Err(Error::Type("a field of a buffer"));
        };
        let at = self.integer(&operands.value()?)?;
        let (unit, bits) = match code {
            CREATE_BIT_FIELD => (1, 1),
            CREATE_BYTE_FIELD => (8, 8),
            CREATE_WORD_FIELD => (8, 16),
            CREATE_DOUBLE_FIELD => (8, 32),
            CREATE_QUAD_FIELD => (8, 64),
            _ => (1, self.integer(&operands.value()?)?),
        };
        let path = operands.path()?;
        let start_bit = at.checked_mul(unit).ok_or(Error::OutOfRange("a field of a buffer"))?;
        let end = start_bit.checked_add(bits).filter(|end| *end <= buffer.borrow().len() as u64 * 8);
        end.ok_or(Error::OutOfRange("a field of a buffer"))?;
        let holds_bytes = code == CREATE_FIELD;
        let field = BufferField { buffer, start_bit: start_bit as usize, bits: bits as usize, holds_bytes };
        let scope = self.block()?.scope;
        self.namespace.add(scope, &path, Object::BufferField(field))?;
        Ok(())
    }

    /// What a node holds; itself, if it is nothing that holds a value.
    pub(crate) fn read_node(&mut self, node: NodeId) -> Result<Value, Error> {
        match self.namespace.object(node) {
            Some(Object::Value(value)) => Ok(value.clone()),
            Some(Object::Field(field)) => {
                let field = field.clone();
                self.read_field(&field)
            }
            Some(Object::BufferField(field)) => {
                let field = field.clone();
                self.read_buffer_field(&field)
            }
            Some(_) => Ok(Value::Reference(Reference::Node(node))),
            None => Err(Error::Unknown("the name of a method that has ended".into())),
        }
    }

    /// What is at a place.
    pub(crate) fn read_target(&mut self, target: &Target) -> Result<Value, Error> {
        match target {
            Target::Local(_) | Target::Argument(_) => self.variable(target).cloned(),
            Target::Place(place) => self.read_place(place),
            Target::Nowhere | Target::Missing => Err(Error::Type("a read")),
        }
    }

    fn read_place(&mut self, place: &Reference) -> Result<Value, Error> {
        let outside = Error::OutOfRange("an index");
        match place {
            Reference::Node(node) => self.read_node(*node),
            Reference::Byte(bytes, index) => {
                bytes.borrow().get(*index).map(|byte| Value::Integer((*byte).into())).ok_or(outside)
            }
            Reference::Element(elements, index) => elements.borrow().get(*index).cloned().ok_or(outside),
        }
    }

    /// A value that is no reference and no name, if it leads to one that is not.
    pub(crate) fn plain(&mut self, value: &Value) -> Result<Value, Error> {
        let value = match value {
            Value::Reference(place) => self.read_place(place)?,
            value => value.clone(),
        };
        match &value {
            Value::Name(name) => match self.named(name) {
                Some(node) => self.read_node(node),
                None => Err(self.namespace.unknown(name.scope, &name.path)),
            },
            _ => Ok(value),
        }
    }

    /// A value as packages may hold it.
    fn element(&mut self, value: &Value) -> Result<Value, Error> {
        match value {
            // A device, which is no value.
            Value::Reference(Reference::Node(_)) => Ok(value.clone()),
            Value::Reference(_) => {
                let value = self.plain(value)?;
                self.copy(&value)
            }
            value => self.copy(value),
        }
    }

    /// Taken for a number.
    pub(crate) fn integer(&mut self, value: &Value) -> Result<u64, Error> {
        let value = self.plain(value)?;
        let number = value.to_integer(self.integer_bytes).ok_or(Error::Type("an expression of numbers"))?;
        Ok(self.wrap(number))
    }

    /// Stores a copy of a value.
    pub(crate) fn store(&mut self, target: &Target, value: &Value) -> Result<(), Error> {
        let place = match target {
            Target::Nowhere => return Ok(()),
            Target::Missing => return Err(Error::Type("a store")),
            Target::Argument(_) if matches!(self.variable(target)?, Value::Reference(_)) => {
                let Value::Reference(place) = self.variable(target)?.clone() else { return Ok(()) };
                place
            }
            Target::Local(_) | Target::Argument(_) => {
                *self.variable(target)? = self.copy(value)?;
                return Ok(());
            }
            Target::Place(place) => place.clone(),
        };
        match place {
            Reference::Node(node) => self.store_to_node(node, value),
            Reference::Byte(bytes, index) => {
                let byte = self.integer(value)? as u8;
                *bytes.borrow_mut().get_mut(index).ok_or(Error::OutOfRange("an index"))? = byte;
                Ok(())
            }
            Reference::Element(elements, index) => {
                let value = self.element(value)?;
                let mut elements = elements.borrow_mut();
                let element = elements.get_mut(index).ok_or(Error::OutOfRange("an index"))?;
                let old = core::mem::replace(element, value);
                drop(elements);
                drop(old);
                Ok(())
            }
        }
    }

    /// Stores a copy of a value, with its type: also to a name with a value of another one, or to an argument that is a
    /// reference.
    fn store_as_it_is(&mut self, target: &Target, value: &Value) -> Result<(), Error> {
        match target {
            Target::Argument(_) => *self.variable(target)? = self.copy(value)?,
            Target::Place(Reference::Node(node))
                if matches!(self.namespace.object(*node), Some(Object::Value(_))) =>
            {
                let value = self.element(value)?;
                if let Some(Object::Value(old)) = self.namespace.object_mut(*node) {
                    *old = value;
                }
            }
            _ => self.store(target, value)?,
        }
        Ok(())
    }

    /// A name that has a value keeps its type.
    fn store_to_node(&mut self, node: NodeId, value: &Value) -> Result<(), Error> {
        let value = self.plain(value)?;
        let wrong = Error::Type("a store to a name");
        let bytes = self.integer_bytes;
        let new = match self.namespace.object(node) {
            Some(Object::Field(field)) => {
                let field = field.clone();
                return self.write_field(&field, &value);
            }
            Some(Object::BufferField(field)) => {
                let field = field.clone();
                return self.write_buffer_field(&field, &value);
            }
            Some(Object::Value(Value::Integer(_))) => {
                let number = value.to_integer(bytes).ok_or(wrong)?;
                Value::Integer(self.wrap(number))
            }
            Some(Object::Value(Value::String(_))) => {
                let text = value.to_text(bytes).ok_or(wrong)?;
                self.spend_bytes(text.len())?;
                Value::characters(text)
            }
            Some(Object::Value(Value::Buffer(buffer))) => {
                // In its place, and as long as it is: fields lie in it.
                let new = value.to_bytes(bytes).ok_or(wrong)?;
                let mut buffer = buffer.borrow_mut();
                let length = buffer.len();
                buffer.clear();
                buffer.extend(new.iter().copied().chain(core::iter::repeat(0)).take(length));
                return Ok(());
            }
            Some(Object::Value(_)) => self.element(&value)?,
            _ => return Err(wrong),
        };
        if let Some(Object::Value(old)) = self.namespace.object_mut(node) {
            *old = new;
        }
        Ok(())
    }
}
