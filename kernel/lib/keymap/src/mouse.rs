//! Mice at the PS/2 port: packets of three bytes, or four with a wheel.
//!
//! Source: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft's IntelliMouse adds the fourth byte.

/// What packets look like, as the mouse answers when it is asked for its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseKind {
    /// Three buttons.
    #[default]
    Plain,
    /// And a wheel.
    Wheel,
    /// And two buttons more.
    FiveButtons,
}

impl MouseKind {
    /// By its number.
    pub fn from_id(id: u8) -> MouseKind {
        match id {
            3 => MouseKind::Wheel,
            4 => MouseKind::FiveButtons,
            _ => MouseKind::Plain,
        }
    }

    /// Number of its buttons.
    pub fn buttons(self) -> u16 {
        if self == MouseKind::FiveButtons { 5 } else { 3 }
    }

    fn length(self) -> usize {
        if self == MouseKind::Plain { 3 } else { 4 }
    }
}

/// What a mouse did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MouseEvent {
    /// To the right.
    pub x: i32,
    /// Downwards.
    pub y: i32,
    /// Away from the user.
    pub wheel: i32,
    /// Buttons that are down, a bit each: left, right, middle, side, extra.
    pub buttons: u8,
}

/// Puts packets together.
#[derive(Clone, Debug, Default)]
pub struct MouseDecoder {
    kind: MouseKind,
    bytes: [u8; 4],
    length: usize,
}

/// Of the first byte: always set, so that a lost byte is noticed.
const ALWAYS: u8 = 1 << 3;
const X_NEGATIVE: u8 = 1 << 4;
const Y_NEGATIVE: u8 = 1 << 5;
const OVERFLOW: u8 = 0xc0;
const BUTTONS: u8 = 0x07;

impl MouseDecoder {
    /// For packets of that kind.
    pub fn new(kind: MouseKind) -> MouseDecoder {
        MouseDecoder { kind, ..MouseDecoder::default() }
    }

    /// Takes a byte; the last of a packet gives what it says.
    pub fn decode(&mut self, byte: u8) -> Option<MouseEvent> {
        if self.length == 0 && byte & ALWAYS == 0 {
            return None;
        }
        self.bytes[self.length] = byte;
        self.length += 1;
        if self.length < self.kind.length() {
            return None;
        }
        self.length = 0;
        let [first, x, y, last] = self.bytes;
        let signed = |value: u8, is_negative: bool| i32::from(value) - if is_negative { 256 } else { 0 };
        let mut event = MouseEvent { buttons: first & BUTTONS, ..MouseEvent::default() };
        // What has overflowed says nothing.
        if first & OVERFLOW == 0 {
            event.x = signed(x, first & X_NEGATIVE != 0);
            event.y = -signed(y, first & Y_NEGATIVE != 0);
        }
        match self.kind {
            MouseKind::Plain => {}
            MouseKind::Wheel => event.wheel = -i32::from(last as i8),
            MouseKind::FiveButtons => {
                // Four bits with a sign.
                event.wheel = -i32::from((last << 4) as i8 >> 4);
                event.buttons |= last >> 1 & 0x18;
            }
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(kind: MouseKind, bytes: &[u8]) -> Option<MouseEvent> {
        let mut decoder = MouseDecoder::new(kind);
        let (last, first) = bytes.split_last().unwrap();
        assert!(first.iter().all(|byte| decoder.decode(*byte).is_none()), "only the last byte ends a packet");
        decoder.decode(*last)
    }

    #[test]
    fn motion_has_signs_and_y_goes_down() {
        let event = decode(MouseKind::Plain, &[0x08, 5, 7]);
        assert_eq!(event, Some(MouseEvent { x: 5, y: -7, ..Default::default() }));
        let event = decode(MouseKind::Plain, &[0x38, 0xff, 0x80]);
        assert_eq!(event, Some(MouseEvent { x: -1, y: 128, ..Default::default() }));
        let event = decode(MouseKind::Plain, &[0xcf, 0xff, 0xff]);
        assert_eq!(event, Some(MouseEvent { buttons: 7, ..Default::default() }), "an overflow moves nothing");
    }

    #[test]
    fn wheels_and_more_buttons_are_in_the_fourth_byte() {
        let event = decode(MouseKind::Wheel, &[0x08, 0, 0, 0xff]).unwrap();
        assert_eq!((event.wheel, event.buttons), (1, 0));
        let event = decode(MouseKind::FiveButtons, &[0x09, 0, 0, 0x31]).unwrap();
        assert_eq!((event.wheel, event.buttons), (-1, 0x19));
        assert_eq!(decode(MouseKind::FiveButtons, &[0x08, 0, 0, 0x0f]).unwrap().wheel, 1);
    }

    #[test]
    fn what_begins_no_packet_is_passed_over() {
        let mut decoder = MouseDecoder::new(MouseKind::from_id(0));
        assert_eq!(decoder.decode(0x00), None);
        assert_eq!(decoder.decode(0xf7), None);
        assert_eq!(decoder.decode(0x08), None);
        assert_eq!(decoder.decode(1), None);
        assert_eq!(decoder.decode(2), Some(MouseEvent { x: 1, y: -2, ..Default::default() }));
        for byte in 0..=255 {
            decoder.decode(byte);
        }
    }
}
