//! The same bytes and settings given to Linux's own line discipline, through a pseudo-terminal: both must answer the
//! same. Linux works in the background, so each round waits until nothing more comes; that makes the test slow, and it
//! is run by name: `cargo test -p line-discipline -- --ignored`.
#![allow(clippy::unwrap_used, reason = "it is a test")]

use abi::tty::{InputFlags, LocalFlags, OutputFlags, Termios};
use line_discipline::{LineDiscipline, ReadOutcome, Sink};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr, tcsetattr,
};

/// All that can be read from a descriptor until 20 ms pass without anything; `None` marks an end of file.
fn drain(fd: &OwnedFd, chunk: usize) -> Vec<Option<Vec<u8>>> {
    let mut all = Vec::new();
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::IN)];
        let patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        if poll(&mut fds, Some(&patience)).unwrap() == 0 {
            return all;
        }
        let mut buffer = vec![0; chunk];
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => all.push(None),
            Ok(count) => all.push(Some(buffer[..count].to_vec())),
            Err(_) => return all,
        }
    }
}

/// What the screen is to show.
#[derive(Default)]
struct Screen(Vec<u8>);

impl Sink for Screen {
    fn put(&mut self, byte: u8) {
        self.0.push(byte);
    }
    fn discard(&mut self) {
        self.0.clear();
    }
}

fn apply(fd: &OwnedFd, termios: &Termios) {
    let mut theirs = tcgetattr(fd).unwrap();
    theirs.input_modes = InputModes::from_bits_retain(termios.iflag);
    theirs.output_modes = OutputModes::from_bits_retain(termios.oflag);
    theirs.local_modes = LocalModes::from_bits_retain(termios.lflag);
    theirs.special_codes[SpecialCodeIndex::VMIN] = 1;
    theirs.special_codes[SpecialCodeIndex::VTIME] = 0;
    theirs.special_codes[SpecialCodeIndex::VEOL] = b';';
    tcsetattr(fd, OptionalActions::Now, &theirs).unwrap();
}

#[test]
#[ignore = "slow: waits for Linux in each of thousands of steps"]
fn answers_are_those_of_linux() {
    let input = InputFlags::ISTRIP
        | InputFlags::INLCR
        | InputFlags::IGNCR
        | InputFlags::ICRNL
        | InputFlags::IXANY
        | InputFlags::IUTF8
        | InputFlags::IUCLC
        | InputFlags::PARMRK;
    let output = OutputFlags::all().difference(OutputFlags::OFILL | OutputFlags::OFDEL);
    let local = LocalFlags::all().difference(
        LocalFlags::FLUSHO
            | LocalFlags::PENDIN
            | LocalFlags::EXTPROC
            | LocalFlags::XCASE
            | LocalFlags::TOSTOP,
    );
    let alphabet =
        b"ab_ Z;\t\t\x01\x04\x04\x08\n\n\r\x0f\x12\x15\x16\x17\x17\x7f\x7f\x7f\xc3\xbc\xe2\x82\xac\xff\0";
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100u64);
    let first = std::env::var("FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    for seed in first..first + rounds {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&main).unwrap();
        unlockpt(&main).unwrap();
        let side = ioctl_tiocgptpeer(&main, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        fcntl_setfl(side.as_fd(), OFlags::NONBLOCK).unwrap();
        fcntl_setfl(main.as_fd(), OFlags::NONBLOCK).unwrap();

        let mut termios = Termios::default();
        termios.cc[abi::tty::VEOL] = b';';
        if random(4) != 0 {
            termios.iflag = random(1 << 16) as u32 & input.bits();
            termios.oflag = random(1 << 16) as u32 & output.bits();
            termios.lflag = random(1 << 17) as u32 & local.bits();
            if random(3) != 0 {
                termios.lflag |= (LocalFlags::ICANON | LocalFlags::ECHO).bits();
            }
            // TABDLY is one choice of four; only none and XTABS make sense.
            if random(2) == 0 {
                termios.oflag &= !OutputFlags::TABDLY.bits();
            } else {
                termios.oflag |= OutputFlags::TABDLY.bits();
            }
        }
        apply(&side, &termios);
        let mut ours = LineDiscipline::new(termios);
        let mut history =
            format!("seed {seed} {:?} {:?} {:?}\n", termios.input(), termios.output(), termios.local());
        for _ in 0..random(6) + 2 {
            let mut text: Vec<u8> =
                (0..random(12)).map(|_| alphabet[random(alphabet.len() as u64) as usize]).collect();
            // Linux forgets the echo of what came in one piece before a signal: so a signal comes first.
            if random(6) == 0 {
                text.insert(0, b"\x03\x1a\x1c"[random(3) as usize]);
            }
            let mut screen = Screen::default();
            let step = random(8);
            if step == 0 {
                rustix::io::write(&side, &text).unwrap();
                ours.write(&text, usize::MAX, &mut screen);
            } else if step == 1 {
                termios.lflag ^= LocalFlags::ICANON.bits();
                apply(&side, &termios);
                ours.set_termios(termios);
            } else {
                rustix::io::write(&main, &text).unwrap();
                for &byte in &text {
                    ours.receive(byte, &mut screen).unwrap();
                }
            }
            history += &format!("step {step}: {:?}\n", String::from_utf8_lossy(&text));
            // As long as Linux lags behind, up to a second.
            let mut echo: Vec<u8> = Vec::new();
            let mut readable = 0;
            for _ in 0..50 {
                echo.extend(drain(&main, 4096).into_iter().flatten().flatten());
                readable = rustix::io::ioctl_fionread(&side).unwrap() as usize;
                if echo.len() >= screen.0.len() && readable == ours.readable_bytes() {
                    break;
                }
            }
            assert_eq!(String::from_utf8_lossy(&echo), String::from_utf8_lossy(&screen.0), "echo; {history}");
            assert_eq!(readable, ours.readable_bytes(), "{history}");
            if random(2) == 0 {
                let chunk = [4096, 1, 3, 5][random(4) as usize];
                history += &format!("read by {chunk}\n");
                let theirs = drain(&side, chunk);
                let mut own = Vec::new();
                loop {
                    let mut buffer = vec![0; chunk];
                    match ours.read(&mut buffer) {
                        ReadOutcome::Data(count) => own.push(Some(buffer[..count].to_vec())),
                        ReadOutcome::EndOfFile => own.push(None),
                        ReadOutcome::Empty => break,
                    }
                }
                assert_eq!(theirs, own, "read; {history}");
            }
        }
    }
}
