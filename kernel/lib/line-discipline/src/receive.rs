//! A byte arrives: flow control, signals, editing, echo.

use crate::input::END_OF_FILE;
use crate::output::{is_continuation, is_control, to_lower};
use crate::{Event, Full, LineDiscipline, Sink};
use abi::signal::Signal;
use abi::tty::{
    InputFlags, LocalFlags, VEOF, VEOL, VEOL2, VERASE, VINTR, VKILL, VLNEXT, VQUIT, VREPRINT, VSTART, VSTOP,
    VSUSP, VWERASE,
};

/// What an editing character takes away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Erasure {
    Character,
    Word,
    Line,
}

impl LineDiscipline {
    /// Takes a byte from the keyboard or the line; echo goes to `sink`.
    pub fn receive(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<Option<Event>, Full> {
        if !self.input.make_room(self.has(LocalFlags::ICANON)) {
            return Err(Full);
        }
        let byte = self.fold(byte);
        if self.has(LocalFlags::EXTPROC) {
            self.input.push(byte);
            return Ok(None);
        }
        if core::mem::take(&mut self.is_literal_next) {
            let event = self.restart_on_any();
            self.add(byte, sink);
            return Ok(event);
        }
        if let Some(event) = self.receive_flow_control(byte) {
            return Ok(event);
        }
        if let Some(event) = self.receive_signal(byte, sink) {
            return Ok(Some(event));
        }
        let input = self.termios.input();
        let received = byte;
        let byte = match byte {
            b'\r' if input.contains(InputFlags::IGNCR) => return Ok(self.restart_on_any()),
            b'\r' if input.contains(InputFlags::ICRNL) => b'\n',
            b'\n' if input.contains(InputFlags::INLCR) => b'\r',
            other => other,
        };
        let event = self.restart_on_any();
        if self.has(LocalFlags::ICANON) && self.edit(byte, sink) {
            return Ok(event);
        }
        if byte == b'\n' && received == b'\r' && self.has(LocalFlags::ECHO) {
            // A converted carriage return shows as a new line, a newline in raw mode as ^J.
            self.finish_erasing(sink);
            self.echo_raw(b'\n', sink);
            self.push_doubled(byte);
        } else {
            self.add(byte, sink);
        }
        Ok(event)
    }

    /// Takes a break on the line: nothing, an interrupt, a marked zero byte, or a zero byte as if it had been sent.
    pub fn receive_break(&mut self, sink: &mut dyn Sink) -> Result<Option<Event>, Full> {
        let input = self.termios.input();
        if input.contains(InputFlags::IGNBRK) {
            return Ok(None);
        }
        if input.contains(InputFlags::BRKINT) {
            return Ok(Some(self.signal(Signal::SIGINT, sink)));
        }
        if input.contains(InputFlags::PARMRK) { self.receive_marked(0) } else { self.receive(0, sink) }
    }

    /// Takes a byte that came with a wrong parity or without an end. Only INPCK makes it different from others: then it
    /// is dropped (IGNPAR), marked (PARMRK), or a zero byte stands for it.
    pub fn receive_damaged(&mut self, byte: u8, sink: &mut dyn Sink) -> Result<Option<Event>, Full> {
        let input = self.termios.input();
        if !input.contains(InputFlags::INPCK) {
            return self.receive(byte, sink);
        }
        if input.contains(InputFlags::IGNPAR) {
            return Ok(None);
        }
        if input.contains(InputFlags::PARMRK) {
            return self.receive_marked(byte);
        }
        self.receive_unedited(&[0])
    }

    /// A byte behind its mark: 0xff, 0.
    fn receive_marked(&mut self, byte: u8) -> Result<Option<Event>, Full> {
        self.receive_unedited(&[0xff, 0, byte])
    }

    /// Bytes that are not looked at and not echoed.
    fn receive_unedited(&mut self, bytes: &[u8]) -> Result<Option<Event>, Full> {
        if !self.input.make_room(self.has(LocalFlags::ICANON)) {
            return Err(Full);
        }
        bytes.iter().for_each(|&byte| self.input.push(byte));
        Ok(None)
    }

    /// The changes that depend on the byte alone.
    fn fold(&self, byte: u8) -> u8 {
        let input = self.termios.input();
        let byte = if input.contains(InputFlags::ISTRIP) { byte & 0x7f } else { byte };
        if input.contains(InputFlags::IUCLC) && self.has(LocalFlags::IEXTEN) { to_lower(byte) } else { byte }
    }

    /// Whether the byte is this control character; 0 disables one.
    fn is_cc(&self, byte: u8, index: usize) -> bool {
        byte != 0 && self.termios.cc[index] == byte
    }

    /// VSTART and VSTOP. The outer `Some`: the byte is used up.
    fn receive_flow_control(&mut self, byte: u8) -> Option<Option<Event>> {
        if !self.termios.input().contains(InputFlags::IXON) {
            return None;
        }
        if self.is_cc(byte, VSTART) {
            return Some(self.start().then_some(Event::Started));
        }
        if self.is_cc(byte, VSTOP) {
            let stops = !core::mem::replace(&mut self.is_stopped, true);
            return Some(stops.then_some(Event::Stopped));
        }
        None
    }

    /// With IXANY any byte starts output again.
    fn restart_on_any(&mut self) -> Option<Event> {
        let any = InputFlags::IXON | InputFlags::IXANY;
        (self.termios.input().contains(any) && self.start()).then_some(Event::Started)
    }

    fn receive_signal(&mut self, byte: u8, sink: &mut dyn Sink) -> Option<Event> {
        if !self.has(LocalFlags::ISIG) {
            return None;
        }
        let signals = [(VINTR, Signal::SIGINT), (VQUIT, Signal::SIGQUIT), (VSUSP, Signal::SIGTSTP)];
        let &(_, signal) = signals.iter().find(|&&(index, _)| self.is_cc(byte, index))?;
        let event = self.signal(signal, sink);
        if self.termios.input().contains(InputFlags::IXON) {
            self.start();
        }
        if self.has(LocalFlags::ECHO) {
            self.echo(byte, sink);
        }
        Some(event)
    }

    /// A signal, which drops input and output unless NOFLSH is set.
    fn signal(&mut self, signal: Signal, sink: &mut dyn Sink) -> Event {
        if !self.has(LocalFlags::NOFLSH) {
            self.flush_input();
            sink.discard();
        }
        Event::Signal(signal)
    }

    /// Echoes a byte and puts it into the buffer.
    fn add(&mut self, byte: u8, sink: &mut dyn Sink) {
        if self.has(LocalFlags::ECHO) {
            self.finish_erasing(sink);
            self.echo_in_line(byte, sink);
        }
        self.push_doubled(byte);
    }

    /// With PARMRK a byte 0xff is doubled, to tell it from a mark.
    fn push_doubled(&mut self, byte: u8) {
        if byte == 0xff && self.termios.input().contains(InputFlags::PARMRK) {
            self.input.push(byte);
        }
        self.input.push(byte);
    }

    /// The characters of canonical mode; whether the byte was one.
    fn edit(&mut self, byte: u8, sink: &mut dyn Sink) -> bool {
        let is_extended = self.has(LocalFlags::IEXTEN);
        if self.is_cc(byte, VERASE) {
            self.erase(Erasure::Character, sink);
        } else if self.is_cc(byte, VKILL) {
            self.kill(sink);
        } else if is_extended && self.is_cc(byte, VWERASE) {
            self.erase(Erasure::Word, sink);
        } else if is_extended && self.is_cc(byte, VLNEXT) {
            self.is_literal_next = true;
            if self.has(LocalFlags::ECHO) {
                self.finish_erasing(sink);
                if self.has(LocalFlags::ECHOCTL) {
                    self.echo_raw(b'^', sink);
                    self.echo_raw(8, sink);
                }
            }
        } else if is_extended && self.has(LocalFlags::ECHO) && self.is_cc(byte, VREPRINT) {
            self.reprint(byte, sink);
        } else {
            return self.end_line(byte, sink);
        }
        true
    }

    /// The ends of a line; whether the byte was one.
    fn end_line(&mut self, byte: u8, sink: &mut dyn Sink) -> bool {
        if byte == b'\n' {
            if self.has(LocalFlags::ECHO) || self.has(LocalFlags::ECHONL) {
                self.echo_raw(b'\n', sink);
            }
            self.input.push_line_end(b'\n');
        } else if self.is_cc(byte, VEOF) {
            self.input.push_line_end(END_OF_FILE);
        } else if self.is_cc(byte, VEOL) || self.has(LocalFlags::IEXTEN) && self.is_cc(byte, VEOL2) {
            if self.has(LocalFlags::ECHO) {
                self.echo_in_line(byte, sink);
            }
            if byte == 0xff && self.termios.input().contains(InputFlags::PARMRK) {
                self.input.push(byte);
            }
            self.input.push_line_end(byte);
        } else {
            return false;
        }
        true
    }

    fn reprint(&mut self, byte: u8, sink: &mut dyn Sink) {
        self.finish_erasing(sink);
        self.echo(byte, sink);
        self.echo_raw(b'\n', sink);
        for index in (1..=self.input.open_line().count()).rev() {
            let byte = self.input.byte_before_end(index);
            self.echo(byte, sink);
        }
    }

    fn kill(&mut self, sink: &mut dyn Sink) {
        if self.input.is_line_empty() {
            return;
        }
        if !self.has(LocalFlags::ECHO) {
            self.input.erase_line();
        } else if self.has(LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE) {
            self.erase(Erasure::Line, sink);
        } else {
            self.input.erase_line();
            self.finish_erasing(sink);
            self.echo(self.termios.cc[VKILL], sink);
            if self.has(LocalFlags::ECHOK) {
                self.echo_raw(b'\n', sink);
            }
        }
    }

    fn erase(&mut self, erasure: Erasure, sink: &mut dyn Sink) {
        if self.input.is_line_empty() {
            return;
        }
        let mut was_in_word = false;
        while let Some((byte, len)) = self.last_character() {
            if erasure == Erasure::Word {
                if is_word(byte) {
                    was_in_word = true;
                } else if was_in_word {
                    break;
                }
            }
            self.input.erase(len);
            if self.has(LocalFlags::ECHO) {
                self.echo_erased(byte, len, erasure, sink);
            }
            if erasure == Erasure::Character {
                break;
            }
        }
        if self.input.is_line_empty() && self.has(LocalFlags::ECHO) {
            self.finish_erasing(sink);
        }
    }

    /// The first byte and the length of the line's last character; `None` if only a part of one is left.
    fn last_character(&self) -> Option<(u8, usize)> {
        let len =
            1 + self.input.open_line().rev().take_while(|&byte| is_continuation(&self.termios, byte)).count();
        (len <= self.input.open_line().count()).then(|| (self.input.byte_before_end(len), len))
    }

    /// Shows that a character is gone. Its bytes still stand behind the buffer's end.
    fn echo_erased(&mut self, byte: u8, len: usize, erasure: Erasure, sink: &mut dyn Sink) {
        if self.has(LocalFlags::ECHOPRT) {
            if !core::mem::replace(&mut self.is_erasing, true) {
                self.echo_raw(b'\\', sink);
            }
            self.echo(byte, sink);
            for index in 1..len {
                let byte = self.input.byte_before_end(index.wrapping_neg());
                self.echo_raw(byte, sink);
                self.output.column = self.output.column.saturating_sub(1);
            }
        } else if erasure == Erasure::Character && !self.has(LocalFlags::ECHOE) {
            self.echo(self.termios.cc[VERASE], sink);
        } else if byte == b'\t' {
            self.echo_erased_tab(sink);
        } else {
            let columns = match (is_control(byte), self.has(LocalFlags::ECHOCTL)) {
                (false, _) => 1,
                (true, true) => 2,
                (true, false) => 0,
            };
            for _ in 0..columns {
                [8, b' ', 8].into_iter().for_each(|byte| self.echo_raw(byte, sink));
            }
        }
    }

    /// Goes back over a tab: as far as the characters before it left room in its eight columns.
    fn echo_erased_tab(&mut self, sink: &mut dyn Sink) {
        let mut columns = 0;
        let mut is_after_tab = false;
        for byte in self.input.open_line().rev() {
            if byte == b'\t' {
                is_after_tab = true;
                break;
            }
            if is_control(byte) {
                columns += if self.has(LocalFlags::ECHOCTL) { 2 } else { 0 };
            } else if !is_continuation(&self.termios, byte) {
                columns += 1;
            }
        }
        if !is_after_tab {
            columns += self.output.line_column;
        }
        for _ in 0..8 - columns % 8 {
            sink.put(8);
            self.output.column = self.output.column.saturating_sub(1);
        }
    }

    /// Ends the text that ECHOPRT shows as erased.
    fn finish_erasing(&mut self, sink: &mut dyn Sink) {
        if core::mem::take(&mut self.is_erasing) {
            self.echo_raw(b'/', sink);
        }
    }

    /// Echoes a byte of the line, and notes where the line began.
    fn echo_in_line(&mut self, byte: u8, sink: &mut dyn Sink) {
        if self.input.is_line_empty() {
            self.output.line_column = self.output.column;
        }
        self.echo(byte, sink);
    }

    /// Echoes a byte; control characters but tabs become ^X with ECHOCTL.
    fn echo(&mut self, byte: u8, sink: &mut dyn Sink) {
        if self.has(LocalFlags::ECHOCTL) && is_control(byte) && byte != b'\t' {
            sink.put(b'^');
            sink.put(byte ^ 0x40);
            self.output.column += 2;
        } else {
            self.echo_raw(byte, sink);
        }
    }

    fn echo_raw(&mut self, byte: u8, sink: &mut dyn Sink) {
        if byte == 0xff {
            // Linux echoes this one untreated, its echo queue has another use for it.
            self.output.column += 1;
            return sink.put(byte);
        }
        self.output.put(&self.termios, byte, sink);
    }
}

/// Whether the byte is part of a word: letters (in Latin-1 too, so that UTF-8 counts), digits, underscore.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0xc0 && byte != 0xd7 && byte != 0xf7
}
