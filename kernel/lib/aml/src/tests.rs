//! Tables put together by hand, a machine of bytes, and tables that are broken at random.

extern crate std;

mod assembler;
mod broken;
mod events;
mod initialize;
mod routing;

use crate::{Error, Host, Interpreter, Limits, Space, Value, segment};
use assembler::*;
use std::collections::BTreeMap;
use std::vec::Vec;

/// Registers that hold what was written, and a diary.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) registers: BTreeMap<(u64, u64), u8>,
    pub(crate) writes: Vec<(Space, u64, usize, u64)>,
    waited_us: u64,
}

fn key(space: Space) -> u64 {
    match space {
        Space::Memory => 0,
        Space::Port => 1,
        Space::PciConfig { bus, device, function } => {
            1 << 32 | u64::from(bus) << 16 | u64::from(device) << 8 | u64::from(function)
        }
    }
}

impl Machine {
    pub(crate) fn set(&mut self, space: Space, address: u64, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            self.registers.insert((key(space), at), *byte);
        }
    }
}

impl Host for Machine {
    fn read(&mut self, space: Space, address: u64, bytes: usize) -> Option<u64> {
        let byte = |at| u64::from(*self.registers.get(&(key(space), address.wrapping_add(at))).unwrap_or(&0));
        Some((0..bytes as u64).rev().fold(0, |value, at| value << 8 | byte(at)))
    }
    fn write(&mut self, space: Space, address: u64, bytes: usize, value: u64) -> Option<()> {
        if address >= 0xffff_0000 {
            return None;
        }
        self.writes.push((space, address, bytes, value));
        self.set(space, address, &value.to_le_bytes()[..bytes]);
        Some(())
    }
    fn wait_us(&mut self, microseconds: u64) {
        self.waited_us += microseconds;
    }
}

/// Loads a table, and evaluates the method TEST of it.
fn evaluate(machine: &mut Machine, table: &[u8], arguments: &[Value]) -> Result<Value, Error> {
    let mut interpreter = Interpreter::new(machine, Limits::USUAL);
    interpreter.load(table)?;
    let root = interpreter.root();
    let value = interpreter.evaluate_child(root, segment("TEST"), arguments)?;
    Ok(value.expect("the table has the method"))
}

fn result(table: &[u8]) -> Result<Value, Error> {
    evaluate(&mut Machine::default(), table, &[])
}

fn number(table: &[u8]) -> u64 {
    result(table).expect("it can be evaluated").as_integer().expect("a number")
}

#[test]
fn loops_and_branches_run() {
    // Sum of the odd numbers below Arg0; out of the loop at 100.
    let body = [
        store(&zero(), &local(0)),
        store(&zero(), &local(1)),
        while_(
            &less(&local(0), &argument(0)),
            &[
                if_(&less(&byte(99), &local(0)), &BREAK),
                increment(&local(0)),
                if_(&not(&and(&local(0), &one())), &CONTINUE),
                add(&local(1), &local(0), &local(1)),
            ]
            .concat(),
        ),
        return_(&local(1)),
    ];
    let table = method("TEST", 1, &body.concat());
    let sum = |below| {
        let value = evaluate(&mut Machine::default(), &table, &[Value::Integer(below)]);
        value.expect("it can be evaluated").as_integer()
    };
    assert_eq!(sum(10), Some(1 + 3 + 5 + 7 + 9));
    assert_eq!(sum(1_000_000), Some(2500));
    let choose =
        [if_(&equal(&argument(0), &byte(1)), &return_(&byte(10))), else_(&return_(&byte(20)))].concat();
    let table = [
        method("PICK", 1, &choose),
        method("TEST", 0, &return_(&add(&call("PICK", &[one()]), &call("PICK", &[zero()]), &NOWHERE))),
    ];
    assert_eq!(number(&table.concat()), 30);
}

#[test]
fn numbers_have_the_width_of_the_first_table() {
    let table = method("TEST", 0, &return_(&not_bits(&byte(0xf), &NOWHERE)));
    assert_eq!(number(&table), !0xf);
    let mut machine = Machine::default();
    let mut interpreter = Interpreter::new(&mut machine, Limits::USUAL);
    interpreter.use_short_integers();
    interpreter.load(&table).expect("it is well made");
    let root = interpreter.root();
    let value = interpreter.evaluate_child(root, segment("TEST"), &[]).expect("it can be evaluated");
    assert_eq!(value.and_then(|value| value.as_integer()), Some(0xffff_fff0));
}

