//! `evaluate-aml TABLE...`: loads ACPI tables from files, initializes, and prints what is in them, a line each:
//!
//! ```text
//! problem ...                    what initialisation says
//! name \_SB.PCI0._ADR 1 0        every node: its path, its ObjectType, its number of arguments
//! ```
//!
//! With paths and arguments (`\RTEL 0x2A "text"`) on the standard input these are evaluated instead, in that order:
//!
//! ```text
//! value \_SB.PCI0._ADR Integer 0
//! ```
//!
//! The machine is one that remembers what is written to a register and reads as zero before; all PCI functions are one.
//! That is how ACPICA's `acpiexec` has it, whose answers these are compared with (`nix/tests/acpi.py`).

use aml::{Host, Interpreter, Limits, NodeId, Reference, Space, Value};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

/// Length of a table's header, and where its revision stands in it.
const HEADER: usize = 36;
const REVISION: usize = 8;

/// Registers by kind of space and address.
#[derive(Default)]
struct Registers(BTreeMap<(u8, u64), u8>);

fn kind(space: Space) -> u8 {
    match space {
        Space::Memory => 0,
        Space::Port => 1,
        Space::PciConfig { .. } => 2,
    }
}

impl Host for Registers {
    fn read(&mut self, space: Space, address: u64, bytes: usize) -> Option<u64> {
        let byte = |at| self.0.get(&(kind(space), address + at)).copied().unwrap_or(0);
        Some((0..bytes as u64).rev().fold(0, |value, at| value << 8 | u64::from(byte(at))))
    }

    fn write(&mut self, space: Space, address: u64, bytes: usize, value: u64) -> Option<()> {
        for (at, byte) in (address..).zip(&value.to_le_bytes()[..bytes]) {
            self.0.insert((kind(space), at), *byte);
        }
        Some(())
    }

    fn wait_us(&mut self, _: u64) {}
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("evaluate-aml: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut registers = Registers::default();
    let mut interpreter = Interpreter::new(&mut registers, Limits::USUAL);
    for (index, path) in std::env::args().skip(1).enumerate() {
        let table = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        let code = table.get(HEADER..).ok_or(format!("{path}: no table"))?;
        if index == 0 && table[REVISION] < 2 {
            interpreter.use_short_integers();
        }
        interpreter.load(code).map_err(|error| format!("{path}: {error}"))?;
    }
    for problem in interpreter.initialize().problems {
        println!("problem {problem}");
    }
    let mut wanted = String::new();
    if !std::io::stdin().is_terminal() {
        std::io::stdin().read_to_string(&mut wanted).map_err(|error| error.to_string())?;
    }
    if wanted.is_empty() {
        print_all(&interpreter);
    }
    wanted.lines().try_for_each(|line| answer(&mut interpreter, line))
}

/// Every node.
fn print_all(interpreter: &Interpreter<'_>) {
    let nodes = interpreter.nodes();
    for node in &nodes {
        let (kind, arguments) = interpreter.kind(*node);
        println!("name {} {kind} {arguments}", interpreter.path(*node));
    }
}

/// One line of the input.
fn answer(interpreter: &mut Interpreter<'_>, line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let path = words.next().ok_or("an empty line")?;
    let node = interpreter.nodes().into_iter().find(|node| interpreter.path(*node) == path);
    let node = node.ok_or(format!("there is no {path}"))?;
    let arguments = words.map(argument).collect::<Result<Vec<_>, _>>()?;
    match interpreter.evaluate(node, &arguments) {
        Ok(value) => println!("value {path} {}", text(interpreter, &value)),
        Err(error) => println!("value {path} error: {error}"),
    }
    Ok(())
}

fn argument(word: &str) -> Result<Value, String> {
    if let Some(text) = word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(Value::string(text));
    }
    let number = u64::from_str_radix(word.trim_start_matches("0x"), 16);
    number.map(Value::Integer).map_err(|_| format!("{word} is neither a hexadecimal number nor a text"))
}

/// A value as a line shows it.
fn text(interpreter: &mut Interpreter<'_>, value: &Value) -> String {
    match value {
        Value::Uninitialized => "nothing".into(),
        Value::Integer(number) => format!("Integer {number:X}"),
        Value::String(text) => format!("String \"{}\"", String::from_utf8_lossy(&text.borrow())),
        Value::Buffer(bytes) => {
            let bytes: String = bytes.borrow().iter().map(|byte| format!(" {byte:02X}")).collect();
            format!("Buffer{bytes}")
        }
        Value::Package(elements) => {
            let elements = elements.borrow().clone();
            let elements: Vec<_> = elements.iter().map(|element| text(interpreter, element)).collect();
            format!("Package [{}]", elements.join(", "))
        }
        Value::Name(name) => match interpreter.named(name) {
            Some(node) => named(interpreter, node),
            None => "Reference to nothing".into(),
        },
        Value::Reference(Reference::Node(node)) => named(interpreter, *node),
        Value::Reference(Reference::Byte(..)) => "Reference to a byte".into(),
        Value::Reference(Reference::Element(..)) => "Reference to an element".into(),
    }
}

/// What a name in a package stands for: a value, or something that has a name alone.
fn named(interpreter: &mut Interpreter<'_>, node: NodeId) -> String {
    if matches!(interpreter.kind(node).0, 1..=5 | 14) {
        match interpreter.evaluate(node, &[]) {
            Ok(value) => return text(interpreter, &value),
            Err(error) => return format!("error: {error}"),
        }
    }
    let path = interpreter.path(node);
    format!("Reference {}", path.rsplit(['\\', '.']).next().unwrap_or(&path))
}
