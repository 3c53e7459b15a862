//! A PS/2 mouse for programs that want one (/dev/input/mice): what all mice do, in packets of three bytes, or four once
//! the program has asked for them as drivers ask mice.
//!
//! Source: Linux's Documentation/input/input.rst (mousedev); the magic sequences are those of Microsoft's mice.

use crate::{MouseEvent, MouseKind};

/// Bytes of an answer at most.
const ANSWER: usize = 5;
/// What makes it a mouse with a wheel, and with five buttons: three rates, one after the other.
const WHEEL: [u8; 6] = [0xf3, 200, 0xf3, 100, 0xf3, 80];
const FIVE_BUTTONS: [u8; 6] = [0xf3, 200, 0xf3, 200, 0xf3, 80];
const ACKNOWLEDGE: u8 = 0xfa;
const ALWAYS: u8 = 1 << 3;

/// The mouse of one program.
#[derive(Clone, Debug, Default)]
pub struct MouseEmulation {
    kind: MouseKind,
    /// How much of the sequences has come.
    wheel_progress: usize,
    five_progress: usize,
    /// What has happened and was not told.
    waiting: MouseEvent,
    /// The buttons that were told.
    told_buttons: u8,
    answer: [u8; ANSWER],
    answer_length: usize,
}

impl MouseEmulation {
    /// Mice have moved: their motions add up, `buttons` are those that are down on any.
    pub fn take(&mut self, event: MouseEvent) {
        self.waiting.x = self.waiting.x.saturating_add(event.x);
        self.waiting.y = self.waiting.y.saturating_add(event.y);
        self.waiting.wheel = self.waiting.wheel.saturating_add(event.wheel);
        self.waiting.buttons = event.buttons;
    }

    /// Whether there is something to read.
    pub fn is_ready(&self) -> bool {
        self.answer_length > 0 || self.has_news()
    }

    fn has_news(&self) -> bool {
        let MouseEvent { x, y, wheel, buttons } = self.waiting;
        (x, y, wheel) != (0, 0, 0) || buttons != self.told_buttons
    }

    /// Copies what there is to read, a packet or an answer, as far as there is room; tells how many bytes. The rest of a
    /// packet comes next.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        if self.answer_length == 0 && self.has_news() {
            self.add_packet();
        }
        let length = bytes.len().min(self.answer_length);
        bytes[..length].copy_from_slice(&self.answer[..length]);
        self.answer.copy_within(length.., 0);
        self.answer_length -= length;
        length
    }

    /// A program writes a byte: a command to the mouse.
    pub fn write(&mut self, byte: u8) {
        if follows(&mut self.five_progress, &FIVE_BUTTONS, byte) {
            self.kind = MouseKind::FiveButtons;
        }
        if follows(&mut self.wheel_progress, &WHEEL, byte) {
            self.kind = MouseKind::Wheel;
        }
        self.answer_length = 0;
        self.push(ACKNOWLEDGE);
        match byte {
            // Read data.
            0xeb => self.add_packet(),
            // Get the number of the kind.
            0xf2 => self.push(match self.kind {
                MouseKind::Plain => 0,
                MouseKind::Wheel => 3,
                MouseKind::FiveButtons => 4,
            }),
            // Status: it reports by itself, at such a resolution and rate.
            0xe9 => [0x60, 3, 200].into_iter().for_each(|byte| self.push(byte)),
            // Reset: the self-test was passed.
            0xff => {
                (self.kind, self.wheel_progress, self.five_progress) = (MouseKind::Plain, 0, 0);
                [0xaa, 0].into_iter().for_each(|byte| self.push(byte));
            }
            _ => {}
        }
    }

    fn push(&mut self, byte: u8) {
        self.answer[self.answer_length] = byte;
        self.answer_length += 1;
    }

    /// Tells as much as a packet holds.
    fn add_packet(&mut self) {
        let part = |value: &mut i32, most: i32| {
            let part = (*value).clamp(-most, most);
            *value -= part;
            part
        };
        let buttons = self.waiting.buttons;
        let x = part(&mut self.waiting.x, 127);
        // Up is positive in packets.
        let y = -part(&mut self.waiting.y, 127);
        let sign = |value: i32, bit: u8| if value < 0 { 1 << bit } else { 0 };
        self.push(ALWAYS | sign(x, 4) | sign(y, 5) | buttons & 0x07);
        self.push(x as u8);
        self.push(y as u8);
        match self.kind {
            MouseKind::Plain => self.waiting.wheel = 0,
            MouseKind::Wheel => {
                let wheel = -part(&mut self.waiting.wheel, 127);
                self.push(wheel as u8);
            }
            MouseKind::FiveButtons => {
                let wheel = -part(&mut self.waiting.wheel, 7);
                self.push(wheel as u8 & 0x0f | (buttons & 0x18) << 1);
            }
        }
        self.told_buttons = buttons;
    }
}

