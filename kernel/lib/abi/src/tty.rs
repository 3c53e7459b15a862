//! Terminals: termios, window size, ioctl numbers of terminals and block devices.
//!
//! The kernel's termios has 19 control characters and no speed fields (36 bytes); the C library's has 32. Source:
//! termios(3), ioctl_tty(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// How input is treated (`c_iflag`).
    InputFlags: u32, like linux_raw_sys::general;
    IGNBRK = 0x1, "Ignore a break.";
    BRKINT = 0x2, "A break sends SIGINT.";
    IGNPAR = 0x4, "Ignore bytes with parity errors.";
    PARMRK = 0x8, "Mark parity errors.";
    INPCK = 0x10, "Check parity.";
    ISTRIP = 0x20, "Strip the eighth bit.";
    INLCR = 0x40, "Newline becomes carriage return.";
    IGNCR = 0x80, "Ignore carriage return.";
    ICRNL = 0x100, "Carriage return becomes newline.";
    IUCLC = 0x200, "Upper case becomes lower case.";
    IXON = 0x400, "Stop and start output by characters.";
    IXANY = 0x800, "Any character starts output.";
    IXOFF = 0x1000, "Stop and start the sender.";
    IMAXBEL = 0x2000, "Ring the bell when the queue is full.";
    IUTF8 = 0x4000, "Input is UTF-8: erase whole characters.";
}

flags! {
    /// How output is treated (`c_oflag`).
    OutputFlags: u32, like linux_raw_sys::general;
    OPOST = 0x1, "Treat output at all.";
    OLCUC = 0x2, "Lower case becomes upper case.";
    ONLCR = 0x4, "Newline becomes carriage return and newline.";
    OCRNL = 0x8, "Carriage return becomes newline.";
    ONOCR = 0x10, "No carriage return in column 0.";
    ONLRET = 0x20, "Newline also returns the carriage.";
    OFILL = 0x40, "Fill characters instead of delays.";
    OFDEL = 0x80, "The fill character is DEL.";
    TABDLY = 0x1800, "Tab delay; all bits set (`XTABS`) expand tabs to spaces.";
}

flags! {
    /// The line itself (`c_cflag`).
    ControlFlags: u32, like linux_raw_sys::general;
    CBAUD = 0x100f, "The bits of the speed.";
    CSIZE = 0x30, "The bits of the character size; all set: 8 bits.";
    CSTOPB = 0x40, "Two stop bits.";
    CREAD = 0x80, "Receive.";
    PARENB = 0x100, "Parity.";
    PARODD = 0x200, "Odd parity.";
    HUPCL = 0x400, "Hang up on last close.";
    CLOCAL = 0x800, "Ignore modem lines.";
    CMSPAR = 0x4000_0000, "Mark or space parity.";
    CRTSCTS = 0x8000_0000, "Hardware flow control.";
}

flags! {
    /// What the terminal does for the program (`c_lflag`).
    LocalFlags: u32, like linux_raw_sys::general;
    ISIG = 0x1, "Some characters send signals.";
    ICANON = 0x2, "Line by line, with editing.";
    XCASE = 0x4, "Unused.";
    ECHO = 0x8, "Echo input.";
    ECHOE = 0x10, "Erase rubs out on the screen.";
    ECHOK = 0x20, "Kill ends the line on the screen.";
    ECHONL = 0x40, "Echo newline even without `ECHO`.";
    NOFLSH = 0x80, "Signals do not flush the queues.";
    TOSTOP = 0x100, "Background output stops the writer.";
    ECHOCTL = 0x200, "Control characters echo as ^X.";
    ECHOPRT = 0x400, "Print what is erased (paper terminals).";
    ECHOKE = 0x800, "Kill rubs out the line on the screen.";
    FLUSHO = 0x1000, "Output is being discarded.";
    PENDIN = 0x4000, "Reprint pending input.";
    IEXTEN = 0x8000, "Extended editing characters.";
    EXTPROC = 0x1_0000, "Editing happens elsewhere.";
}

constants! { usize, like linux_raw_sys::general;
    VINTR = 0, "Index: sends SIGINT (^C).";
    VQUIT = 1, "Index: sends SIGQUIT (^\\\\).";
    VERASE = 2, "Index: erases a character (DEL).";
    VKILL = 3, "Index: erases the line (^U).";
    VEOF = 4, "Index: end of file (^D).";
    VTIME = 5, "Index: time-out of raw reads in 0.1 s.";
    VMIN = 6, "Index: least number of bytes of raw reads.";
    VSWTC = 7, "Index: unused.";
    VSTART = 8, "Index: starts output (^Q).";
    VSTOP = 9, "Index: stops output (^S).";
    VSUSP = 10, "Index: sends SIGTSTP (^Z).";
    VEOL = 11, "Index: another end of line.";
    VREPRINT = 12, "Index: reprints the line (^R).";
    VDISCARD = 13, "Index: discards output (^O).";
    VWERASE = 14, "Index: erases a word (^W).";
    VLNEXT = 15, "Index: the next character is literal (^V).";
    VEOL2 = 16, "Index: yet another end of line.";
}

