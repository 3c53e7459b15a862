//! Terminals on the serial lines: ttyS0 (COM1) to ttyS3.

use super::{Line, Tty};
use crate::device::random;
use crate::sysrq::Keys;
use abi::stat::DeviceNumber;
use abi::tty::{B115200, ControlFlags, Termios};
use alloc::{boxed::Box, format, sync::Arc};
use machine::io::serial::{Received, SerialPort};

const MAJOR: u32 = 4;
const FIRST_MINOR: u32 = 64;
const PORTS: usize = 4;

/// The line on which messages are printed before there is a console.
pub(super) const FIRST: &str = "ttyS0";

/// Makes a terminal of every serial line that answers.
pub(super) fn init() {
    for index in 0..PORTS {
        let Some(port) = SerialPort::open(index) else { continue };
        let port = Arc::new(port);
        let number = DeviceNumber::new(MAJOR, FIRST_MINOR + index as u32);
        let settings = Termios {
            cflag: B115200 | (ControlFlags::CSIZE | ControlFlags::CREAD | ControlFlags::CLOCAL).bits(),
            ..Termios::default()
        };
        let name = format!("ttyS{index}");
        let tty = Tty::new(name, number, settings, Box::new(SerialLine(port.clone())));
        super::add(tty.clone());
        let listener = tty.clone();
        let keys = Keys::new(index as u8);
        let receive = Box::new(move |received: Received<'_>| {
            random::add_time();
            match received {
                Received::Bytes(bytes) => tty.receive(keys.filter(bytes)),
                Received::Break => keys.arm(),
            }
        });
        if let Err(error) = port.start(receive, Box::new(move || listener.writable.wake_all())) {
            log::warn!("tty: ttyS{index} has no input, and its output is polled: interrupt {error:?}");
        }
    }
}

struct SerialLine(Arc<SerialPort>);

impl Line for SerialLine {
    fn write(&self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn room(&self) -> usize {
        self.0.room()
    }

    fn waiting(&self) -> usize {
        self.0.waiting()
    }
}