#[test]
fn names_keep_their_type_and_buffers_their_length() {
    let table = [
        name("BUF0", &buffer(4, &[1, 2])),
        create_field(0x8b, "BUF0", 1, "WORD"),
        name("NUM0", &byte(7)),
        method(
            "TEST",
            0,
            &[
                store(&string("0012"), &path("NUM0")),
                store(&word(0x5634), &path("WORD")),
                return_(&add(&path("NUM0"), &path("BUF0"), &NOWHERE)),
            ]
            .concat(),
        ),
    ];
    // Bytes 1, 0x34, 0x56, 0.
    assert_eq!(number(&table.concat()), 0x12 + 0x0056_3401);
}

#[test]
fn values_are_copied_when_they_are_stored_and_shared_when_they_are_passed() {
    let table = [
        name("PKG0", &package(&[byte(1), byte(2)])),
        method("SET1", 1, &store(&byte(9), &index(&argument(0), &one()))),
        method(
            "TEST",
            0,
            &[
                store(&path("PKG0"), &local(0)),
                call("SET1", &[path("PKG0")]),
                return_(&add(
                    &dereference(&index(&path("PKG0"), &one())),
                    &dereference(&index(&local(0), &one())),
                    &NOWHERE,
                )),
            ]
            .concat(),
        ),
    ];
    assert_eq!(number(&table.concat()), 9 + 2);
}

#[test]
fn what_a_method_makes_goes_away() {
    let body = [name("TEMP", &byte(3)), return_(&path("TEMP"))].concat();
    let both = add(&call("MAKE", &[]), &call("MAKE", &[]), &NOWHERE);
    let table = [method("MAKE", 0, &body), method("TEST", 0, &return_(&both))].concat();
    assert_eq!(number(&table), 6);
    let table =
        [method("MAKE", 0, &body), method("TEST", 0, &[call("MAKE", &[]), return_(&path("TEMP"))].concat())];
    assert!(matches!(result(&table.concat()), Err(Error::Unknown(_))));
}

#[test]
fn strings_are_joined_cut_and_converted() {
    let text = |table: &[u8]| match result(table) {
        Ok(value) => value.as_text(),
        Err(_) => None,
    };
    let of = |value: &[u8]| method("TEST", 0, &return_(value));
    let joined = operation(&[0x73], &[&string("ab"), &string("cd"), &NOWHERE]);
    assert_eq!(text(&of(&joined)).as_deref(), Some(&b"abcd"[..]));
    let middle = operation(&[0x9e], &[&string("abcdef"), &byte(2), &byte(3), &NOWHERE]);
    assert_eq!(text(&of(&middle)).as_deref(), Some(&b"cde"[..]));
    let decimal = operation(&[0x97], &[&word(1234), &NOWHERE]);
    assert_eq!(text(&of(&decimal)).as_deref(), Some(&b"1234"[..]));
    assert_eq!(number(&of(&operation(&[0x99], &[&string("0x1F"), &NOWHERE]))), 0x1f);
    assert_eq!(number(&of(&size_of("_OS_"))), 20);
    assert_eq!(number(&of(&equal(&string("a"), &string("a")))), u64::MAX);
    let asks = |system: &str| number(&of(&call("_OSI", &[string(system)])));
    assert_eq!((asks("Windows 2015"), asks("Linux")), (u64::MAX, 0));
}

#[test]
fn conversions_are_those_that_tables_are_written_for() {
    let text =
        |value: &[u8]| result(&method("TEST", 0, &return_(value))).ok().and_then(|value| value.as_text());
    let of = |value: &[u8]| number(&method("TEST", 0, &return_(value)));
    assert_eq!(of(&add(&string("0x10"), &one(), &NOWHERE)), 0x11);
    let joined = operation(&[0x73], &[&string("x"), &buffer(2, &[0xab, 1]), &NOWHERE]);
    assert_eq!(text(&joined).as_deref(), Some(&b"x0xAB 0x01"[..]));
    let digits = operation(&[0x98], &[&word(0xabc), &NOWHERE]);
    assert_eq!(text(&digits).as_deref(), Some(&b"0000000000000ABC"[..]));
    // The size of what a method returns.
    let table = [method("MAKE", 0, &return_(&buffer(7, &[]))), method("TEST", 0, &return_(&size_of("MAKE")))];
    assert_eq!(number(&table.concat()), 7);
    // Short as it is, this is bytes.
    let field = operation(&[0x5b, 0x13], &[&local(0), &byte(4), &byte(6), &path("FLD0")]);
    let body = [store(&buffer(2, &[0xf0, 1]), &local(0)), field, return_(&path("FLD0"))].concat();
    let value = result(&method("TEST", 0, &body)).expect("it can be evaluated");
    assert_eq!(value.as_bytes(), Some([0x1f].into()));
}

