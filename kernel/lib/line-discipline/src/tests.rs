//! Tests: what is typed, what the screen shows, what a program reads.

extern crate std;
use super::*;
use abi::tty::OutputFlags;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Types bytes; returns echo and events.
fn receive(tty: &mut LineDiscipline, bytes: &[u8]) -> (String, Vec<Event>) {
    let (mut echo, mut events) = (Vec::new(), Vec::new());
    for &byte in bytes {
        events.extend(tty.receive(byte, &mut |byte| echo.push(byte)).expect("room"));
    }
    (String::from_utf8(echo).unwrap(), events)
}

fn read(tty: &mut LineDiscipline) -> Result<String, ReadOutcome> {
    let mut buffer = [0; 8192];
    match tty.read(&mut buffer) {
        ReadOutcome::Data(count) => Ok(String::from_utf8(buffer[..count].to_vec()).unwrap()),
        other => Err(other),
    }
}

fn written(tty: &mut LineDiscipline, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    assert_eq!(tty.write(bytes, usize::MAX, &mut |byte| out.push(byte)), bytes.len());
    String::from_utf8(out).unwrap()
}

fn with_local(change: impl Fn(LocalFlags) -> LocalFlags) -> LineDiscipline {
    let mut termios = Termios::default();
    termios.lflag = change(termios.local()).bits();
    LineDiscipline::new(termios)
}

fn with_input(flags: InputFlags) -> LineDiscipline {
    LineDiscipline::new(Termios { iflag: flags.bits(), ..Termios::default() })
}

#[test]
fn a_line_is_read_when_it_is_complete() {
    let mut tty = LineDiscipline::default();
    assert_eq!(receive(&mut tty, b"ls -l").0, "ls -l");
    assert!(!tty.can_read());
    assert_eq!(read(&mut tty), Err(ReadOutcome::Empty));
    assert_eq!(receive(&mut tty, b"\rnext").0, "\r\nnext");
    assert_eq!(tty.readable_bytes(), 6);
    assert_eq!(read(&mut tty), Ok("ls -l\n".into()));
    assert_eq!(read(&mut tty), Err(ReadOutcome::Empty));
}

#[test]
fn a_short_buffer_takes_a_line_in_parts() {
    let mut tty = LineDiscipline::default();
    receive(&mut tty, b"abc\nd\n");
    let mut buffer = [0; 3];
    assert_eq!(tty.read(&mut buffer), ReadOutcome::Data(3));
    assert_eq!(read(&mut tty), Ok("\n".into()));
    assert_eq!(read(&mut tty), Ok("d\n".into()));
    assert_eq!(tty.read(&mut []), ReadOutcome::Data(0));
}

#[test]
fn erase_word_and_kill_rub_out() {
    let mut tty = LineDiscipline::default();
    assert_eq!(receive(&mut tty, b"ab\x7f").0, "ab\x08 \x08");
    assert_eq!(receive(&mut tty, b"\x01\x7f").0, "^A\x08 \x08\x08 \x08");
    assert_eq!(
        receive(&mut tty, b" foo_1 \x17").0,
        " foo_1 \x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08"
    );
    assert_eq!(receive(&mut tty, b"\x15").0, "\x08 \x08\x08 \x08");
    assert_eq!(receive(&mut tty, b"\x7f").0, "");
    receive(&mut tty, b"ok\n");
    assert_eq!(read(&mut tty), Ok("ok\n".into()));
}

#[test]
fn erasing_a_tab_goes_back_to_where_it_began() {
    let mut tty = LineDiscipline::default();
    written(&mut tty, b"$ ");
    assert_eq!(receive(&mut tty, b"ab\t\x7f").0, "ab\t\x08\x08\x08\x08");
    assert_eq!(receive(&mut tty, b"\t\tc\x7f\x7f").0, "\t\tc\x08 \x08\x08\x08\x08\x08\x08\x08\x08\x08");
}

#[test]
fn utf8_characters_are_erased_whole() {
    let mut tty = with_input(InputFlags::ICRNL | InputFlags::IUTF8);
    assert_eq!(receive(&mut tty, "aü€\x7f\x7f".as_bytes()).0, "aü€\x08 \x08\x08 \x08");
    receive(&mut tty, b"\n");
    assert_eq!(read(&mut tty), Ok("a\n".into()));
}

#[test]
fn end_of_file_ends_a_read_in_the_middle_of_a_line() {
    let mut tty = LineDiscipline::default();
    assert_eq!(receive(&mut tty, b"abc\x04").0, "abc");
    assert_eq!(tty.readable_bytes(), 3);
    assert_eq!(read(&mut tty), Ok("abc".into()));
    assert_eq!(read(&mut tty), Err(ReadOutcome::Empty));
    receive(&mut tty, b"\x04");
    assert!(tty.can_read());
    assert_eq!(read(&mut tty), Err(ReadOutcome::EndOfFile));
    assert_eq!(read(&mut tty), Err(ReadOutcome::Empty));
    // Directly behind a full buffer it is no end of file of its own.
    receive(&mut tty, b"abc\x04");
    assert_eq!(tty.read(&mut [0; 3]), ReadOutcome::Data(3));
    assert_eq!(read(&mut tty), Err(ReadOutcome::Empty));
}

