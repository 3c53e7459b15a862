//! The monitor on a console that is a script.

use super::arguments::parse_number;
use super::command::{Mode, State};
use super::completion::Completion;
use super::console::Console;
use super::output::Paging;
use super::session::{self, Next};
use super::table::{self, COMMANDS};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use line_editor::{Candidates, Editor};
use machine::sync::SpinLock;
use test_macro::kernel_test;

/// A console that is typed at by a script. Whoever waits is interrupted at once.
struct Script {
    typed: SpinLock<VecDeque<u8>>,
    shown: SpinLock<String>,
    rows: usize,
    /// A command was interrupted in its wait.
    is_interrupted: AtomicBool,
}

impl Script {
    fn new(typed: &[u8], rows: usize) -> Self {
        Self {
            typed: SpinLock::new("script", typed.iter().copied().collect()),
            shown: SpinLock::new("script", String::new()),
            rows,
            is_interrupted: AtomicBool::new(false),
        }
    }

    fn take(&self) -> String {
        core::mem::take(&mut self.shown.lock())
    }
}

impl Console for Script {
    fn write(&self, text: &str) {
        self.shown.lock().push_str(text);
    }

    fn read(&self) -> Option<u8> {
        self.typed.lock().pop_front()
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.is_interrupted.store(false, Ordering::Relaxed);
    }

    fn wait_until(&self, _deadline_ns: u64) -> bool {
        self.is_interrupted.store(true, Ordering::Relaxed);
        true
    }

    fn size(&self) -> (usize, usize) {
        (self.rows, 200)
    }
}

/// What a list of commands shows, without the lines that repeat them.
fn shown(list: &str) -> String {
    let console = Script::new(b"", 0);
    let mut state = State::new(Mode::Running);
    assert_eq!(session::run_list(list, &mut state, &console), Next::Stay, "{list}");
    let text = console.take();
    text.lines().filter(|line| !line.starts_with(session::PROMPT)).flat_map(|line| [line, "\n"]).collect()
}

#[kernel_test]
fn numbers_are_decimal_or_hexadecimal() {
    for (word, value) in [("0", 0), ("0012", 12), ("0x1F", 31), ("18446744073709551615", u64::MAX)] {
        assert_eq!(parse_number(word), Ok(value), "{word}");
    }
    for word in
        ["", "x", "-1", "+1", "1.5", "0x", "0x+1", "0xg", "１", "18446744073709551616", "0x10000000000000000"]
    {
        assert!(parse_number(word).is_err(), "{word}");
    }
}

#[kernel_test]
fn names_are_unique_and_explained() {
    let help = shown("help");
    for (index, command) in COMMANDS.iter().enumerate() {
        assert!(!COMMANDS[..index].iter().any(|other| other.name == command.name), "{}", command.name);
        assert!(help.contains(command.name) && help.contains(command.help), "{}", command.name);
        assert!(!command.name.contains(|letter: char| letter.is_whitespace() || letter == ';'));
    }
}

#[kernel_test]
fn what_is_wrong_is_said() {
    for (line, wanted) in [
        ("bogus", "there is no command 'bogus'; `help` lists them\n"),
        ("rng", "usage: rng <bytes>\n"),
        ("rng many", "rng: 'many' is no number of bytes: it is not a number\nusage: rng <bytes>\n"),
        ("rng 4294967296", "rng: '4294967296' is no number of bytes: it is too large\nusage: rng <bytes>\n"),
        ("sleep 1 2", "sleep: too many arguments\nusage: sleep <milliseconds>\n"),
        ("help bogus", "help: 'bogus' is no command: `help` lists them\nusage: help [<command>]\n"),
        ("prime often 3", "usage: prime sync <n> | async <n> <tasks>\n"),
        ("prime sync 0", "prime: primes are counted from 1\n"),
        (
            "mount nothing",
            "mount: 'nothing' is no disk: `block list` lists them\nusage: mount <disk>|sysfs\n",
        ),
        ("loglevel 9", "loglevel: '9' is no level: levels are 0 to 8\nusage: loglevel [<0-8>]\n"),
        (
            "page-table 0x8000000000000000",
            "page-table: '0x8000000000000000' is no address: bits 48 to 63 are not all the same\nusage: page-table [<address> [<pid>]]\n",
        ),
    ] {
        assert_eq!(shown(line), wanted, "{line}");
    }
}

#[kernel_test]
fn commands_show_what_they_should() {
    for (line, wanted) in [
        ("backtrace", "commands_show_what_they_should"),
        ("page-table", "resident: 2 pages"),
        ("page-table 0xffff800000000000", "level 4: table "),
        ("memory", "free blocks of DMA32"),
        ("slab", "kmalloc-64"),
        ("ps", "\"sysrq\" waits for sysrq"),
        ("ps", "I   0 "),
        ("interrupts", "Local timer interrupts"),
        ("timers", "clock source: "),
        ("list-pci", " class 060000 "),
        ("boot-info", "memory map:\n"),
        ("print-acpi", "APIC id 0, enabled"),
        ("dmesg 3", "] "),
        ("sleep 100000000", "sleeping for 100000000 ms"),
        ("timer 1", "a timer is set for 1 ms"),
    ] {
        let shown = shown(line);
        assert!(shown.contains(wanted), "{line} shows:\n{shown}");
    }
}

