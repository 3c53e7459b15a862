//! Recordings of programs, shown as another terminal shows them.
//!
//! `NAME.bytes` is what a program wrote to a terminal of 24 rows and 80 columns that called itself xterm-256color;
//! `NAME.screen` is what tmux showed for it: 24 lines without spaces at their ends, and the cursor's row and column.

use std::path::Path;
use terminal::{Host, Size, Terminal};

struct Nobody;

impl Host for Nobody {
    fn reply(&mut self, _bytes: &[u8]) {}
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let bytes = std::fs::read(folder.join(format!("{name}.bytes"))).expect("recorded");
    let expected = std::fs::read_to_string(folder.join(format!("{name}.screen"))).expect("recorded");
    // In one piece, and byte by byte.
    for length in [bytes.len(), 1] {
        let mut terminal = Terminal::new(Size { rows: 24, columns: 80 }, 100).expect("memory");
        bytes.chunks(length).for_each(|piece| terminal.feed(piece, &mut Nobody));
        let mut shown: String = (0..24).map(|row| terminal.text(row) + "\n").collect();
        let cursor = terminal.cursor();
        shown += &format!("cursor {} {}\n", cursor.row, cursor.column);
        assert_eq!(shown, expected, "{name} in pieces of {length}");
    }
}

#[test]
fn editors() {
    check("vi");
    check("vim");
}

#[test]
fn pagers() {
    check("less");
}

#[test]
fn screens_full_of_colours() {
    check("top");
    check("procps-top");
    check("whiptail");
}

#[test]
fn a_terminal_in_the_terminal() {
    check("tmux");
}