#[test]
fn signals_drop_the_input() {
    let mut tty = LineDiscipline::default();
    let (echo, events) = receive(&mut tty, b"ab\x03");
    assert_eq!(echo, "ab^C");
    assert_eq!(events, [Event::Signal(Signal::SIGINT)]);
    assert_eq!(receive(&mut tty, b"\x1a").1, [Event::Signal(Signal::SIGTSTP)]);
    receive(&mut tty, b"c\n");
    assert_eq!(read(&mut tty), Ok("c\n".into()));
    let mut tty = with_local(|flags| flags | LocalFlags::NOFLSH);
    assert_eq!(receive(&mut tty, b"ab\x1c").1, [Event::Signal(Signal::SIGQUIT)]);
    receive(&mut tty, b"\n");
    assert_eq!(read(&mut tty), Ok("ab\n".into()));
}

#[test]
fn a_literal_character_has_no_meaning() {
    let mut tty = LineDiscipline::default();
    let (echo, events) = receive(&mut tty, b"\x16\x03\x16\x04\n");
    assert_eq!((echo.as_str(), events), ("^\x08^C^\x08^D\r\n", vec![]));
    assert_eq!(read(&mut tty), Ok("\x03\x04\n".into()));
}

#[test]
fn flow_control_stops_and_starts() {
    let mut tty = LineDiscipline::default();
    assert_eq!(receive(&mut tty, b"\x13\x13").1, [Event::Stopped]);
    assert!(tty.is_stopped());
    assert_eq!(receive(&mut tty, b"\x11").1, [Event::Started]);
    tty.hold();
    receive(&mut tty, b"\x11");
    assert!(tty.is_stopped());
    tty.release();
    assert!(!tty.is_stopped());
    receive(&mut tty, b"\x13");
    tty.set_termios(Termios { iflag: 0, ..Termios::default() });
    assert!(!tty.is_stopped());
    let mut tty = with_input(InputFlags::IXON | InputFlags::IXANY);
    assert_eq!(receive(&mut tty, b"\x13x").1, [Event::Stopped, Event::Started]);
}

#[test]
fn reprint_shows_the_line_again() {
    let mut tty = LineDiscipline::default();
    assert_eq!(receive(&mut tty, b"a\x01b\x12").0, "a^Ab^R\r\na^Ab");
}

#[test]
fn raw_mode_passes_bytes_at_once() {
    let mut tty = with_local(|_| LocalFlags::empty());
    assert_eq!(receive(&mut tty, b"a\x03\x7f").0, "");
    assert_eq!(read(&mut tty), Ok("a\x03\x7f".into()));
    assert!(!tty.is_ready());
    let mut termios = *tty.termios();
    termios.cc[VMIN] = 3;
    tty.set_termios(termios);
    receive(&mut tty, b"ab");
    assert!(tty.can_read() && !tty.is_ready());
    receive(&mut tty, b"c");
    assert!(tty.is_ready());
}

#[test]
fn switching_modes_keeps_what_was_typed() {
    let mut tty = LineDiscipline::default();
    receive(&mut tty, b"half a li");
    let canonical = *tty.termios();
    tty.set_termios(Termios { lflag: 0, ..canonical });
    assert_eq!(tty.readable_bytes(), 9);
    tty.set_termios(canonical);
    assert_eq!(read(&mut tty), Ok("half a li".into()));
}

#[test]
fn long_lines_keep_room_for_their_end() {
    let mut tty = LineDiscipline::default();
    receive(&mut tty, &[b'a'; 5000]);
    receive(&mut tty, b"\n");
    let line = read(&mut tty).unwrap();
    assert_eq!((line.len(), line.as_bytes()[4095]), (4096, b'\n'));
    let mut raw = with_local(|_| LocalFlags::empty());
    receive(&mut raw, &[b'a'; 4095]);
    assert_eq!(raw.receive(b'b', &mut |_| {}), Err(Full));
    assert_eq!(raw.readable_bytes(), 4095);
}

#[test]
fn output_is_treated() {
    let mut tty = LineDiscipline::default();
    assert_eq!(written(&mut tty, b"a\nb\tc\r"), "a\r\nb\tc\r");
    let flags = OutputFlags::OPOST | OutputFlags::TABDLY | OutputFlags::OCRNL | OutputFlags::OLCUC;
    tty.set_termios(Termios { oflag: flags.bits(), ..Termios::default() });
    assert_eq!(written(&mut tty, b"ab\tc\r"), "AB      C\n");
    let flags = OutputFlags::OPOST | OutputFlags::ONOCR;
    let mut tty = LineDiscipline::new(Termios { oflag: flags.bits(), ..Termios::default() });
    assert_eq!(written(&mut tty, b"\ra\r\r"), "a\r");
    let mut tty = LineDiscipline::new(Termios { oflag: 0, ..Termios::default() });
    assert_eq!(written(&mut tty, b"a\n\t"), "a\n\t");
}