#[kernel_test]
fn a_prime_is_found_by_a_task() {
    struct Patient(Script);

    impl Console for Patient {
        fn write(&self, text: &str) {
            self.0.write(text);
        }
        fn read(&self) -> Option<u8> {
            None
        }
        fn is_interrupted(&self) -> bool {
            false
        }
        fn begin(&self) {}
        fn wait_until(&self, _deadline_ns: u64) -> bool {
            crate::sched::yield_now();
            false
        }
    }

    let console = Patient(Script::new(b"", 0));
    let mut state = State::new(Mode::Running);
    assert_eq!(session::run("prime sync 100", &mut state, &console, None), Next::Stay);
    assert!(console.0.take().contains("prime number 100 is 541\n"));
}

#[kernel_test]
fn a_page_waits_for_an_answer() {
    // One page, a line, and enough.
    let console = Script::new(b"x \rq", 5);
    let mut state = State::new(Mode::Running);
    state.paging = Paging::On(0);
    assert_eq!(session::run("help", &mut state, &console, None), Next::Stay);
    let text = console.take();
    assert_eq!(text.matches("-- more").count(), 3, "{text}");
    let lines = text.replace("-- more: space, enter, a: all, q: quit --\r\x1b[K", "");
    assert_eq!(lines.lines().count(), 9, "{lines}");
}

#[kernel_test]
fn lines_are_edited_kept_and_run() {
    let console = Script::new(b"hel\t page\r\x1b[A; history\rbogus\x03continue\r", 0);
    let mut state = State::new(Mode::Running);
    let mut editor = Box::new(Editor::new(session::PROMPT));
    session::run_interactively(&mut state, &console, &mut editor);
    let text = console.take();
    assert_eq!(text.matches("page [on|off|<rows>]\n").count(), 2, "{text}");
    assert!(text.contains("   1  help  page\n   2  help  page; history\n"), "{text}");
    assert!(!text.contains("there is no command"), "{text}");
    assert!(console.read().is_none());
}

#[kernel_test]
fn arguments_are_completed_by_what_they_are() {
    let candidates = |before: &str| {
        let mut found = Vec::new();
        Completion { mode: Mode::Running }
            .visit(before, &mut |candidate| found.push(String::from(candidate)));
        found
    };
    assert_eq!(candidates("").len(), COMMANDS.len());
    assert_eq!(candidates("ls /; he").len(), COMMANDS.len());
    assert_eq!(candidates("block r"), ["list", "read", "write", "id"]);
    assert_eq!(candidates("page "), ["on", "off"]);
    assert!(
        candidates("test ").iter().any(|test| test.ends_with("arguments_are_completed_by_what_they_are"))
    );
    assert!(candidates("history ").is_empty());
    assert!(candidates("bogus ").is_empty());
}

#[kernel_test]
fn after_a_panic_what_waits_is_refused() {
    let console = Script::new(b"", 0);
    let mut state = State::new(Mode::Panicked);
    for line in ["ls /", "sleep 1", "exec 1 /bin/sh", "test"] {
        assert_eq!(session::run(line, &mut state, &console, None), Next::Stay);
        assert!(console.take().contains("not after a panic"), "{line}");
    }
}

/// Those that end the system or the test, or begin work without end.
const LEFT_OUT: &[&str] =
    &["exit", "poweroff", "reboot", "panic", "continue", "test", "prime", "write-framebuffer"];

/// Pieces that arguments are made of.
const PIECES: &[&str] = &[
    "0",
    "1",
    "7",
    "63",
    "512",
    "4096",
    "-1",
    "0x",
    "0xffffffff80001000",
    "0xffff800000000000",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "list",
    "read",
    "write",
    "id",
    "ls",
    "cat",
    "bios",
    "sync",
    "async",
    "all",
    "on",
    "off",
    "/",
    "/..",
    "//",
    "/nothing/at/all",
    "",
    "\"",
    "'",
    "\"a b\"",
    "é",
    "\u{0}",
    "%s",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ";",
    "vda",
    "ram0",
    "/dev/vda",
];

#[kernel_test]
fn random_arguments_do_no_harm() {
    let level = crate::log::levels();
    let mut state = 0x5eed_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let chosen: Vec<_> = COMMANDS.iter().filter(|command| !LEFT_OUT.contains(&command.name)).collect();
    for _ in 0..3000 {
        let mut line = String::from(chosen[random(chosen.len())].name);
        for _ in 0..random(5) {
            line.push(' ');
            line.push_str(PIECES[random(PIECES.len())]);
        }
        let console = Script::new(b"q", 24);
        let mut monitor = State::new(Mode::Running);
        monitor.paging = Paging::On(10);
        assert_eq!(session::run(&line, &mut monitor, &console, None), Next::Stay, "{line}");
        drop(console.take());
    }
    crate::log::set_levels(level);
    assert!(table::find("help").is_some());
}
