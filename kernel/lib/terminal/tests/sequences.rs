//! What single sequences do, after ECMA-48, the VT510's manual and xterm.

use terminal::{Attributes, Color, Host, Modes, Position, Size, Terminal};

#[derive(Default)]
struct Program {
    replies: Vec<u8>,
    bells: usize,
    title: String,
}

impl Host for Program {
    fn reply(&mut self, bytes: &[u8]) {
        self.replies.extend(bytes);
    }
    fn bell(&mut self) {
        self.bells += 1;
    }
    fn title(&mut self, title: &str) {
        self.title = title.into();
    }
}

fn shown(rows: usize, columns: usize, bytes: &str) -> (Terminal, Program) {
    let mut terminal = Terminal::new(Size { rows, columns }, 4).expect("memory");
    let mut program = Program::default();
    terminal.feed(bytes.as_bytes(), &mut program);
    (terminal, program)
}

fn text(terminal: &Terminal) -> Vec<String> {
    (0..terminal.size().rows).map(|row| terminal.text(row)).collect()
}

#[track_caller]
fn check(rows: usize, columns: usize, bytes: &str, expected: &[&str]) {
    assert_eq!(text(&shown(rows, columns, bytes).0), expected, "after {bytes:?}");
}

#[test]
fn text_wraps_late() {
    let (terminal, _) = shown(3, 4, "abcd");
    assert_eq!(terminal.cursor(), Position { row: 0, column: 3 });
    check(3, 4, "abcde", &["abcd", "e", ""]);
    check(3, 4, "abcd\r\ne", &["abcd", "e", ""]);
    check(3, 4, "\x1b[?7labcdefg", &["abcg", "", ""]);
    check(3, 4, "abcd\x08x", &["abxd", "", ""]);
}

#[test]
fn lines_that_leave_the_screen_are_history() {
    let (mut terminal, _) = shown(2, 8, "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8");
    assert_eq!(text(&terminal), ["7", "8"]);
    assert_eq!(terminal.history(), 4);
    terminal.scroll_view(3);
    assert_eq!(text(&terminal), ["4", "5"]);
    assert!(!terminal.is_cursor_shown());
    terminal.scroll_view(9);
    assert_eq!((text(&terminal), terminal.view()), (vec!["3".into(), "4".into()], 4));
    terminal.feed(b"!", &mut Program::default());
    assert_eq!(text(&terminal), ["7", "8!"]);
    terminal.feed(b"\x1b[3J", &mut Program::default());
    assert_eq!(terminal.history(), 0);
}

