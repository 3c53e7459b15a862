//! A ring of text messages in a fixed piece of memory: the kernel's log.
//!
//! Each message has a sequence number that never repeats, so that a reader keeps its own place and
//! notices when the ring has overtaken it. Appending drops the oldest messages until the new one fits;
//! it never fails and never allocates.
//!
//! Format: records stand one behind the other and may wrap around the end of the memory. A record is
//! a header of [`HEADER_SIZE`] bytes (length of the text, CPU, priority, time; little-endian) and the text.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// Bytes in front of each message's text.
pub const HEADER_SIZE: usize = 13;

/// What is kept of a message besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Nanoseconds since boot.
    pub time_ns: u64,
    /// The CPU that said it.
    pub cpu: u16,
    /// syslog priority: facility * 8 + level.
    pub priority: u8,
}

/// A message that was copied out of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number; the next message has the next number.
    pub sequence: u64,
    /// Time, CPU and priority.
    pub header: Header,
    /// Length of the text in the ring; the reader's buffer may have held less of it.
    pub length: usize,
}

/// The ring, with `N` bytes for headers and texts.
pub struct MessageRing<const N: usize> {
    bytes: [u8; N],
    /// Offset of the oldest record.
    start: usize,
    /// Bytes in use, from `start` on, around the end.
    used: usize,
    /// Number of the oldest record.
    first: u64,
    /// Number that the next record will get.
    next: u64,
}

impl<const N: usize> MessageRing<N> {
    /// An empty ring; the first message will have the number 0.
    pub const fn new() -> Self {
        Self { bytes: [0; N], start: 0, used: 0, first: 0, next: 0 }
    }

    /// Number of the oldest message that is still there (or of the next one, if there is none).
    pub fn first_sequence(&self) -> u64 {
        self.first
    }

    /// Number that the next message will get.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Size of the memory behind the ring.
    pub const fn capacity(&self) -> usize {
        N
    }

    /// Adds a message and returns its number. Text beyond the ring's size (or 65535 bytes) is cut off.
    pub fn push(&mut self, header: Header, text: &[u8]) -> u64 {
        let length = text.len().min(N.saturating_sub(HEADER_SIZE)).min(usize::from(u16::MAX));
        while N - self.used < HEADER_SIZE + length {
            self.drop_oldest();
        }
        let at = (self.start + self.used) % N;
        let mut head = [0; HEADER_SIZE];
        head[0..2].copy_from_slice(&(length as u16).to_le_bytes());
        head[2..4].copy_from_slice(&header.cpu.to_le_bytes());
        head[4] = header.priority;
        head[5..13].copy_from_slice(&header.time_ns.to_le_bytes());
        self.copy_in(at, &head);
        self.copy_in((at + HEADER_SIZE) % N, &text[..length]);
        self.used += HEADER_SIZE + length;
        self.next += 1;
        self.next - 1
    }

    /// Copies out the message number `sequence`, or the oldest one after it, and as much of the text as `buffer` holds.
    pub fn read(&self, sequence: u64, buffer: &mut [u8]) -> Option<Record> {
        let mut number = self.first;
        let mut at = self.start;
        while number < self.next {
            let (header, length) = self.header_at(at);
            let text = (at + HEADER_SIZE) % N;
            if number >= sequence {
                let kept = length.min(buffer.len());
                self.copy_out(text, &mut buffer[..kept]);
                return Some(Record { sequence: number, header, length });
            }
            number += 1;
            at = (text + length) % N;
        }
        None
    }

    fn drop_oldest(&mut self) {
        let (_, length) = self.header_at(self.start);
        self.start = (self.start + HEADER_SIZE + length) % N;
        self.used -= HEADER_SIZE + length;
        self.first += 1;
    }

    fn header_at(&self, at: usize) -> (Header, usize) {
        let mut head = [0; HEADER_SIZE];
        self.copy_out(at, &mut head);
        let [l0, l1, c0, c1, priority, time @ ..] = head;
        let header =
            Header { time_ns: u64::from_le_bytes(time), cpu: u16::from_le_bytes([c0, c1]), priority };
        (header, usize::from(u16::from_le_bytes([l0, l1])))
    }

    fn copy_in(&mut self, at: usize, bytes: &[u8]) {
        let (end, around) = bytes.split_at(bytes.len().min(N - at));
        self.bytes[at..at + end.len()].copy_from_slice(end);
        self.bytes[..around.len()].copy_from_slice(around);
    }

    fn copy_out(&self, at: usize, bytes: &mut [u8]) {
        let (end, around) = bytes.split_at_mut(bytes.len().min(N - at));
        end.copy_from_slice(&self.bytes[at..at + end.len()]);
        around.copy_from_slice(&self.bytes[..around.len()]);
    }
}

impl<const N: usize> Default for MessageRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(time_ns: u64) -> Header {
        Header { time_ns, cpu: 3, priority: 6 }
    }

    fn text(ring: &MessageRing<64>, sequence: u64) -> Option<(u64, String)> {
        let mut buffer = [0; 64];
        let record = ring.read(sequence, &mut buffer)?;
        Some((record.sequence, String::from_utf8_lossy(&buffer[..record.length]).into_owned()))
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut ring = MessageRing::<64>::new();
        assert_eq!(ring.push(header(7), b"one"), 0);
        assert_eq!(ring.push(header(8), b"two"), 1);
        let mut buffer = [0; 8];
        let record = ring.read(1, &mut buffer).expect("it is there");
        assert_eq!(record, Record { sequence: 1, header: header(8), length: 3 });
        assert_eq!(text(&ring, 0), Some((0, "one".into())));
        assert_eq!(text(&ring, 2), None);
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = MessageRing::<64>::new();
        for number in 0..100_u64 {
            let said = format!("message {number}");
            assert_eq!(ring.push(header(number), said.as_bytes()), number);
            assert_eq!(text(&ring, number), Some((number, said)));
            assert!(ring.next_sequence() - ring.first_sequence() <= 3);
        }
        assert_eq!(text(&ring, 0), Some((98, "message 98".into())));
    }

    #[test]
    fn a_small_buffer_gets_the_beginning() {
        let mut ring = MessageRing::<64>::new();
        ring.push(header(0), b"abcdef");
        let mut buffer = [0; 3];
        assert_eq!(ring.read(0, &mut buffer).map(|r| r.length), Some(6));
        assert_eq!(&buffer, b"abc");
    }

    #[test]
    fn a_message_larger_than_the_ring_is_cut() {
        let mut ring = MessageRing::<64>::new();
        ring.push(header(0), b"first");
        ring.push(header(1), &[b'x'; 100]);
        assert_eq!(text(&ring, 0), Some((1, "x".repeat(64 - HEADER_SIZE))));
    }

    #[test]
    fn empty_messages_are_messages() {
        let mut ring = MessageRing::<64>::new();
        for number in 0..20 {
            assert_eq!(ring.push(header(0), b""), number);
        }
        assert_eq!(text(&ring, 19), Some((19, String::new())));
    }
}
