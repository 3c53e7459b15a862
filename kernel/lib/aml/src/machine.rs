//! Running code: the stacks, and one step at a time.
//!
//! | stack | what |
//! |---|---|
//! | blocks | stretches of code, each inside the one below: a table, a method, a scope, a branch, the body of a loop |
//! | operations | those whose operands are being collected; one belongs to the block in which it began |
//! | frames | the variables of the methods that run |
//!
//! A step reads one operand, begins an operation, or carries out one that has all its operands.

use crate::code::Code;
use crate::events::Notification;
use crate::namespace::{Method, Namespace, NodeId, Object};
use crate::opcode::{self, Follows, Place, operation};
use crate::stacks::{ARGUMENTS, Block, BlockKind, Frame, Operand, Operation, Target};
use crate::value::{Name, Reference, Value};
use crate::{Error, Host, Limits, Segment};
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Packages inside of packages.
const PACKAGE_DEPTH: usize = 8;

/// Tables that were loaded, and the machine that evaluates what is in them.
pub struct Interpreter<'h> {
    pub(crate) host: &'h mut dyn Host,
    pub(crate) limits: Limits,
    pub(crate) namespace: Namespace,
    /// 8, or 4 if the first table is of revision 1.
    pub(crate) integer_bytes: usize,
    operations: Vec<Operation>,
    blocks: Vec<Block>,
    frames: Vec<Frame>,
    result: Value,
    pub(crate) notifications: Vec<Notification>,
    steps: usize,
    bytes: usize,
    waited_us: u64,
    /// Several evaluations share one budget.
    is_one_budget: bool,
}

/// What is wanted of the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Statement,
    Value,
    Element,
}

