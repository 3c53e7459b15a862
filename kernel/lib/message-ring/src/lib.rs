//! A ring of text messages in a piece of memory: the kernel's log.
//!
//! Each message has a sequence number that never repeats. A reader keeps its own place, a [`Cursor`], and
//! notices by the numbers when the ring has overtaken it. Appending drops the oldest messages until the new one fits;
//! it never fails and never allocates. The memory can be replaced by a larger or smaller one.
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

/// A reader's place in a ring. One of another ring leads to nonsense, not to a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    sequence: u64,
    at: usize,
    /// In which memory `at` is.
    memory: u32,
}

impl Cursor {
    /// Number of the message that is read next, if the ring still has it.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// The ring, in the memory `M`; without any (an empty `M`) it counts messages and keeps none.
pub struct MessageRing<M> {
    bytes: M,
    /// How often the memory was replaced.
    memory: u32,
    /// Offset of the oldest record.
    start: usize,
    /// Bytes in use, from `start` on, around the end.
    used: usize,
    /// Number of the oldest record.
    first: u64,
    /// Number that the next record will get.
    next: u64,
}

impl<M> MessageRing<M> {
    /// An empty ring; the first message will have the number 0.
    pub const fn new(bytes: M) -> Self {
        Self { bytes, memory: 0, start: 0, used: 0, first: 0, next: 0 }
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> MessageRing<M> {
    /// Size of the memory behind the ring.
    pub fn capacity(&self) -> usize {
        self.bytes.as_ref().len()
    }

    /// Moves to another memory, with as many of the newest messages as it holds; returns the old one.
    pub fn replace(&mut self, mut bytes: M) -> M {
        let capacity = bytes.as_ref().len();
        while self.used > capacity {
            self.drop_oldest();
        }
        self.copy_out(self.start, &mut bytes.as_mut()[..self.used]);
        self.start = 0;
        self.memory = self.memory.wrapping_add(1);
        core::mem::replace(&mut self.bytes, bytes)
    }

    /// Adds a message and returns its number. Text beyond the ring's size (or 65535 bytes) is cut off.
    pub fn push(&mut self, header: Header, text: &[u8]) -> u64 {
        let capacity = self.capacity();
        let Some(longest) = capacity.checked_sub(HEADER_SIZE) else {
            self.next += 1;
            self.first = self.next;
            return self.next - 1;
        };
        let length = text.len().min(longest).min(usize::from(u16::MAX));
        while capacity - self.used < HEADER_SIZE + length {
            self.drop_oldest();
        }
        let at = (self.start + self.used) % capacity;
        let mut head = [0; HEADER_SIZE];
        head[0..2].copy_from_slice(&(length as u16).to_le_bytes());
        head[2..4].copy_from_slice(&header.cpu.to_le_bytes());
        head[4] = header.priority;
        head[5..13].copy_from_slice(&header.time_ns.to_le_bytes());
        self.copy_in(at, &head);
        self.copy_in((at + HEADER_SIZE) % capacity, &text[..length]);
        self.used += HEADER_SIZE + length;
        self.next += 1;
        self.next - 1
    }

    /// The place of the oldest message.
    pub fn oldest(&self) -> Cursor {
        Cursor { sequence: self.first, at: self.start, memory: self.memory }
    }

    /// The place where the next message will stand.
    pub fn newest(&self) -> Cursor {
        let at = (self.start + self.used).checked_rem(self.capacity()).unwrap_or(0);
        Cursor { sequence: self.next, at, memory: self.memory }
    }

    /// Copies out the message at `cursor`, or the oldest one if that is gone, with as much of the text as
    /// `buffer` holds, and moves the cursor behind it. `None`: there is nothing yet.
    pub fn read(&self, cursor: &mut Cursor, buffer: &mut [u8]) -> Option<Record> {
        if cursor.sequence < self.first {
            *cursor = self.oldest();
        }
        if cursor.sequence >= self.next {
            return None;
        }
        if cursor.memory != self.memory {
            *cursor = self.find(cursor.sequence);
        }
        let capacity = self.capacity();
        let (header, length) = self.header_at(cursor.at % capacity);
        let text = (cursor.at + HEADER_SIZE) % capacity;
        let kept = length.min(buffer.len());
        self.copy_out(text, &mut buffer[..kept]);
        let record = Record { sequence: cursor.sequence, header, length };
        *cursor =
            Cursor { sequence: cursor.sequence + 1, at: (text + length) % capacity, memory: self.memory };
        Some(record)
    }

    /// The place of the message with this number, which the ring has.
    fn find(&self, sequence: u64) -> Cursor {
        let mut cursor = self.oldest();
        while cursor.sequence < sequence {
            let (_, length) = self.header_at(cursor.at);
            cursor.at = (cursor.at + HEADER_SIZE + length) % self.capacity();
            cursor.sequence += 1;
        }
        cursor
    }

    fn drop_oldest(&mut self) {
        let (_, length) = self.header_at(self.start);
        self.start = (self.start + HEADER_SIZE + length) % self.capacity();
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
        let memory = self.bytes.as_mut();
        let (end, around) = bytes.split_at(bytes.len().min(memory.len() - at));
        memory[at..at + end.len()].copy_from_slice(end);
        memory[..around.len()].copy_from_slice(around);
    }

    fn copy_out(&self, at: usize, bytes: &mut [u8]) {
        let memory = self.bytes.as_ref();
        let (end, around) = bytes.split_at_mut(bytes.len().min(memory.len() - at));
        end.copy_from_slice(&memory[at..at + end.len()]);
        around.copy_from_slice(&memory[..around.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(time_ns: u64) -> Header {
        Header { time_ns, cpu: 3, priority: 6 }
    }

    fn texts(ring: &MessageRing<impl AsRef<[u8]> + AsMut<[u8]>>, mut cursor: Cursor) -> Vec<(u64, String)> {
        let mut buffer = [0; 256];
        let mut texts = Vec::new();
        while let Some(record) = ring.read(&mut cursor, &mut buffer) {
            texts.push((record.sequence, String::from_utf8_lossy(&buffer[..record.length]).into_owned()));
        }
        texts
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut ring = MessageRing::new([0; 64]);
        assert_eq!(ring.push(header(7), b"one"), 0);
        let mut behind_one = ring.newest();
        assert_eq!(ring.push(header(8), b"two"), 1);
        assert_eq!(texts(&ring, ring.oldest()), [(0, "one".into()), (1, "two".into())]);
        assert_eq!(texts(&ring, ring.newest()), []);
        let record = ring.read(&mut behind_one, &mut [0; 8]).expect("it is there");
        assert_eq!(record, Record { sequence: 1, header: header(8), length: 3 });
        assert_eq!(behind_one, ring.newest());
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ring = MessageRing::new([0; 64]);
        let first = ring.oldest();
        for number in 0..100_u64 {
            let said = format!("message {number}");
            assert_eq!(ring.push(header(number), said.as_bytes()), number);
            let texts = texts(&ring, first);
            assert!((1..=3).contains(&texts.len()));
            assert_eq!(texts.last(), Some(&(number, said)));
        }
        assert_eq!(texts(&ring, first)[0], (98, "message 98".into()));
    }

    #[test]
    fn a_small_buffer_gets_the_beginning() {
        let mut ring = MessageRing::new([0; 64]);
        ring.push(header(0), b"abcdef");
        let mut buffer = [0; 3];
        assert_eq!(ring.read(&mut ring.oldest(), &mut buffer).map(|r| r.length), Some(6));
        assert_eq!(&buffer, b"abc");
    }

    #[test]
    fn a_message_larger_than_the_ring_is_cut() {
        let mut ring = MessageRing::new([0; 64]);
        ring.push(header(0), b"first");
        ring.push(header(1), &[b'x'; 100]);
        assert_eq!(texts(&ring, ring.oldest()), [(1, "x".repeat(64 - HEADER_SIZE))]);
    }

    #[test]
    fn empty_messages_are_messages() {
        let mut ring = MessageRing::new([0; 64]);
        for number in 0..20 {
            assert_eq!(ring.push(header(0), b""), number);
        }
        assert_eq!(texts(&ring, ring.oldest()).last(), Some(&(19, String::new())));
    }

    #[test]
    fn without_memory_messages_are_counted() {
        let mut ring = MessageRing::new(Vec::new());
        assert_eq!((ring.push(header(0), b"a"), ring.push(header(0), b"b")), (0, 1));
        assert_eq!(texts(&ring, ring.oldest()), []);
        ring.replace(vec![0; 100]);
        assert_eq!(ring.push(header(0), b"c"), 2);
        assert_eq!(texts(&ring, ring.oldest()), [(2, "c".into())]);
    }

    /// Against a list of all messages, of which the ring must have the newest that fit; readers keep their places.
    #[test]
    fn agrees_with_a_list_whatever_its_memory() {
        let mut state = 0x2545_f491_4f6c_dd1du64;
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        for _ in 0..50 {
            let mut ring = MessageRing::new(vec![0; below(300) as usize]);
            // The number of the oldest message that the ring must have.
            let (mut all, mut oldest) = (Vec::<String>::new(), 0);
            let mut reader = ring.oldest();
            for _ in 0..400 {
                let capacity = ring.capacity();
                match below(12) {
                    0 => {
                        ring.replace(vec![0; below(400) as usize]);
                    }
                    1 => {
                        let wanted = reader.sequence().max(oldest);
                        let record = ring.read(&mut reader, &mut []);
                        let expected = all.get(wanted as usize).map(|text| (wanted, text.len()));
                        assert_eq!(record.map(|record| (record.sequence, record.length)), expected);
                    }
                    _ => {
                        let mut text = "x".repeat(below(90) as usize);
                        ring.push(header(0), text.as_bytes());
                        text.truncate(capacity.saturating_sub(HEADER_SIZE));
                        all.push(text);
                    }
                }
                let mut size = 0;
                let fits = |text: &&String| {
                    size += HEADER_SIZE + text.len();
                    size <= ring.capacity()
                };
                let kept = all.iter().rev().take_while(fits).count() as u64;
                // What was dropped once does not come back with more memory.
                oldest = oldest.max(all.len() as u64 - kept);
                let expected: Vec<_> = (oldest..).zip(all[oldest as usize..].iter().cloned()).collect();
                assert_eq!(texts(&ring, ring.oldest()), expected);
            }
        }
    }
}
