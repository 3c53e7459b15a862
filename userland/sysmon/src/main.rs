//! A system monitor on the framebuffer: CPUs, memory and tasks, from /proc; `q` ends it.
//!
//! It draws with embedded-graphics in memory of its own and copies the rows that changed into /dev/fb0, which it has
//! mapped. On a virtual console it has the console draw nothing meanwhile; on any other terminal (a serial line, ssh)
//! it draws all the same. It runs on Linux too.

mod canvas;
mod figures;
mod sys;
mod view;

use std::io::{self, Read};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use canvas::Canvas;
use figures::Figures;
use sys::{Drawing, Framebuffer};
use view::View;

const USAGE: &str = "usage: sysmon [FRAMEBUFFER]    (default /dev/fb0; q ends it)";

/// Time from one picture to the next.
const PERIOD: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "/dev/fb0".into());
    if path.starts_with('-') || arguments.next().is_some() {
        eprintln!("{USAGE}");
        return if path == "--help" || path == "-h" { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match run(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sysmon: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: &str) -> io::Result<()> {
    let mut framebuffer = Framebuffer::open(path)?;
    let (width, height) = framebuffer.size();
    let _keyboard = Keyboard::new();
    let mut canvas = Canvas::new(width, height);
    let mut view = View::default();
    let mut earlier = Figures::default();
    loop {
        let now = Figures::read(&earlier);
        view.draw(&mut canvas, &earlier, &now);
        canvas.show(|y, pixels| framebuffer.write(y, pixels));
        earlier = now;
        if is_asked_to_end()? {
            return Ok(());
        }
    }
}

/// Waits for the next picture; tells whether `q` was typed, or nothing can be typed any more.
fn is_asked_to_end() -> io::Result<bool> {
    let stdin = stdin();
    let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut polled, Some(&PERIOD)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => {
            let mut bytes = [0; 64];
            let count = io::stdin().read(&mut bytes)?;
            Ok(count == 0 || bytes[..count].iter().any(|byte| matches!(byte, b'q' | b'Q' | 3)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The terminal, without line editing and echo, and the console without drawing; as before when dropped.
struct Keyboard {
    settings: Option<Termios>,
}

impl Keyboard {
    fn new() -> Self {
        let settings = tcgetattr(stdin()).ok();
        if let Some(settings) = &settings {
            let mut raw = settings.clone();
            raw.make_raw();
            // Who types on no terminal needs nothing of this.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &raw);
        }
        // Only virtual consoles draw.
        let _ = sys::set_drawing(stdin(), Drawing::Graphics);
        Self { settings }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = sys::set_drawing(stdin(), Drawing::Text);
        if let Some(settings) = &self.settings {
            let _ = tcsetattr(stdin(), OptionalActions::Now, settings);
        }
    }
}