impl<'h> Interpreter<'h> {
    /// A machine without tables.
    pub fn new(host: &'h mut dyn Host, limits: Limits) -> Interpreter<'h> {
        Interpreter {
            host,
            limits,
            namespace: Namespace::new(limits.names),
            integer_bytes: 8,
            operations: Vec::new(),
            blocks: Vec::new(),
            frames: Vec::new(),
            result: Value::Uninitialized,
            notifications: Vec::new(),
            steps: 0,
            bytes: 0,
            waited_us: 0,
            is_one_budget: false,
        }
    }

    /// Numbers have 32 bits: the first table's revision is 1.
    pub fn use_short_integers(&mut self) {
        self.integer_bytes = 4;
    }

    /// Loads the code of a table, without its header. What it defined before an error stays.
    pub fn load(&mut self, table: &[u8]) -> Result<(), Error> {
        self.begin();
        let block = Block { code: Code::new(table.into()), scope: Namespace::ROOT, kind: BlockKind::Table };
        self.blocks.push(block);
        self.run().map(drop)
    }

    /// Evaluates a node: calls it if it is a method (of missing arguments it makes uninitialised ones), else reads it.
    pub fn evaluate(&mut self, node: NodeId, arguments: &[Value]) -> Result<Value, Error> {
        self.begin();
        match self.namespace.object(node) {
            Some(Object::Method(_)) => {
                self.call(node, arguments.to_vec())?;
                self.run()
            }
            _ => self.read_node(node),
        }
    }

    /// Evaluates the child of a node that has this name; `None`: there is none.
    pub fn evaluate_child(
        &mut self,
        node: NodeId,
        name: Segment,
        arguments: &[Value],
    ) -> Result<Option<Value>, Error> {
        match self.namespace.child(node, &name) {
            Some(child) => self.evaluate(child, arguments).map(Some),
            None => Ok(None),
        }
    }

    fn begin(&mut self) {
        if !self.is_one_budget {
            (self.steps, self.bytes, self.waited_us) = (0, 0, 0);
        }
        self.result = Value::Uninitialized;
    }

    /// Does something that may take as much as one evaluation, however many it makes.
    pub(crate) fn within_one_budget<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> T {
        self.begin();
        self.is_one_budget = true;
        let done = what(self);
        self.is_one_budget = false;
        done
    }

    /// Steps, bytes and microseconds of the last evaluation, once.
    pub(crate) fn take_spent(&mut self) -> (usize, usize, u64) {
        let spent = (self.steps, self.bytes, self.waited_us);
        (self.steps, self.bytes, self.waited_us) = (0, 0, 0);
        spent
    }

    /// Until no block is left.
    fn run(&mut self) -> Result<Value, Error> {
        let names = self.frames.first().map(|frame| frame.names);
        while !self.blocks.is_empty() {
            if let Err(error) = self.step() {
                self.blocks.clear();
                self.operations.clear();
                self.frames.clear();
                if let Some(names) = names {
                    self.namespace.truncate(names);
                }
                return Err(error);
            }
        }
        Ok(core::mem::take(&mut self.result))
    }

    fn step(&mut self) -> Result<(), Error> {
        self.spend_steps(1)?;
        let depth = self.blocks.len();
        let (code, top) = match self.blocks.last_mut() {
            Some(block) => (&mut block.code, self.operations.last_mut()),
            None => return Ok(()),
        };
        let Some(operation) = top.filter(|operation| operation.block == depth) else {
            return if code.is_over() { self.end_block() } else { self.term(Wanted::Statement) };
        };
        let Some(follows) = operation.follows.get(operation.next) else {
            return match self.operations.pop() {
                Some(operation) => self.execute(operation),
                None => Ok(()),
            };
        };
        let operand = match follows {
            Follows::Term => return self.term(Wanted::Value),
            Follows::Elements if code.at < operation.end => return self.term(Wanted::Element),
            Follows::Target | Follows::Wanted => {
                let is_wanted = *follows == Follows::Wanted;
                return self.target(is_wanted);
            }
            Follows::Elements => None,
            Follows::Package => {
                operation.end = code.package()?;
                None
            }
            Follows::Name => Some(Operand::Path(code.path()?)),
            Follows::Byte => Some(Operand::Number(code.number(1)?)),
            Follows::Word => Some(Operand::Number(code.number(2)?)),
            Follows::Double => Some(Operand::Number(code.number(4)?)),
        };
        operation.operands.extend(operand);
        operation.next += 1;
        Ok(())
    }

    /// Reads what begins here: a constant, a variable, a name, an operation.
    fn term(&mut self, wanted: Wanted) -> Result<(), Error> {
        let Some(block) = self.blocks.last_mut() else { return Ok(()) };
        let (scope, code) = (block.scope, &mut block.code);
        if code.is_name() {
            let path = code.path()?;
            if wanted == Wanted::Element {
                return self.deliver(Value::Name(Name { scope, path: Rc::new(path) }));
            }
            let node =
                self.namespace.find(scope, &path).ok_or_else(|| self.namespace.unknown(scope, &path))?;
            return self.use_node(node);
        }
        let start = code.at;
        let value = match code.byte()? {
            0x00 => Value::Integer(0),
            0x01 => Value::Integer(1),
            0xff => Value::Integer(u64::MAX),
            0x0a => Value::Integer(code.number(1)?),
            0x0b => Value::Integer(code.number(2)?),
            0x0c => Value::Integer(code.number(4)?),
            0x0e => Value::Integer(code.number(8)?),
            0x0d => Value::characters(code.string()?),
            local @ 0x60..=0x67 => self.read_target(&Target::Local((local - 0x60).into()))?,
            argument @ 0x68..=0x6e => self.read_target(&Target::Argument((argument - 0x68).into()))?,
            opcode::EXTENDED => match code.byte()? {
                // Revision.
                0x30 => Value::Integer(2),
                // Debug.
                0x31 => Value::Uninitialized,
                // Timer, in 100 ns: it goes on, so that no loop waits for ever.
                0x33 => Value::Integer(self.waited_us * 10 + self.steps as u64),
                second => return self.start_operation(0x5b00 | u16::from(second), start, wanted),
            },
            first => return self.start_operation(first.into(), start, wanted),
        };
        let value = match value {
            Value::Integer(number) => Value::Integer(self.wrap(number)),
            value => value,
        };
        self.deliver(value)
    }

    fn start_operation(&mut self, code: u16, start: usize, wanted: Wanted) -> Result<(), Error> {
        let (_, place, follows) = operation(code).ok_or(Error::UnknownOperation(code))?;
        if place == Place::Statement && wanted != Wanted::Statement {
            return Err(Error::Malformed("a statement where a value is wanted"));
        }
        if matches!(code, opcode::PACKAGE | opcode::VARIABLE_PACKAGE) {
            let is_package = |op: &&Operation| matches!(op.code, opcode::PACKAGE | opcode::VARIABLE_PACKAGE);
            if self.operations.iter().filter(is_package).count() >= PACKAGE_DEPTH {
                return Err(Error::TooMuch("packages inside of packages"));
            }
        }
        self.push_operation(code, Namespace::ROOT, start, follows)
    }

    fn push_operation(
        &mut self,
        code: u16,
        method: NodeId,
        start: usize,
        follows: &'static [Follows],
    ) -> Result<(), Error> {
        if self.operations.len() >= self.limits.depth {
            return Err(Error::TooMuch("nested operations"));
        }
        let block = self.blocks.len();
        let operation =
            Operation { code, method, start, end: 0, operands: Vec::new(), follows, next: 0, block };
        self.operations.push(operation);
        Ok(())
    }

    /// A name where a value may stand: a method is called, the value of anything else is read.
    fn use_node(&mut self, node: NodeId) -> Result<(), Error> {
        const TERMS: &[Follows] = &[Follows::Term; ARGUMENTS];
        let arguments: usize = match self.namespace.object(node) {
            Some(Object::Method(method)) => method.arguments.into(),
            Some(Object::OperatingSystems) => 1,
            _ => {
                let value = self.read_node(node)?;
                return self.deliver(value);
            }
        };
        let follows = TERMS.get(..arguments).ok_or(Error::Malformed("a method with too many arguments"))?;
        self.push_operation(opcode::CALL, node, 0, follows)
    }

    /// Reads a place to store to, or to look at.
    fn target(&mut self, may_be_missing: bool) -> Result<(), Error> {
        let Some(block) = self.blocks.last_mut() else { return Ok(()) };
        let (scope, code) = (block.scope, &mut block.code);
        if code.is_name() {
            let path = code.path()?;
            let target = match self.namespace.find(scope, &path) {
                Some(node) => Target::Place(Reference::Node(node)),
                None if may_be_missing => Target::Missing,
                None => return Err(self.namespace.unknown(scope, &path)),
            };
            return self.deliver_target(target);
        }
        let start = code.at;
        let target = match (code.byte()?, code.peek(0)) {
            (0x00, _) => Target::Nowhere,
            (local @ 0x60..=0x67, _) => Target::Local((local - 0x60).into()),
            (argument @ 0x68..=0x6e, _) => Target::Argument((argument - 0x68).into()),
            // Debug.
            (opcode::EXTENDED, Some(0x31)) => {
                code.byte()?;
                Target::Nowhere
            }
            (code @ (0x71 | 0x83 | 0x88), _) => {
                return self.start_operation(code.into(), start, Wanted::Value);
            }
            _ => return Err(Error::Malformed("something to store to that is no place")),
        };
        self.deliver_target(target)
    }

    /// Gives a value to whom it was read or made for: the operation that collects, or nobody.
    pub(crate) fn deliver(&mut self, value: Value) -> Result<(), Error> {
        let depth = self.blocks.len();
        let Some(operation) = self.operations.last_mut().filter(|operation| operation.block == depth) else {
            if depth == 0 {
                self.result = value;
            }
            return Ok(());
        };
        match operation.follows.get(operation.next) {
            Some(Follows::Term) => operation.next += 1,
            Some(Follows::Elements) => {}
            _ => {
                let Value::Reference(place) = value else { return Err(Error::Type("a target")) };
                return self.deliver_target(Target::Place(place));
            }
        }
        operation.operands.push(Operand::Value(value));
        Ok(())
    }

    fn deliver_target(&mut self, target: Target) -> Result<(), Error> {
        if let Some(operation) = self.operations.last_mut() {
            operation.operands.push(Operand::Target(target));
            operation.next += 1;
        }
        Ok(())
    }

    /// Enters a stretch of code.
    pub(crate) fn enter(&mut self, code: Code, scope: NodeId, kind: BlockKind) -> Result<(), Error> {
        if self.blocks.len() >= self.limits.depth {
            return Err(Error::TooMuch("nested blocks"));
        }
        self.blocks.push(Block { code, scope, kind });
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), Error> {
        match self.blocks.last().map(|block| block.kind) {
            Some(BlockKind::Method) => return self.return_value(Value::Uninitialized),
            Some(BlockKind::Loop { start, .. }) => self.leave_block(Some(start)),
            Some(BlockKind::Table | BlockKind::Plain) | None => self.leave_block(None),
        }
        Ok(())
    }

    fn leave_block(&mut self, go_on_at: Option<usize>) {
        self.blocks.pop();
        if let (Some(block), Some(at)) = (self.blocks.last_mut(), go_on_at) {
            block.code.at = at;
        }
    }

    /// Leaves the loop around; where it goes on depends on where the loop stands.
    pub(crate) fn leave_loop(&mut self, go_on: fn(usize, usize) -> usize) -> Result<(), Error> {
        loop {
            match self.blocks.last().map(|block| block.kind) {
                Some(BlockKind::Loop { start, end }) => {
                    self.leave_block(Some(go_on(start, end)));
                    return Ok(());
                }
                Some(BlockKind::Plain) => self.leave_block(None),
                _ => return Err(Error::Malformed("a jump out of a loop that is none")),
            }
        }
    }

    /// Calls a method.
    pub(crate) fn call(&mut self, node: NodeId, arguments: Vec<Value>) -> Result<(), Error> {
        let Some(Object::Method(Method { code, .. })) = self.namespace.object(node) else {
            return Err(Error::Type("a call"));
        };
        let code = code.clone();
        let mut frame = Frame {
            locals: Default::default(),
            arguments: Default::default(),
            blocks: self.blocks.len(),
            operations: self.operations.len(),
            names: self.namespace.len(),
        };
        for (to, from) in frame.arguments.iter_mut().zip(arguments) {
            *to = from;
        }
        self.enter(code, node, BlockKind::Method)?;
        self.frames.push(frame);
        Ok(())
    }

    /// Leaves the method that runs.
    pub(crate) fn return_value(&mut self, value: Value) -> Result<(), Error> {
        let names = self.frames.last().ok_or(Error::Malformed("a return outside of a method"))?.names;
        let value = match value {
            // What the method has made goes away.
            Value::Reference(Reference::Node(node)) if node.0 as usize >= names => self.read_node(node)?,
            value => value,
        };
        if let Some(frame) = self.frames.pop() {
            self.blocks.truncate(frame.blocks);
            self.operations.truncate(frame.operations);
            self.namespace.truncate(frame.names);
        }
        self.deliver(value)
    }

    /// The block that runs.
    pub(crate) fn block(&mut self) -> Result<&mut Block, Error> {
        self.blocks.last_mut().ok_or(Error::Malformed("an operation outside of a table"))
    }

    /// A variable of the method that runs.
    pub(crate) fn variable(&mut self, target: &Target) -> Result<&mut Value, Error> {
        let frame = self.frames.last_mut().ok_or(Error::Malformed("a variable outside of a method"))?;
        let variable = match target {
            Target::Local(index) => frame.locals.get_mut(*index),
            Target::Argument(index) => frame.arguments.get_mut(*index),
            Target::Nowhere | Target::Missing | Target::Place(_) => None,
        };
        variable.ok_or(Error::Type("a variable"))
    }

    /// Cuts a number to as many bits as numbers have.
    pub(crate) fn wrap(&self, number: u64) -> u64 {
        if self.integer_bytes == 8 { number } else { number & 0xffff_ffff }
    }

    pub(crate) fn spend_steps(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps { Err(Error::TooMuch("steps")) } else { Ok(()) }
    }

    pub(crate) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes { Err(Error::TooMuch("bytes")) } else { Ok(()) }
    }

