//! Tables that want too much, and tables that are no tables.

use super::assembler::*;
use super::{Machine, result, routing};
use crate::{Error, Interpreter, Limits, Value};
use alloc::vec::Vec;

#[test]
fn code_without_end_is_ended() {
    let table = method("TEST", 0, &while_(&one(), &[0xa3]));
    assert_eq!(result(&table).err(), Some(Error::TooMuch("steps")));
    let table = method("TEST", 0, &return_(&call("TEST", &[])));
    assert!(matches!(result(&table), Err(Error::TooMuch(_))));
    let nested = (0..200).fold(one(), |inside, _| not(&inside));
    assert!(matches!(result(&method("TEST", 0, &return_(&nested))), Err(Error::TooMuch(_))));
    let nested = (0..12).fold(one(), |inside, _| package(&[inside]));
    assert!(matches!(result(&method("TEST", 0, &return_(&nested))), Err(Error::TooMuch(_))));
}

#[test]
fn values_cannot_grow_without_end() {
    let double_it = operation(&[0x73], &[&local(0), &local(0), &local(0)]);
    let body = [store(&string("ab"), &local(0)), while_(&one(), &double_it)].concat();
    assert_eq!(result(&method("TEST", 0, &body)).err(), Some(Error::TooMuch("bytes")));
    let large = packed(&[0x11], &double(u32::MAX));
    assert_eq!(result(&method("TEST", 0, &return_(&large))).err(), Some(Error::TooMuch("bytes")));
    // Into itself, again and again.
    let inside = store(&path("PKG0"), &index(&path("PKG0"), &zero()));
    let table = [name("PKG0", &package(&[one()])), method("TEST", 0, &while_(&one(), &inside))].concat();
    assert!(matches!(result(&table), Err(Error::TooMuch(_))));
}

#[test]
fn names_are_as_many_as_the_limit_says() {
    let mut machine = Machine::default();
    let mut interpreter = Interpreter::new(&mut machine, Limits { names: 12, ..Limits::USUAL });
    let names = ["AAAA", "BBBB", "CCCC", "DDDD"].map(|text| name(text, &one())).concat();
    assert_eq!(interpreter.load(&names), Err(Error::TooMuch("names")));
}

#[test]
fn errors_name_what_is_wrong() {
    let says = |body: &[u8]| alloc::format!("{}", result(&method("TEST", 0, body)).expect_err("it is wrong"));
    assert_eq!(says(&return_(&path("NONE"))), "there is no NONE in \\TEST");
    assert_eq!(says(&operation(&[0x77], &[&one()])), "the code ends too early");
    assert_eq!(says(&BREAK), "the code has a jump out of a loop that is none");
    assert_eq!(says(&return_(&if_(&one(), &one()))), "the code has a statement where a value is wanted");
    assert_eq!(says(&store(&one(), &path("_SB_"))), "a store to a name has a value of the wrong type");
    assert_eq!(says(&operation(&[0x85], &[&one(), &zero(), &NOWHERE])), "a division by zero leads outside");
    assert_eq!(says(&operation(&[0x5b, 0x32], &[&[1], &[2, 0, 0, 0], &one()])), "it gives up with code 0x2");
}

/// A table with a little of everything.
fn everything() -> Vec<u8> {
    let body = [
        store(&buffer(8, &[1, 2, 3]), &local(0)),
        store(&zero(), &local(2)),
        operation(&[0x8b], &[&local(0), &one(), &path("WRD0")]),
        store(&add(&path("WRD0"), &byte(3), &NOWHERE), &path("WRD0")),
        store(&operation(&[0x9e], &[&local(0), &one(), &byte(3), &NOWHERE]), &local(1)),
        while_(
            &less(&local(2), &byte(5)),
            &[increment(&local(2)), if_(&equal(&local(2), &byte(3)), &CONTINUE)].concat(),
        ),
        if_(&path("FLD0"), &store(&zero(), &path("FLD1"))),
        else_(&store(&string("x"), &index(&path("PKG0"), &one()))),
        return_(&operation(&[0x73], &[&path("PKG1"), &local(1), &NOWHERE])),
    ];
    [
        name("PKG0", &package(&[byte(1), string("two"), package(&[path("PKG0")])])),
        name("PKG1", &string("text")),
        region("REG0", 1, 0x80, 16),
        fields_of("REG0", 3, &[field_entry("FLD0", 5), skip(70), field_entry("FLD1", 33)].concat()),
        method("TEST", 2, &body.concat()),
        device("DEV0", &[method("_INI", 0, &store(&one(), &path("FLD1"))), name("_STA", &byte(15))].concat()),
        device(
            "DEV1",
            &[region("CFG0", 2, 0, 4), method("_REG", 2, &store(&argument(1), &path("FLD1")))].concat(),
        ),
        routing::table(),
    ]
    .concat()
}

/// Loads a table and does with it all that can be done.
fn try_all(table: &[u8]) {
    let limits = Limits { names: 500, steps: 3_000, bytes: 1 << 16, depth: 32, wait_us: 1000 };
    let mut machine = Machine::default();
    let mut interpreter = Interpreter::new(&mut machine, limits);
    // A broken table may well be an error, or be right.
    let _ = interpreter.load(table);
    assert!(interpreter.initialize().problems.len() <= 17);
    let root = interpreter.root();
    let _ = interpreter.evaluate_child(root, *b"TEST", &[Value::Integer(3), Value::string("argument")]);
    let routing = interpreter.pci_routing();
    assert!(routing.routes.len() <= 4096);
}

#[test]
fn any_cut_or_changed_table_is_survived() {
    let table = everything();
    assert_eq!(result(&table).map(|value| matches!(value, Value::String(_))), Ok(true));
    (0..table.len()).for_each(|length| try_all(&table[..length]));
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for _ in 0..10_000 {
        let mut broken = table.clone();
        for _ in 0..1 + random(4) {
            let at = random(broken.len());
            match random(4) {
                0 => broken[at] ^= 1 << random(8),
                1 => broken[at] = random(256) as u8,
                // An operation from elsewhere.
                2 => broken[at] = table[random(table.len())],
                _ => {
                    broken.remove(at);
                }
            }
        }
        try_all(&broken);
    }
}
