//! From parsed sequences to changes of the screen.

use crate::cell::Attributes;
use crate::charset::Charset;
use crate::edit::Erase;
use crate::modes::Modes;
use crate::screen::Screen;
use crate::{Host, report, sgr};
use vte::{Params, Perform};

/// What the parser calls.
pub(crate) struct Performer<'a, H> {
    pub(crate) screen: &'a mut Screen,
    pub(crate) host: &'a mut H,
}

/// The parameter at `index`; 0 and none mean `default`.
fn count(params: &Params, index: usize) -> usize {
    match raw(params, index) {
        0 => 1,
        value => value.into(),
    }
}

/// The parameter at `index`, 0 if there is none.
fn raw(params: &Params, index: usize) -> u16 {
    params.iter().nth(index).map_or(0, |param| param[0])
}

/// A place counted from 1; 0 and none mean the first.
fn place(params: &Params, index: usize) -> usize {
    count(params, index) - 1
}

/// An end counted from 1; 0 and none mean the last.
fn end(params: &Params, index: usize, last: usize) -> usize {
    match raw(params, index) {
        0 => last,
        value => value.into(),
    }
}

impl<H: Host> Perform for Performer<'_, H> {
    fn print(&mut self, character: char) {
        self.screen.print(character);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x07 => self.host.bell(),
            0x08 => self.screen.backspace(),
            b'\t' => self.tab(1),
            b'\n' | 0x0b | 0x0c => self.line_feed(),
            b'\r' => self.screen.carriage_return(),
            0x0e => self.screen.cursor.charsets.shift(1),
            0x0f => self.screen.cursor.charsets.shift(0),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _ignore: bool, byte: u8) {
        let screen = &mut *self.screen;
        match (intermediates, byte) {
            ([], b'7') => screen.save_cursor(),
            ([], b'8') => screen.restore_cursor(),
            ([], b'=') => screen.modes.insert(Modes::KEYPAD),
            ([], b'>') => screen.modes.remove(Modes::KEYPAD),
            ([], b'D') => screen.index(),
            ([], b'E') => {
                screen.index();
                screen.carriage_return();
            }
            ([], b'H') => screen.tabs.set(screen.cursor.position.column, true),
            ([], b'M') => screen.reverse_index(),
            ([], b'N') => screen.cursor.charsets.shift_once(2),
            ([], b'O') => screen.cursor.charsets.shift_once(3),
            ([], b'Z') => report::device_attributes(self.host),
            ([], b'c') => {
                screen.reset();
                self.host.reset();
            }
            ([], b'n') => screen.cursor.charsets.shift(2),
            ([], b'o') => screen.cursor.charsets.shift(3),
            ([b'#'], b'8') => screen.align(),
            ([set @ b'('..=b'+'], name) => {
                screen.cursor.charsets.designate(usize::from(set - b'('), Charset::named(name));
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if ignore {
            return;
        }
        match intermediates {
            [] => self.csi(params, action),
            b"?" => self.csi_private(params, action),
            b"!" if action == 'p' => self.screen.soft_reset(),
            b">" if action == 'c' => report::secondary_attributes(self.host),
            b"\"" if action == 'q' => {
                let attributes = &mut self.screen.cursor.style.attributes;
                attributes.set(Attributes::PROTECTED, raw(params, 0) == 1);
            }
            b"$" if action == 'p' => {
                report::mode(self.host, self.screen, raw(params, 0), report::ModeKind::Standard)
            }
            b"?$" if action == 'p' => {
                report::mode(self.host, self.screen, raw(params, 0), report::ModeKind::Private)
            }
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _bell_terminated: bool) {
        if let [b"0" | b"2", title, ..] = params
            && let Ok(title) = core::str::from_utf8(title)
        {
            self.host.title(title);
        }
    }
}

impl<H: Host> Performer<'_, H> {
    fn line_feed(&mut self) {
        self.screen.index();
        if self.screen.modes.contains(Modes::NEW_LINE) {
            self.screen.carriage_return();
        }
    }

    fn tab(&mut self, times: usize) {
        let limit = self.screen.right_limit() - 1;
        let position = self.screen.cursor.position;
        let mut column = position.column;
        for _ in 0..times.min(limit + 1) {
            column = self.screen.tabs.next(column).unwrap_or(limit).min(limit);
        }
        // As on xterm, a pending wrap survives a tab that does not move.
        if column != position.column {
            self.screen.go(position.row, column);
        }
    }

    fn tab_back(&mut self, times: usize) {
        let position = self.screen.cursor.position;
        let mut column = position.column;
        for _ in 0..times.min(column) {
            column = self.screen.tabs.previous(column).unwrap_or(0);
        }
        self.screen.go(position.row, column);
    }

    fn csi(&mut self, params: &Params, action: char) {
        let screen = &mut *self.screen;
        let size = screen.size();
        let position = screen.addressed();
        let n = count(params, 0);
        match action {
            '@' => screen.insert_characters(n),
            'A' => screen.up(n),
            'B' | 'e' => screen.down(n),
            'C' | 'a' => screen.right(n),
            'D' => screen.left(n),
            'E' => {
                screen.down(n);
                screen.carriage_return();
            }
            'F' => {
                screen.up(n);
                screen.carriage_return();
            }
            'G' | '`' => screen.go_addressed(position.row, n - 1),
            'H' | 'f' => screen.go_addressed(place(params, 0), place(params, 1)),
            'I' => self.tab(n),
            'J' => screen.erase_screen(raw(params, 0), Erase::All),
            'K' => screen.erase_line(raw(params, 0), Erase::All),
            'L' => screen.insert_lines(n),
            'M' => screen.delete_lines(n),
            'P' => screen.delete_characters(n),
            'S' => screen.scroll_up(n),
            'T' => screen.scroll_down(n),
            'X' => screen.erase_characters(n),
            'Z' => self.tab_back(n),
            'b' => screen.repeat(n),
            'c' if raw(params, 0) == 0 => report::device_attributes(self.host),
            'd' => screen.go_addressed(n - 1, position.column),
            'g' => match raw(params, 0) {
                0 => screen.tabs.set(screen.cursor.position.column, false),
                3 => screen.tabs.clear(),
                _ => {}
            },
            'h' => self.set_modes(params, true),
            'l' => self.set_modes(params, false),
            'm' => sgr::select(&mut screen.cursor.style, params),
            'n' => report::status(self.host, screen, raw(params, 0)),
            'r' => screen.set_lines(place(params, 0), end(params, 1, size.rows)),
            's' if screen.modes.contains(Modes::SIDE_MARGINS) => {
                screen.set_sides(place(params, 0), end(params, 1, size.columns));
            }
            's' => screen.save_cursor(),
            't' => report::window(self.host, screen, raw(params, 0)),
            'u' => screen.restore_cursor(),
            _ => {}
        }
    }

    fn csi_private(&mut self, params: &Params, action: char) {
        match action {
            'J' => self.screen.erase_screen(raw(params, 0), Erase::Unprotected),
            'K' => self.screen.erase_line(raw(params, 0), Erase::Unprotected),
            'h' => params.iter().for_each(|param| self.set_private_mode(param[0], true)),
            'l' => params.iter().for_each(|param| self.set_private_mode(param[0], false)),
            'n' => report::private_status(self.host, self.screen, raw(params, 0)),
            _ => {}
        }
    }

    fn set_modes(&mut self, params: &Params, is_set: bool) {
        for mode in params.iter().filter_map(|param| Modes::standard(param[0])) {
            self.screen.modes.set(mode, is_set);
        }
    }

    fn set_private_mode(&mut self, number: u16, is_set: bool) {
        let screen = &mut *self.screen;
        match number {
            47 => screen.show_alternate(is_set),
            1047 => {
                if !is_set {
                    self.clear_alternate();
                }
                self.screen.show_alternate(is_set);
            }
            1048 if is_set => screen.save_cursor(),
            1048 => screen.restore_cursor(),
            1049 if is_set => {
                if !screen.modes.contains(Modes::ALTERNATE) {
                    screen.save_cursor();
                    screen.show_alternate(true);
                    self.clear_alternate();
                }
            }
            1049 => {
                if screen.modes.contains(Modes::ALTERNATE) {
                    screen.show_alternate(false);
                    screen.restore_cursor();
                }
            }
            _ => {
                let Some(mode) = Modes::private(number) else { return };
                screen.modes.set(mode, is_set);
                match mode {
                    Modes::ORIGIN => screen.go_addressed(0, 0),
                    Modes::REVERSE => screen.grid_mut().damage_all(),
                    Modes::SIDE_MARGINS if !is_set => screen.reset_sides(),
                    Modes::WRAP if !is_set => screen.cursor.is_wrap_pending = false,
                    _ => {}
                }
            }
        }
    }

    fn clear_alternate(&mut self) {
        if self.screen.modes.contains(Modes::ALTERNATE) {
            self.screen.erase_screen(2, Erase::All);
        }
    }
}