#[test]
fn margins_confine_scrolling() {
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3;1H\n", &["a", "c", "", "d"]);
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[2;1H\x1bM", &["a", "", "b", "d"]);
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[2;1H\x1b[L", &["a", "", "b", "c"]);
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[2;1H\x1b[2M", &["a", "d", "", ""]);
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[S", &["b", "c", "d", ""]);
    check(4, 4, "a\r\nb\r\nc\r\nd\x1b[2T", &["", "", "a", "b"]);
    // A region of one line is none.
    check(3, 4, "a\r\nb\r\nc\x1b[2;2r\x1b[3;1H\n", &["b", "c", ""]);
}

#[test]
fn side_margins_confine_lines() {
    let fill = "abcd\r\nefgh\r\nijkl\x1b[?69h\x1b[2;3s";
    check(3, 4, &format!("{fill}\x1b[3;2H\n"), &["afgd", "ejkh", "i  l"]);
    check(3, 4, &format!("{fill}\x1b[1;2H\x1b[P"), &["ac d", "efgh", "ijkl"]);
    check(3, 4, &format!("{fill}\x1b[1;2H\x1b[@"), &["a bd", "efgh", "ijkl"]);
    check(3, 4, &format!("{fill}\x1b[1;2Hxyz"), &["axyd", "ezgh", "ijkl"]);
    check(3, 4, &format!("{fill}\x1b[?69l\x1b[3;1H\n"), &["efgh", "ijkl", ""]);
}

#[test]
fn the_cursor_moves_within_its_bounds() {
    for (bytes, row, column) in [
        ("\x1b[3;4H", 2, 3),
        ("\x1b[99;99H", 4, 9),
        ("\x1b[3;4H\x1b[A", 1, 3),
        ("\x1b[3;4H\x1b[9B", 4, 3),
        ("\x1b[3;4H\x1b[2C", 2, 5),
        ("\x1b[3;4H\x1b[9D", 2, 0),
        ("\x1b[3;4H\x1b[E", 3, 0),
        ("\x1b[3;4H\x1b[2F", 0, 0),
        ("\x1b[3;4H\x1b[8G", 2, 7),
        ("\x1b[3;4H\x1b[5d", 4, 3),
        ("\x1b[2;4r\x1b[3;1H\x1b[9A", 1, 0),
        ("\x1b[2;4r\x1b[3;1H\x1b[9B", 3, 0),
        ("\x1b[2;4r\x1b[5;1H\x1b[9A", 1, 0),
        ("\x1b[2;4r\x1b[?6h\x1b[2;2H", 2, 1),
        ("\x1b[2;4r\x1b[?6h\x1b[9;2H", 3, 1),
        ("\t", 0, 8),
        ("\x1b[5G\x1bH\r\t", 0, 4),
        ("\x1b[9G\x1b[g\r\t", 0, 9),
        ("\x1b[9G\x1b[Z", 0, 0),
        ("\x1b[3;4H\x1b7\x1b[H\x1b8", 2, 3),
        ("\x1b[3;4H\x1b[s\x1b[H\x1b[u", 2, 3),
        ("\x1b[3;4H\x1bE", 3, 0),
        ("\x1b[20h\x1b[1;4H\n", 1, 0),
        ("\x1b[?45h\x1b[2;1H\x08", 0, 9),
    ] {
        let (terminal, _) = shown(5, 10, bytes);
        assert_eq!(terminal.cursor(), Position { row, column }, "after {bytes:?}");
    }
}

#[test]
fn erasing_and_shifting() {
    check(1, 6, "abcdef\x1b[3G\x1b[K", &["ab"]);
    check(1, 6, "abcdef\x1b[3G\x1b[1K", &["   def"]);
    check(1, 6, "abcdef\x1b[3G\x1b[2X", &["ab  ef"]);
    check(1, 6, "abcdef\x1b[3G\x1b[2P", &["abef"]);
    check(1, 6, "abcdef\x1b[3G\x1b[2@", &["ab  cd"]);
    check(1, 6, "abc\x1b[1G\x1b[4hx\x1b[4ly", &["xybc"]);
    check(1, 6, "a\x1b[4b", &["aaaaa"]);
    check(3, 2, "a\r\nb\r\nc\x1b[2;1H\x1b[J", &["a", "", ""]);
    check(3, 2, "a\r\nb\r\nc\x1b[2;1H\x1b[1J", &["", "", "c"]);
    check(3, 2, "a\r\nb\r\nc\x1b[2J", &["", "", ""]);
    check(2, 3, "\x1b#8", &["EEE", "EEE"]);
    // Selective erasing spares what is protected.
    check(1, 6, "a\x1b[1\"qb\x1b[0\"qc\x1b[?2K", &[" b"]);
}

#[test]
fn wide_characters_take_two_cells_and_go_as_a_whole() {
    check(1, 6, "日本x", &["日本x"]);
    check(1, 6, "日本\x1b[2GX", &[" X本"]);
    check(1, 6, "日本\x1b[1GX", &["X 本"]);
    check(2, 3, "ab日", &["ab", "日"]);
    check(1, 6, "a日b\x1b[1G\x1b[2P", &[" b"]);
    check(1, 6, "a日b\x1b[1G\x1b[@", &[" a日b"]);
    let (terminal, _) = shown(1, 6, "日");
    assert_eq!(terminal.cursor().column, 2);
    assert!(terminal.row(0)[0].style.attributes.contains(Attributes::WIDE));
    assert!(terminal.row(0)[1].style.attributes.contains(Attributes::CONTINUATION));
}

#[test]
fn rendition() {
    let style = |bytes: &str| shown(1, 4, &format!("{bytes}x")).0.row(0)[0].style;
    assert_eq!(style("\x1b[31;42m").foreground, Color::Indexed(1));
    assert_eq!(style("\x1b[31;42m").background, Color::Indexed(2));
    assert_eq!(style("\x1b[95m").foreground, Color::Indexed(13));
    assert_eq!(style("\x1b[38;5;200m").foreground, Color::Indexed(200));
    assert_eq!(style("\x1b[38;2;1;2;3;4m").foreground, Color::Rgb(1, 2, 3));
    assert!(style("\x1b[38;2;1;2;3;4m").attributes.contains(Attributes::UNDERLINE));
    assert_eq!(style("\x1b[48:2::1:2:3m").background, Color::Rgb(1, 2, 3));
    assert_eq!(style("\x1b[48:2:1:2:3m").background, Color::Rgb(1, 2, 3));
    assert_eq!(style("\x1b[38;5;300m").foreground, Color::Default);
    assert_eq!(style("\x1b[1;3;4;5;7;8;9m").attributes.iter().count(), 7);
    assert_eq!(style("\x1b[1;3;4;5;7;8;9m\x1b[22;23;24;25;27;28;29m").attributes, Attributes::empty());
    assert_eq!(style("\x1b[4:2m").attributes, Attributes::DOUBLE_UNDERLINE);
    assert_eq!(style("\x1b[1;31m\x1b[m"), terminal::Style::default());
    // What is erased takes the background.
    assert_eq!(shown(1, 4, "\x1b[44m\x1b[K").0.row(0)[3].style.background, Color::Indexed(4));
}

#[test]
fn character_sets() {
    check(1, 8, "\x1b(0lqk\x1b(Bq", &["┌─┐q"]);
    check(1, 8, "\x1b)0a\x0eq\x0fq", &["a─q"]);
    check(1, 8, "\x1b*0\x1bNqq", &["─q"]);
    check(1, 8, "\x1b(A#", &["£"]);
}

#[test]
fn the_alternate_screen_leaves_the_first_alone() {
    let (mut terminal, mut program) = shown(2, 8, "one\x1b[?1049htwo");
    assert_eq!(text(&terminal), ["   two", ""]);
    assert!(terminal.modes().contains(Modes::ALTERNATE));
    terminal.feed(b"\n\n\n\x1b[?1049l!", &mut program);
    assert_eq!(text(&terminal), ["one!", ""]);
    assert_eq!(terminal.history(), 0);
}

#[test]
fn questions_are_answered() {
    let answer = |bytes: &str| String::from_utf8(shown(5, 10, bytes).1.replies).expect("UTF-8");
    assert_eq!(answer("\x1b[3;4H\x1b[6n"), "\x1b[3;4R");
    assert_eq!(answer("\x1b[2;4r\x1b[?6h\x1b[2;3H\x1b[6n"), "\x1b[2;3R");
    assert_eq!(answer("\x1b[5n"), "\x1b[0n");
    assert_eq!(answer("\x1b[c"), "\x1b[?64;6;15;22c");
    assert_eq!(answer("\x1b[>c"), "\x1b[>41;0;0c");
    assert_eq!(
        answer("\x1b[?7$p\x1b[?7l\x1b[?7$p\x1b[?999$p\x1b[4$p"),
        "\x1b[?7;1$y\x1b[?7;2$y\x1b[?999;0$y\x1b[4;2$y"
    );
    assert_eq!(answer("\x1b[18t"), "\x1b[8;5;10t");
    let (_, program) = shown(1, 1, "\x07\x1b]0;a title\x07\x1b]2;another\x1b\\");
    assert_eq!((program.bells, program.title.as_str()), (1, "another"));
}

#[test]
fn resets() {
    let (terminal, _) = shown(3, 4, "a\r\nb\x1b[2;3r\x1b[?7l\x1b[31m\x1b[!p\x1b[3;1Hwxyz\n");
    assert_eq!(text(&terminal), ["b", "wxyz", ""]);
    let (terminal, _) = shown(3, 4, "a\x1b[?1049h\x1b[31mb\x1bcx");
    assert_eq!(text(&terminal), ["x", "", ""]);
    assert_eq!(terminal.row(0)[0].style, terminal::Style::default());
}

#[test]
fn a_new_size_keeps_the_cursor_in_sight() {
    let (mut terminal, mut program) = shown(4, 6, "1\r\n2\r\n3\r\nabcdef");
    terminal.resize(Size { rows: 2, columns: 3 }).expect("memory");
    assert_eq!(text(&terminal), ["3", "abc"]);
    assert_eq!((terminal.history(), terminal.cursor()), (2, Position { row: 1, column: 2 }));
    terminal.resize(Size { rows: 5, columns: 8 }).expect("memory");
    assert_eq!(text(&terminal), ["3", "abc", "", "", ""]);
    terminal.scroll_view(9);
    assert_eq!(text(&terminal)[..2], ["1", "2"]);
    terminal.feed(b"\x1b[5;8Hx", &mut program);
    assert_eq!(terminal.text(4), "       x");
}

#[test]
fn damage_is_what_changed() {
    let (mut terminal, mut program) = shown(3, 8, "");
    for row in 0..3 {
        assert_eq!(terminal.take_damage(row), 0..8);
        assert!(terminal.take_damage(row).is_empty());
    }
    terminal.feed(b"\x1b[2;3Hab\x1b[2;7Hc", &mut program);
    assert!(terminal.take_damage(0).is_empty());
    assert_eq!(terminal.take_damage(1), 2..7);
    terminal.feed(b"\x1b[3;1H\n", &mut program);
    assert_eq!(terminal.take_damage(0), 0..8);
}

/// Whatever comes, nothing panics, the cursor stays on the screen, and wide characters have both halves.
#[test]
fn any_bytes_are_survived() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % bound
    };
    let pieces: [&str; 20] = [
        "\x1b[",
        "\x1b",
        "?",
        ";",
        "m",
        "H",
        "日",
        "é",
        "\n",
        "\r",
        "\t",
        "\x08",
        "\x1b[?69h",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b]0;",
        "\x07",
        "\x1b[4h",
        "\u{301}",
        "\x1b[?6h",
    ];
    for round in 0..300 {
        let size = Size { rows: 1 + random(6), columns: 1 + random(9) };
        let mut terminal = Terminal::new(size, random(5)).expect("memory");
        let mut program = Program::default();
        for _ in 0..400 {
            match random(8) {
                0 => terminal.feed(&[random(256) as u8], &mut program),
                1 => terminal.feed(format!("\x1b[{};{}", random(12), random(12)).as_bytes(), &mut program),
                2 => terminal.feed(&[b'@' + random(63) as u8], &mut program),
                3 if random(20) == 0 => {
                    terminal.resize(Size { rows: 1 + random(6), columns: 1 + random(9) }).expect("memory")
                }
                4 => terminal.scroll_view(random(9) as isize - 4),
                _ => terminal.feed(pieces[random(pieces.len())].as_bytes(), &mut program),
            }
            let Size { rows, columns } = terminal.size();
            let cursor = terminal.cursor();
            assert!(cursor.row < rows && cursor.column < columns, "round {round}");
            for row in 0..rows {
                let has = |column: usize, what| {
                    terminal.row(row).get(column).is_some_and(|cell| cell.style.attributes.contains(what))
                };
                for column in 0..columns {
                    assert_eq!(
                        has(column, Attributes::WIDE),
                        has(column + 1, Attributes::CONTINUATION),
                        "round {round}: half a character at {row}, {column}"
                    );
                }
                assert!(!has(0, Attributes::CONTINUATION), "round {round}: a right half alone");
            }
        }
    }
}
