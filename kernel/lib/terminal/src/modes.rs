//! Modes that programs set and reset.

use bitflags::bitflags;

bitflags! {
    /// Modes. The number of a private mode (`CSI ? n h`) stands with each.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Modes: u32 {
        /// Inserting pushes characters to the right (4, not private).
        const INSERT = 1 << 0;
        /// A line feed returns to the first column too (20, not private).
        const NEW_LINE = 1 << 1;
        /// Cursor keys send SS3 sequences (1).
        const CURSOR_KEYS = 1 << 2;
        /// The screen's colours are exchanged (5).
        const REVERSE = 1 << 3;
        /// Positions count from the margins (6).
        const ORIGIN = 1 << 4;
        /// Text goes on in the next line (7).
        const WRAP = 1 << 5;
        /// The cursor blinks (12).
        const BLINK = 1 << 6;
        /// The cursor is shown (25).
        const CURSOR = 1 << 7;
        /// Backspace in the first column goes to the line above (45).
        const REVERSE_WRAP = 1 << 8;
        /// The keypad sends sequences (66).
        const KEYPAD = 1 << 9;
        /// Backspace sends BS, not DEL (67).
        const BACKSPACE = 1 << 10;
        /// There are left and right margins (69).
        const SIDE_MARGINS = 1 << 11;
        /// Mouse buttons are reported when pressed (9).
        const MOUSE_X10 = 1 << 12;
        /// Mouse buttons are reported (1000).
        const MOUSE_BUTTONS = 1 << 13;
        /// So is motion while one is held (1002).
        const MOUSE_DRAG = 1 << 14;
        /// So is all motion (1003).
        const MOUSE_MOTION = 1 << 15;
        /// Mouse reports have decimal numbers (1006).
        const MOUSE_SGR = 1 << 16;
        /// Gaining and losing the focus is reported (1004).
        const FOCUS = 1 << 17;
        /// Pasted text is marked (2004).
        const PASTE = 1 << 18;
        /// The alternate screen is shown (47, 1047, 1049).
        const ALTERNATE = 1 << 19;
    }
}

impl Default for Modes {
    fn default() -> Modes {
        Modes::WRAP | Modes::CURSOR
    }
}

impl Modes {
    /// The mode with this number; what has effects of its own (screens, saved cursors) is not here.
    pub(crate) fn private(number: u16) -> Option<Modes> {
        Some(match number {
            1 => Modes::CURSOR_KEYS,
            5 => Modes::REVERSE,
            6 => Modes::ORIGIN,
            7 => Modes::WRAP,
            9 => Modes::MOUSE_X10,
            12 => Modes::BLINK,
            25 => Modes::CURSOR,
            45 => Modes::REVERSE_WRAP,
            66 => Modes::KEYPAD,
            67 => Modes::BACKSPACE,
            69 => Modes::SIDE_MARGINS,
            1000 => Modes::MOUSE_BUTTONS,
            1002 => Modes::MOUSE_DRAG,
            1003 => Modes::MOUSE_MOTION,
            1004 => Modes::FOCUS,
            1006 => Modes::MOUSE_SGR,
            2004 => Modes::PASTE,
            _ => return None,
        })
    }

    /// The mode of ECMA-48 with this number.
    pub(crate) fn standard(number: u16) -> Option<Modes> {
        match number {
            4 => Some(Modes::INSERT),
            20 => Some(Modes::NEW_LINE),
            _ => None,
        }
    }
}
