//! `_INI` and `_REG`: their order, what is left alone, and that nothing of it goes on for ever.

use super::Machine;
use super::assembler::*;
use crate::{Error, Initialization, Interpreter, Limits, segment};
use alloc::string::String;
use alloc::vec::Vec;

/// Appends a word to the diary.
fn note(word: &str) -> Vec<u8> {
    operation(&[0x73], &[&path("\\LOG_"), &string(word), &path("\\LOG_")])
}

/// A method that notes a word when it is called.
fn noting(name: &str, arguments: u8, word: &str) -> Vec<u8> {
    method(name, arguments, &note(word))
}

fn status(number: u8) -> Vec<u8> {
    name("_STA", &byte(number))
}

/// Loads and initializes; what was done, and the diary.
fn initialize(table: &[Vec<u8>]) -> (Initialization, String) {
    let table = [name("LOG_", &string("")), table.concat()].concat();
    let mut machine = Machine::default();
    let mut interpreter = Interpreter::new(&mut machine, Limits::USUAL);
    interpreter.load(&table).expect("it is well made");
    let done = interpreter.initialize();
    let root = interpreter.root();
    match interpreter.evaluate_child(root, segment("LOG_"), &[]) {
        Ok(Some(value)) => {
            (done, String::from_utf8(value.as_text().expect("a string")).expect("the tests' words"))
        }
        other => panic!("the diary is {other:?}"),
    }
}

#[test]
fn the_order_is_that_of_the_specification() {
    let configuration = |name: &str| region(name, 2, 0x40, 4);
    // Adds to the diary which space it is told of, and that it can be reached.
    let told = [
        note("r"),
        if_(&equal(&argument(0), &byte(2)), &note("2")),
        if_(&equal(&argument(1), &one()), &note("+ ")),
    ]
    .concat();
    let inside = device("INSD", &noting("_INI", 0, "inside "));
    let beside = [noting("_INI", 0, "beside "), region("PORT", 1, 0x80, 4), noting("_REG", 2, "of ports ")];
    let outside = [
        inside,
        // Twice the same space, of which is told once.
        configuration("CFG0"),
        configuration("CFG1"),
        method("_REG", 2, &told),
        noting("_INI", 0, "outside "),
    ];
    let (done, log) = initialize(&[
        scope("_SB_", &[device("OUTS", &outside.concat()), device("BESI", &beside.concat())].concat()),
        // Behind the others in the table, and yet inside the first.
        scope("_SB_.OUTS", &device("LATE", &noting("_INI", 0, "late "))),
        scope("_SB_", &noting("_INI", 0, "system ")),
        noting("_INI", 0, "root "),
    ]);
    assert_eq!(log, "root system r2+ outside inside late beside ");
    assert_eq!((done.devices, done.regions, done.problems.len()), (6, 1, 0));
}

#[test]
fn what_is_absent_is_left_alone() {
    let with = |status: Vec<u8>, word: &str| {
        let inside = device("INSD", &noting("_INI", 0, "inside "));
        [status, noting("_INI", 0, word), inside].concat()
    };
    let (done, log) = initialize(&[scope(
        "_SB_",
        &[
            device("NONE", &with(status(0), "none ")),
            // Not there, but works: what is inside is.
            device("WORK", &with(status(8), "works ")),
            device("THER", &with(status(1), "there ")),
            device("METH", &with(method("_STA", 0, &return_(&byte(0xf))), "asked ")),
        ]
        .concat(),
    )]);
    assert_eq!(log, "inside there inside asked inside ");
    assert_eq!((done.devices, done.problems.len()), (5, 0));
    // Nobody asks how a device is in which there is nothing to do.
    let (_, log) = initialize(&[device("DEV0", &noting("_STA", 0, "asked"))]);
    assert_eq!(log, "");
}

#[test]
fn errors_of_one_are_said_and_do_not_keep_the_others() {
    let endless = method("_INI", 0, &while_(&one(), &[0xa3]));
    let broken = method("_STA", 0, &return_(&path("NONE")));
    let (done, log) = initialize(&[
        device("LOOP", &endless),
        device("BRKN", &[broken, device("INSD", &noting("_INI", 0, "inside "))].concat()),
        device("GOOD", &noting("_INI", 0, "good")),
    ]);
    assert_eq!(log, "inside good");
    assert_eq!(done.devices, 2);
    assert_eq!(
        done.problems,
        ["\\LOOP: _INI: too many steps", "\\BRKN: _STA: there is no NONE in \\BRKN._STA"]
    );
}

#[test]
fn all_together_are_bounded() {
    let names: Vec<_> = (0..100).map(|index| alloc::format!("D{index:03}")).collect();
    let each = |body: &[u8]| -> Vec<Vec<u8>> {
        names.iter().map(|name| device(name, &method("_INI", 0, body))).collect()
    };
    let (done, _) = initialize(&each(&while_(&one(), &[0xa3])));
    // Each takes what one may, and one more step.
    assert_eq!((done.devices, done.problems.len()), (0, 9));
    assert_eq!(done.problems[8], "initialisation takes too much; the rest is left out");
    // 255 ms each, of eight seconds.
    let (done, _) = initialize(&each(&operation(&[0x5b, 0x22], &[&byte(255)])));
    assert_eq!((done.devices, done.problems.len()), (32, 1));
    let (done, _) = initialize(&each(&path("NONE")));
    assert_eq!((done.devices, done.problems.len()), (0, 17));
    // What grows in names stays: 100 times 1 MiB would.
    let grow = store(&packed(&[0x11], &double(1 << 20)), &local(0));
    let (done, _) = initialize(&each(&grow));
    assert!((1..=8).contains(&done.devices), "{} have made a megabyte each", done.devices);
    assert_eq!(done.problems.len(), 1);
}

#[test]
fn kinds_of_nodes_have_the_numbers_of_the_specification() {
    let kind = |definition: &[u8], name: &str| {
        let ask = return_(&operation(&[0x8e], &[&path(name)]));
        super::number(&[definition, &method("TEST", 0, &ask)].concat())
    };
    assert_eq!(kind(&device("DEV0", &[]), "DEV0"), 6);
    assert_eq!(kind(&packed(&[0x5b, 0x84], &[&path("PWR0")[..], &[0, 0, 0]].concat()), "PWR0"), 11);
    let processor = packed(&[0x5b, 0x83], &[&path("CPU0")[..], &[0, 0, 0, 0, 0, 0]].concat());
    assert_eq!(kind(&processor, "CPU0"), 12);
    assert_eq!(kind(&packed(&[0x5b, 0x85], &path("TZN0")), "TZN0"), 13);
    assert_eq!(kind(&operation(&[0x5b, 0x02], &[&path("EVT0")]), "EVT0"), 7);
    assert_eq!(kind(&operation(&[0x5b, 0x01], &[&path("MTX0"), &[0]]), "MTX0"), 9);
    assert_eq!(
        super::result(&method("TEST", 0, &store(&one(), &path("_SB_")))).err(),
        Some(Error::Type("a store to a name"))
    );
}