/// Number of control characters in the kernel's termios.
pub const NCCS: usize = 19;

/// `c_cflag` speed of 9600 baud.
pub const B9600: u32 = 0xd;
/// `c_cflag` speed of 38,400 baud.
pub const B38400: u32 = 0xf;
/// `c_cflag` speed of 115,200 baud.
pub const B115200: u32 = 0x1002;
/// `c_cflag` speed that stands in [`Termios2`]'s fields.
pub const BOTHER: u32 = 0x1000;

/// The kernel's `struct termios`, 36 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termios {
    /// [`InputFlags`].
    pub iflag: u32,
    /// [`OutputFlags`].
    pub oflag: u32,
    /// [`ControlFlags`].
    pub cflag: u32,
    /// [`LocalFlags`].
    pub lflag: u32,
    /// Line discipline; 0 is N_TTY.
    pub line: u8,
    /// Control characters by `V*` index; 0 disables one.
    pub cc: [u8; NCCS],
}

impl Default for Termios {
    /// A new terminal's settings on Linux.
    fn default() -> Termios {
        let mut cc = [0; NCCS];
        cc[VINTR] = 3;
        cc[VQUIT] = 0x1c;
        cc[VERASE] = 0x7f;
        cc[VKILL] = 0x15;
        cc[VEOF] = 4;
        cc[VMIN] = 1;
        cc[VSTART] = 0x11;
        cc[VSTOP] = 0x13;
        cc[VSUSP] = 0x1a;
        cc[VREPRINT] = 0x12;
        cc[VDISCARD] = 0xf;
        cc[VWERASE] = 0x17;
        cc[VLNEXT] = 0x16;
        let local = LocalFlags::ISIG
            | LocalFlags::ICANON
            | LocalFlags::ECHO
            | LocalFlags::ECHOE
            | LocalFlags::ECHOK
            | LocalFlags::ECHOCTL
            | LocalFlags::ECHOKE
            | LocalFlags::IEXTEN;
        Termios {
            iflag: (InputFlags::ICRNL | InputFlags::IXON).bits(),
            oflag: (OutputFlags::OPOST | OutputFlags::ONLCR).bits(),
            cflag: B38400 | (ControlFlags::CSIZE | ControlFlags::CREAD | ControlFlags::HUPCL).bits(),
            lflag: local.bits(),
            line: 0,
            cc,
        }
    }
}

impl Termios {
    /// The input flags.
    pub const fn input(&self) -> InputFlags {
        InputFlags::from_bits_retain(self.iflag)
    }

    /// The output flags.
    pub const fn output(&self) -> OutputFlags {
        OutputFlags::from_bits_retain(self.oflag)
    }

    /// The control flags.
    pub const fn control(&self) -> ControlFlags {
        ControlFlags::from_bits_retain(self.cflag)
    }

    /// The local flags.
    pub const fn local(&self) -> LocalFlags {
        LocalFlags::from_bits_retain(self.lflag)
    }
}

/// `struct termios2`: termios and the speeds in baud, 44 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termios2 {
    /// The termios.
    pub termios: Termios,
    /// Input speed in baud.
    pub ispeed: u32,
    /// Output speed in baud.
    pub ospeed: u32,
}

/// `struct winsize`: the window in characters and pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Winsize {
    /// Rows of characters.
    pub row: u16,
    /// Columns of characters.
    pub col: u16,
    /// Width in pixels.
    pub xpixel: u16,
    /// Height in pixels.
    pub ypixel: u16,
}

flags! {
    /// What is chosen for a serial line (`serial_struct.flags`, `ASYNC_*`).
    SerialFlags: i32;
    FOURPORT = 0x2, "It is on a card of four.";
    SAK = 0x4, "A secure attention key.";
    SPLIT_TERMIOS = 0x8, "Not used.";
    HIGH = 0x10, "38400 is 57600.";
    VERY_HIGH = 0x20, "38400 is 115200.";
    CUSTOM = 0x30, "38400 is what the custom divisor gives.";
    SKIP_TEST = 0x40, "It was found without a test.";
    AUTO_IRQ = 0x80, "Its interrupt was searched.";
    SUPER_HIGH = 0x1000, "38400 is 230400.";
    WARP = 0x1010, "38400 is 460800.";
    SPEED = 0x1030, "The bits of the above.";
    LOW_LATENCY = 0x2000, "Input is wanted at once.";
    FOR_ALL = 0x3430, "What everybody may change.";
    BOOT_AUTOCONF = 0x1000_0000, "It was found at boot.";
}