    /// Waits as long as the code says.
    pub(crate) fn wait(&mut self, microseconds: u64) -> Result<(), Error> {
        self.waited_us = self.waited_us.saturating_add(microseconds);
        if self.waited_us > self.limits.wait_us {
            return Err(Error::TooMuch("microseconds"));
        }
        self.host.wait_us(microseconds);
        Ok(())
    }

    /// A value of its own, as deep as packages may be.
    pub(crate) fn copy(&mut self, value: &Value) -> Result<Value, Error> {
        self.copy_inside(value, 0)
    }

    fn copy_inside(&mut self, value: &Value, depth: usize) -> Result<Value, Error> {
        match value {
            Value::Buffer(bytes) => {
                let bytes = bytes.borrow().clone();
                self.spend_bytes(bytes.len())?;
                Ok(Value::buffer(bytes))
            }
            Value::String(text) => {
                let text = text.borrow().clone();
                self.spend_bytes(text.len())?;
                Ok(Value::characters(text))
            }
            Value::Package(_) if depth >= PACKAGE_DEPTH => Err(Error::TooMuch("packages inside of packages")),
            Value::Package(elements) => {
                let elements = elements.borrow().clone();
                self.spend_bytes(elements.len() * size_of::<Value>())?;
                let copies = elements.iter().map(|element| self.copy_inside(element, depth + 1));
                Ok(Value::package(copies.collect::<Result<_, _>>()?))
            }
            other => Ok(other.clone()),
        }
    }
}