#[test]
fn characters_of_strings_can_be_changed_and_copies_have_their_own() {
    let body = [
        store(&string("text"), &local(0)),
        store(&local(0), &local(1)),
        store(&byte(b'T'), &index(&local(0), &zero())),
        return_(&operation(&[0x73], &[&local(0), &local(1), &NOWHERE])),
    ];
    let value = result(&method("TEST", 0, &body.concat())).expect("it can be evaluated");
    assert_eq!(value.as_text().as_deref(), Some(&b"Texttext"[..]));
}

#[test]
fn a_copied_object_brings_its_type_and_a_stored_one_does_not() {
    let with = |code: u8| {
        let body = [operation(&[code], &[&string("1F"), &path("NUM0")]), return_(&path("NUM0"))];
        result(&[name("NUM0", &one()), method("TEST", 0, &body.concat())].concat())
            .expect("it can be evaluated")
    };
    assert_eq!(with(0x70).as_integer(), Some(0x1f));
    assert_eq!(with(0x9d).as_text().as_deref(), Some(&b"1F"[..]));
}

#[test]
fn fields_reach_registers_and_keep_the_bits_beside() {
    let mut machine = Machine::default();
    machine.set(Space::Port, 0x80, &[0xff, 0x12, 0x34]);
    let fields = [field_entry("LOW0", 3), field_entry("MID0", 2), skip(3), field_entry("WIDE", 16)].concat();
    let table = [
        region("REG0", 1, 0x80, 4),
        fields_of("REG0", 1, &fields),
        method("TEST", 0, &[store(&zero(), &path("MID0")), return_(&path("WIDE"))].concat()),
    ]
    .concat();
    let value = evaluate(&mut machine, &table, &[]).expect("it can be evaluated");
    assert_eq!(value.as_integer(), Some(0x3412));
    assert_eq!(machine.writes, [(Space::Port, 0x80, 1, 0b1110_0111)]);
    let outside = [region("REG0", 1, 0x80, 1), fields_of("REG0", 1, &fields)].concat();
    let outside = [outside, method("TEST", 0, &return_(&path("WIDE")))].concat();
    assert!(matches!(result(&outside), Err(Error::OutOfRange(_))));
    let refused = [region("REG0", 0, 0xffff_0000, 4), fields_of("REG0", 1, &field_entry("LOW0", 8))].concat();
    let refused = [refused, method("TEST", 0, &store(&one(), &path("LOW0")))].concat();
    assert_eq!(result(&refused).err(), Some(Error::Register(Space::Memory, 0xffff_0000)));
}

#[test]
fn indexed_registers_are_reached_by_two_others() {
    let mut machine = Machine::default();
    machine.set(Space::Port, 0x71, &[0x5a]);
    let pair = [field_entry("IDX0", 8), field_entry("DAT0", 8)].concat();
    let table = [
        region("CMOS", 1, 0x70, 2),
        fields_of("CMOS", 1, &pair),
        index_fields("IDX0", "DAT0", &[skip(0x32 * 8), field_entry("CENT", 8)].concat()),
        method("TEST", 0, &return_(&path("CENT"))),
    ];
    let value = evaluate(&mut machine, &table.concat(), &[]).expect("it can be evaluated");
    assert_eq!(value.as_integer(), Some(0x5a));
    assert_eq!(machine.writes, [(Space::Port, 0x70, 1, 0x32)]);
}

#[test]
fn waiting_is_left_to_the_host_and_bounded() {
    let mut machine = Machine::default();
    let table = method("TEST", 0, &[operation(&[0x5b, 0x22], &[&byte(5)]), return_(&one())].concat());
    evaluate(&mut machine, &table, &[]).expect("it can be evaluated");
    assert_eq!(machine.waited_us, 5_000);
    let table = method("TEST", 0, &while_(&one(), &operation(&[0x5b, 0x22], &[&byte(255)])));
    assert_eq!(evaluate(&mut machine, &table, &[]).err(), Some(Error::TooMuch("microseconds")));
}