/// `struct serial_struct`: what setserial shows and sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SerialInfo {
    /// What UART it is: 2 16450, 4 16550A.
    pub kind: i32,
    /// Its number.
    pub line: i32,
    /// Its first I/O port.
    pub port: u32,
    /// Its interrupt.
    pub irq: i32,
    /// [`SerialFlags`].
    pub flags: i32,
    /// Bytes of its output FIFO.
    pub fifo_bytes: i32,
    /// The divisor that 38400 stands for with `CUSTOM`.
    pub custom_divisor: i32,
    /// The speed with a divisor of 1.
    pub base_baud: i32,
    /// How long the lines stay down after the last close, in 0.01 s.
    pub close_delay: u16,
    /// How it is reached; 0: by ports.
    pub io_type: u8,
    /// Not used.
    pub reserved: u8,
    /// Not used.
    pub hub6: i32,
    /// How long the last close waits for output, in 0.01 s.
    pub closing_wait: u16,
    /// Not used.
    pub closing_wait2: u16,
    /// Not used.
    pub padding: u32,
    /// Where it is in memory, if it is.
    pub memory_base: u64,
    /// The distance of its registers there.
    pub register_shift: u16,
    /// Not used.
    pub padding2: u16,
    /// Upper bits of the port.
    pub port_high: u32,
    /// Not used.
    pub map_base: u64,
}

/// `struct serial_icounter_struct`: what has happened on a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Changes of CTS.
    pub cts: u32,
    /// Changes of DSR.
    pub dsr: u32,
    /// Ends of RING.
    pub ring: u32,
    /// Changes of the carrier.
    pub carrier: u32,
    /// Bytes received.
    pub received: u32,
    /// Bytes sent.
    pub sent: u32,
    /// Bytes without an end.
    pub framing: u32,
    /// Lost input.
    pub overrun: u32,
    /// Bytes with the wrong parity.
    pub parity: u32,
    /// Breaks.
    pub breaks: u32,
    /// Input that found no room.
    pub buffer_overrun: u32,
    /// Not used.
    pub reserved: [u32; 9],
}