/// Whether a byte ends the sequence, whose first `progress` bytes have come.
fn follows(progress: &mut usize, sequence: &[u8; 6], byte: u8) -> bool {
    *progress = if byte == sequence[*progress] { *progress + 1 } else { usize::from(byte == sequence[0]) };
    let is_end = *progress == sequence.len();
    if is_end {
        *progress = 0;
    }
    is_end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MouseDecoder;
    use alloc::vec::Vec;

    fn read(mouse: &mut MouseEmulation) -> Vec<u8> {
        let mut bytes = [0; 16];
        let length = mouse.read(&mut bytes);
        bytes[..length].to_vec()
    }

    fn ask(mouse: &mut MouseEmulation, bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .flat_map(|byte| {
                mouse.write(*byte);
                read(mouse)
            })
            .collect()
    }

    #[test]
    fn it_becomes_what_it_is_asked_to_be() {
        let mut mouse = MouseEmulation::default();
        assert_eq!(ask(&mut mouse, &[0xf2]), [0xfa, 0]);
        assert_eq!(ask(&mut mouse, &WHEEL), [0xfa; 6]);
        assert_eq!(ask(&mut mouse, &[0xf2, 0xe9]), [0xfa, 3, 0xfa, 0x60, 3, 200]);
        ask(&mut mouse, &FIVE_BUTTONS);
        assert_eq!(ask(&mut mouse, &[0xf2]), [0xfa, 4]);
        assert_eq!(ask(&mut mouse, &[0xff, 0xf2]), [0xfa, 0xaa, 0, 0xfa, 0]);
        // Read data, of which there is none: a packet all the same.
        assert_eq!(ask(&mut mouse, &[0xeb]), [0xfa, 8, 0, 0]);
    }

    #[test]
    fn what_it_tells_adds_up_to_what_happened() {
        for (sequence, kind) in
            [(&[][..], MouseKind::Plain), (&WHEEL, MouseKind::Wheel), (&FIVE_BUTTONS, MouseKind::FiveButtons)]
        {
            let mut mouse = MouseEmulation::default();
            ask(&mut mouse, sequence);
            for (x, y, wheel, buttons) in [(300, -500, 20, 1), (-1, 1, -1, 3), (0, 0, 0, 0x1a), (0, 0, 0, 0)]
            {
                mouse.take(MouseEvent { x, y, wheel, buttons });
                let mut decoder = MouseDecoder::new(kind);
                let mut sum = MouseEvent::default();
                while mouse.is_ready() {
                    for byte in read(&mut mouse) {
                        if let Some(told) = decoder.decode(byte) {
                            sum = MouseEvent {
                                x: sum.x + told.x,
                                y: sum.y + told.y,
                                wheel: sum.wheel + told.wheel,
                                buttons: told.buttons,
                            };
                        }
                    }
                }
                let wheel = if kind == MouseKind::Plain { 0 } else { wheel };
                let mask = if kind == MouseKind::FiveButtons { 0x1f } else { 0x07 };
                assert_eq!(sum, MouseEvent { x, y, wheel, buttons: buttons & mask }, "{kind:?}");
            }
        }
    }

    #[test]
    fn packets_can_be_read_in_parts() {
        let mut mouse = MouseEmulation::default();
        mouse.take(MouseEvent { x: 5, ..MouseEvent::default() });
        let mut byte = [0];
        let bytes: Vec<u8> = core::iter::from_fn(|| (mouse.read(&mut byte) > 0).then_some(byte[0])).collect();
        assert_eq!(bytes, [8, 5, 0]);
        assert!(!mouse.is_ready());
    }

    #[test]
    fn every_byte_is_survived() {
        let mut mouse = MouseEmulation::default();
        for byte in (0..=255).chain(WHEEL).chain(0..=255).chain(FIVE_BUTTONS).chain(0..=255) {
            mouse.take(MouseEvent { x: i32::MIN, y: i32::MAX, wheel: i32::MIN, buttons: byte });
            mouse.write(byte);
            assert!(read(&mut mouse).len() <= ANSWER);
        }
    }
}
