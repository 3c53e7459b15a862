//! Scan code set 1.

use crate::{KeyEvent, Motion, code};

/// What comes before the codes of keys that the first PCs did not have.
const EXTENDED: u8 = 0xe0;
/// What comes before the two bytes of the Pause key.
const PAUSE: u8 = 0xe1;
/// Set when a key goes up.
const RELEASE: u8 = 0x80;

/// Keys with the prefix 0xe0: scan code, Linux's code.
const EXTENDED_CODES: [(u8, u16); 33] = [
    (0x10, 165), // previous song
    (0x19, 163), // next song
    (0x1c, code::KP_ENTER),
    (0x1d, code::RIGHT_CTRL),
    (0x20, 113), // mute
    (0x21, 140), // calculator
    (0x22, 164), // play, pause
    (0x24, 166), // stop
    (0x2e, 114), // volume down
    (0x30, 115), // volume up
    (0x32, 172), // home page
    (0x35, code::KP_SLASH),
    (0x37, code::SYSRQ),
    (0x38, code::RIGHT_ALT),
    (0x46, code::PAUSE), // Ctrl-Pause: Break
    (0x47, code::HOME),
    (0x48, code::UP),
    (0x49, code::PAGE_UP),
    (0x4b, code::LEFT),
    (0x4d, code::RIGHT),
    (0x4f, code::END),
    (0x50, code::DOWN),
    (0x51, code::PAGE_DOWN),
    (0x52, code::INSERT),
    (0x53, code::DELETE),
    (0x5b, 125), // left meta
    (0x5c, 126), // right meta
    (0x5d, 127), // menu
    (0x5e, 116), // power
    (0x5f, 142), // sleep
    (0x63, 143), // wake up
    (0x65, 217), // search
    (0x66, 156), // bookmarks
];

/// The state between the bytes of one key.
#[derive(Clone, Debug)]
pub struct Decoder {
    prefix: u8,
    /// Bytes of the Pause key that are still to come.
    pause: u8,
    /// A bit for each key that is down, so that repetition is seen.
    down: [u64; 4],
    /// Codes that were chosen for scan codes, with [`EXTENDED_INDEX`] for those behind the prefix; 0: the usual one.
    chosen: [u16; 256],
}

/// Added to a scan code that has the prefix 0xe0.
const EXTENDED_INDEX: usize = 0x80;
/// Keys have lower codes.
const CODES: u16 = 256;

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Decoder {
    /// No key is down.
    pub const fn new() -> Decoder {
        Decoder { prefix: 0, pause: 0, down: [0; 4], chosen: [0; 256] }
    }

    /// Takes the next byte. Bytes of no known key give nothing.
    pub fn decode(&mut self, byte: u8) -> Option<KeyEvent> {
        if self.pause > 0 {
            self.pause -= 1;
            return if self.pause == 0 { Some(self.event(code::PAUSE, byte & RELEASE != 0)) } else { None };
        }
        match byte {
            EXTENDED => {
                self.prefix = byte;
                return None;
            }
            PAUSE => {
                self.pause = 2;
                return None;
            }
            _ => {}
        }
        let is_extended = core::mem::take(&mut self.prefix) == EXTENDED;
        let scan = byte & !RELEASE;
        let code = self.code(usize::from(scan) + if is_extended { EXTENDED_INDEX } else { 0 })?;
        Some(self.event(code, byte & RELEASE != 0))
    }

    /// The code of the key with a scan code, to which 0x80 is added if it has the prefix 0xe0.
    pub fn code(&self, index: usize) -> Option<u16> {
        match self.chosen.get(index) {
            Some(0) => usual_code((index % EXTENDED_INDEX) as u8, index >= EXTENDED_INDEX),
            chosen => chosen.copied(),
        }
    }

    /// Gives a scan code, as [`code`](Self::code) takes it, another key; 0: that which it had in the beginning. `false`:
    /// there is no such scan code or key.
    pub fn set_code(&mut self, index: usize, code: u16) -> bool {
        let place = self.chosen.get_mut(index).filter(|_| code < CODES);
        place.map(|place| *place = code).is_some()
    }

    fn event(&mut self, code: u16, is_release: bool) -> KeyEvent {
        let (word, bit) = (usize::from(code / 64), 1 << (code % 64));
        let was_down = self.down[word] & bit != 0;
        let motion = match (is_release, was_down) {
            (true, _) => Motion::Released,
            (false, false) => Motion::Pressed,
            (false, true) => Motion::Repeated,
        };
        if is_release {
            self.down[word] &= !bit;
        } else {
            self.down[word] |= bit;
        }
        KeyEvent { code, motion }
    }
}

fn usual_code(scan: u8, is_extended: bool) -> Option<u16> {
    if is_extended {
        // 0x2a and 0x36 are shifts that keyboards invent around some keys.
        return EXTENDED_CODES.iter().find(|(known, _)| *known == scan).map(|(_, code)| *code);
    }
    Some(match scan {
        0x54 => code::SYSRQ,
        0x01..=0x53 | 0x56..=0x58 => u16::from(scan),
        0x70 => 93,  // katakana, hiragana
        0x73 => 89,  // ro
        0x79 => 92,  // henkan
        0x7b => 94,  // muhenkan
        0x7d => 124, // yen
        _ => return None,
    })
}

/// What a PS/2 keyboard sends for a key: up to six bytes, and how many. For programs that want scan codes.
pub fn scan_codes(key: u16, motion: Motion) -> ([u8; 6], usize) {
    let up = if motion == Motion::Released { RELEASE } else { 0 };
    let plain = (1..=0x7f_u8).find(|scan| usual_code(*scan, false) == Some(key) && *scan != 0x54);
    let extended = EXTENDED_CODES.iter().find(|(_, code)| *code == key).map(|(scan, _)| *scan);
    match (plain, extended) {
        _ if key == code::PAUSE && up != 0 => ([0; 6], 0),
        _ if key == code::PAUSE => ([PAUSE, 0x1d, 0x45, PAUSE, 0x9d, 0xc5], 6),
        (Some(scan), _) => ([scan | up, 0, 0, 0, 0, 0], 1),
        (None, Some(scan)) => ([EXTENDED, scan | up, 0, 0, 0, 0], 2),
        (None, None) => ([0; 6], 0),
    }
}