#[test]
fn output_stops_where_the_room_ends() {
    let mut tty = LineDiscipline::default();
    let mut out = Vec::new();
    assert_eq!(tty.write(b"ab\ncd", 3, &mut |byte| out.push(byte)), 2);
    assert_eq!(out, b"ab");
    assert_eq!(tty.write(b"\ncd", 3, &mut |byte| out.push(byte)), 2);
    assert_eq!(out, b"ab\r\nc");
}

/// Raw, with these input flags: what a program reads of a break, a damaged `a`, a damaged and a good 0xff.
fn marks(flags: InputFlags) -> (Vec<u8>, Vec<Event>) {
    let mut tty = LineDiscipline::new(Termios { iflag: flags.bits(), lflag: 0, ..Termios::default() });
    let mut ignored = |_| {};
    let mut events = Vec::new();
    events.extend(tty.receive_break(&mut ignored).expect("room"));
    events.extend(tty.receive_damaged(b'a', &mut ignored).expect("room"));
    events.extend(tty.receive_damaged(0xff, &mut ignored).expect("room"));
    events.extend(tty.receive(0xff, &mut ignored).expect("room"));
    let mut buffer = [0; 64];
    match tty.read(&mut buffer) {
        ReadOutcome::Data(count) => (buffer[..count].to_vec(), events),
        other => panic!("{other:?}"),
    }
}

/// The table is that of POSIX.1, 11.2.2 (Input Modes).
#[test]
fn breaks_and_damaged_bytes_are_marked_as_the_settings_say() {
    use InputFlags as I;
    let none = Vec::new;
    assert_eq!(marks(I::empty()), (vec![0, b'a', 0xff, 0xff], none()));
    assert_eq!(marks(I::INPCK), (vec![0, 0, 0, 0xff], none()));
    assert_eq!(marks(I::INPCK | I::IGNPAR), (vec![0, 0xff], none()));
    assert_eq!(marks(I::IGNPAR), (vec![0, b'a', 0xff, 0xff], none()));
    assert_eq!(
        marks(I::INPCK | I::PARMRK),
        (vec![0xff, 0, 0, 0xff, 0, b'a', 0xff, 0, 0xff, 0xff, 0xff], none())
    );
    // A good byte 0xff is doubled, so that it is no mark; stripped it is none anyway.
    assert_eq!(marks(I::PARMRK), (vec![0xff, 0, 0, b'a', 0xff, 0xff, 0xff, 0xff], none()));
    assert_eq!(marks(I::ISTRIP | I::PARMRK), (vec![0xff, 0, 0, b'a', 0x7f, 0x7f], none()));
    assert_eq!(marks(I::IGNBRK | I::BRKINT | I::INPCK | I::IGNPAR | I::PARMRK), (vec![0xff, 0xff], none()));
    assert_eq!(marks(I::BRKINT), (vec![b'a', 0xff, 0xff], vec![Event::Signal(Signal::SIGINT)]));
}

/// No sequence of bytes, settings and reads panics or makes the figures disagree.
#[test]
fn random_use_keeps_the_figures_right() {
    for seed in 1..=60u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut tty = LineDiscipline::default();
        for _ in 0..5000 {
            match random(200) {
                0 => {
                    let mut termios = Termios { iflag: random(1 << 15) as u32, ..Termios::default() };
                    termios.oflag = random(1 << 13) as u32;
                    termios.lflag = random(1 << 17) as u32;
                    tty.set_termios(termios);
                }
                1..=4 => {
                    let mut buffer = vec![0; random(100) as usize];
                    let (could, ready, len) = (tty.can_read(), tty.readable_bytes(), buffer.len());
                    match tty.read(&mut buffer) {
                        ReadOutcome::Data(count) => assert!(count <= ready && (could || len == 0)),
                        ReadOutcome::EndOfFile => assert!(could),
                        ReadOutcome::Empty => assert!(!could),
                    }
                }
                5 => {
                    let _ = tty.receive_break(&mut |_| {});
                    let _ = tty.receive_damaged(random(256) as u8, &mut |_| {});
                }
                _ => {
                    let byte = [3, 4, 8, 9, 10, 13, 17, 18, 19, 21, 22, 23, 127, 255, b'a', 0xc3, 0x80, b' ']
                        [random(18) as usize];
                    let _ = tty.receive(byte, &mut |_| {});
                }
            }
            assert!(tty.readable_bytes() <= CAPACITY);
        }
    }
}