constants! { u32, like linux_raw_sys::ioctl;
    TCGETS = 0x5401, "Get the termios.";
    TCSETS = 0x5402, "Set the termios now.";
    TCSETSW = 0x5403, "Set the termios after the output.";
    TCSETSF = 0x5404, "Set the termios after the output, drop the input.";
    TCGETS2 = 0x802c_542a, "Get the termios2.";
    TCSETS2 = 0x402c_542b, "Set the termios2 now.";
    TCSETSW2 = 0x402c_542c, "Set the termios2 after the output.";
    TCSETSF2 = 0x402c_542d, "Set the termios2 after the output, drop the input.";
    TCSBRK = 0x5409, "Send a break; with an argument other than 0 wait for the output.";
    TCXONC = 0x540a, "Stop or start output or input.";
    TCFLSH = 0x540b, "Drop input, output or both.";
    TIOCEXCL = 0x540c, "No further opens.";
    TIOCNXCL = 0x540d, "Undo `TIOCEXCL`.";
    TIOCSCTTY = 0x540e, "Make it the controlling terminal.";
    TIOCGPGRP = 0x540f, "Get the foreground process group.";
    TIOCSPGRP = 0x5410, "Set the foreground process group.";
    TIOCOUTQ = 0x5411, "Bytes in the output queue.";
    TIOCSTI = 0x5412, "Pretend that a byte was typed.";
    TIOCGWINSZ = 0x5413, "Get the window size.";
    TIOCSWINSZ = 0x5414, "Set the window size.";
    TIOCMGET = 0x5415, "Get the modem lines.";
    TIOCMBIS = 0x5416, "Raise modem lines.";
    TIOCMBIC = 0x5417, "Drop modem lines.";
    TIOCMSET = 0x5418, "Set the modem lines.";
    FIONREAD = 0x541b, "Bytes that can be read; also `TIOCINQ`.";
    TIOCLINUX = 0x541c, "Operations of Linux's console.";
    TIOCCONS = 0x541d, "Redirect the console.";
    TIOCGSERIAL = 0x541e, "Get serial settings.";
    TIOCSSERIAL = 0x541f, "Set serial settings.";
    TIOCPKT = 0x5420, "Packet mode of a pseudo-terminal.";
    FIONBIO = 0x5421, "Set or clear non-blocking.";
    TIOCNOTTY = 0x5422, "Give up the controlling terminal.";
    TIOCSETD = 0x5423, "Set the line discipline.";
    TIOCGETD = 0x5424, "Get the line discipline.";
    TCSBRKP = 0x5425, "Send a break of given length.";
    TIOCSBRK = 0x5427, "Break on.";
    TIOCCBRK = 0x5428, "Break off.";
    TIOCGSID = 0x5429, "Get the session.";
    TIOCGPTN = 0x8004_5430, "Number of a pseudo-terminal.";
    TIOCSPTLCK = 0x4004_5431, "Lock or unlock a pseudo-terminal.";
    TIOCGDEV = 0x8004_5432, "Device number.";
    TIOCVHANGUP = 0x5437, "Hang up.";
    TIOCGPTLCK = 0x8004_5439, "Is a pseudo-terminal locked?";
    TIOCGEXCL = 0x8004_5440, "Is it exclusive?";
    TIOCGPTPEER = 0x5441, "Open the other side of a pseudo-terminal.";
    TIOCSERCONFIG = 0x5453, "Look what a serial line is.";
    TIOCSERGETLSR = 0x5459, "Has all output left?";
    TIOCMIWAIT = 0x545c, "Wait until a modem line changes.";
    TIOCGICOUNT = 0x545d, "Count what has happened on a serial line.";
    FIONCLEX = 0x5450, "Clear close-on-exec.";
    FIOCLEX = 0x5451, "Set close-on-exec.";
    FIOASYNC = 0x5452, "Set or clear `O_ASYNC`.";
    BLKROSET = 0x125d, "Set read only.";
    BLKROGET = 0x125e, "Is it read only?";
    BLKRRPART = 0x125f, "Read the partition table again.";
    BLKGETSIZE = 0x1260, "Length in sectors of 512 bytes.";
    BLKFLSBUF = 0x1261, "Write out and drop the buffers.";
    BLKSSZGET = 0x1268, "Logical sector size.";
    BLKBSZGET = 0x8008_1270, "Block size.";
    BLKBSZSET = 0x4008_1271, "Set the block size.";
    BLKGETSIZE64 = 0x8008_1272, "Length in bytes.";
    BLKDISCARD = 0x1277, "Drop a range.";
    BLKIOMIN = 0x1278, "Least size of a request.";
    BLKIOOPT = 0x1279, "Best size of a request.";
    BLKALIGNOFF = 0x127a, "How far the disk's start is from a physical sector's.";
    BLKPBSZGET = 0x127b, "Physical sector size.";
    BLKDISCARDZEROES = 0x127c, "Are dropped ranges zeros?";
    BLKSECDISCARD = 0x127d, "Drop a range so that nobody can read it again.";
    BLKROTATIONAL = 0x127e, "Does it have an arm that moves?";
    BLKZEROOUT = 0x127f, "Fill a range with zeros.";
    BLKGETDISKSEQ = 0x8008_1280, "A number that no other disk has had since boot.";
    BLKRAGET = 0x1263, "How far reads go ahead, in sectors of 512 bytes.";
    BLKSECTGET = 0x1267, "Sectors of 512 bytes that a request has at most.";
}

constants! { u32;
    TCIFLUSH = 0, "`TCFLSH`: the input.";
    TCOFLUSH = 1, "`TCFLSH`: the output.";
    TCIOFLUSH = 2, "`TCFLSH`: both.";
    TCOOFF = 0, "`TCXONC`: stop output.";
    TCOON = 1, "`TCXONC`: start output.";
    TCIOFF = 2, "`TCXONC`: ask the sender to stop.";
    TCION = 3, "`TCXONC`: ask the sender to start.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_linux() {
        assert_eq!(size_of::<Termios>(), size_of::<linux_raw_sys::general::termios>());
        assert_eq!(size_of::<Termios>(), 36);
        assert_eq!(size_of::<Termios2>(), size_of::<linux_raw_sys::general::termios2>());
        assert_eq!(size_of::<Winsize>(), size_of::<libc::winsize>());
    }

    #[test]
    fn a_new_terminal_is_canonical_and_echoes() {
        let termios = Termios::default();
        assert_eq!((termios.iflag, termios.oflag, termios.cflag, termios.lflag), (0x500, 0x5, 0x4bf, 0x8a3b));
        assert_eq!(&termios.cc[..17], b"\x03\x1c\x7f\x15\x04\0\x01\0\x11\x13\x1a\0\x12\x0f\x17\x16\0");
    }
}
