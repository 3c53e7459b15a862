//! The input buffer: a ring of bytes, of which some are marked as ends of lines.

/// Bytes that the buffer holds.
pub const CAPACITY: usize = 4096;

/// What stands in the buffer for an end of file; such a byte is always marked.
pub(crate) const END_OF_FILE: u8 = 0;

/// The ring. Positions count up for ever; the low bits are the place.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    bytes: [u8; CAPACITY],
    marks: [u64; CAPACITY / 64],
    /// First byte that was not read.
    tail: usize,
    /// Behind the last complete line.
    line_head: usize,
    /// Behind the last byte.
    head: usize,
}

impl Input {
    pub(crate) const fn new() -> Input {
        Input { bytes: [0; CAPACITY], marks: [0; CAPACITY / 64], tail: 0, line_head: 0, head: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.marks = [0; CAPACITY / 64];
        (self.tail, self.line_head, self.head) = (0, 0, 0);
    }

    /// Number of bytes, read-ahead included.
    pub(crate) fn len(&self) -> usize {
        self.head.wrapping_sub(self.tail)
    }

    /// Makes room for a byte, as Linux does: one place stays free in raw mode; a line that is not complete gives up
    /// its last byte. `false` if there is no room.
    pub(crate) fn make_room(&mut self, is_canonical: bool) -> bool {
        if self.len() < CAPACITY - 1 {
            return true;
        }
        if !is_canonical || self.line_head != self.tail {
            return false;
        }
        if self.len() == CAPACITY {
            self.head = self.head.wrapping_sub(1);
        }
        true
    }

    /// Adds a byte; there must be room.
    pub(crate) fn push(&mut self, byte: u8) {
        if self.len() < CAPACITY {
            self.set_mark(self.head, false);
            self.bytes[self.head % CAPACITY] = byte;
            self.head = self.head.wrapping_add(1);
        }
    }

    /// Adds the last byte of a line.
    pub(crate) fn push_line_end(&mut self, byte: u8) {
        if self.len() < CAPACITY {
            self.push(byte);
            self.set_mark(self.head.wrapping_sub(1), true);
            self.line_head = self.head;
        }
    }

    /// The bytes of the line that is being typed, oldest first.
    pub(crate) fn open_line(&self) -> impl DoubleEndedIterator<Item = u8> {
        let len = self.head.wrapping_sub(self.line_head);
        (0..len).map(|index| self.bytes[self.line_head.wrapping_add(index) % CAPACITY])
    }

    /// Whether nothing was typed since the last line.
    pub(crate) fn is_line_empty(&self) -> bool {
        self.head == self.line_head
    }

    /// The byte so many places before the end.
    pub(crate) fn byte_before_end(&self, back: usize) -> u8 {
        self.bytes[self.head.wrapping_sub(back) % CAPACITY]
    }

    /// Takes bytes off the line that is being typed.
    pub(crate) fn erase(&mut self, count: usize) {
        self.head = self.head.wrapping_sub(count.min(self.head.wrapping_sub(self.line_head)));
    }

    /// Takes the whole line that is being typed.
    pub(crate) fn erase_line(&mut self) {
        self.head = self.line_head;
    }

    /// After a change between line and raw mode: what is there becomes one line, or just bytes.
    pub(crate) fn change_mode(&mut self, is_canonical: bool) {
        self.marks = [0; CAPACITY / 64];
        if is_canonical && self.len() > 0 {
            self.set_mark(self.head.wrapping_sub(1), true);
            self.line_head = self.head;
        } else {
            self.line_head = self.tail;
        }
    }

    pub(crate) fn can_read(&self, is_canonical: bool) -> bool {
        let end = if is_canonical { self.line_head } else { self.head };
        end != self.tail
    }

    pub(crate) fn readable_bytes(&self, is_canonical: bool) -> usize {
        if !is_canonical {
            return self.len();
        }
        let count = self.line_head.wrapping_sub(self.tail);
        (0..count).filter(|&index| !self.is_end_of_file(self.tail.wrapping_add(index))).count()
    }

    pub(crate) fn read_raw(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.len());
        for place in &mut buffer[..count] {
            *place = self.bytes[self.tail % CAPACITY];
            self.tail = self.tail.wrapping_add(1);
        }
        // Nothing of a line may stay behind the tail.
        self.line_head = self.tail;
        count
    }

    /// Copies up to the end of the line; 0 means that it was an end of file.
    pub(crate) fn read_line(&mut self, buffer: &mut [u8]) -> usize {
        let mut count = 0;
        while self.tail != self.line_head {
            if count == buffer.len() {
                // An end of file directly behind a full buffer goes with it, else the next read would answer 0.
                if self.is_end_of_file(self.tail) {
                    self.take();
                }
                break;
            }
            let is_end_of_file = self.is_end_of_file(self.tail);
            let (byte, is_end) = self.take();
            if !is_end_of_file {
                buffer[count] = byte;
                count += 1;
            }
            if is_end {
                break;
            }
        }
        count
    }

    /// The next byte, and whether it ends a line.
    fn take(&mut self) -> (u8, bool) {
        let at = self.tail;
        let is_end = self.is_marked(at);
        self.set_mark(at, false);
        self.tail = at.wrapping_add(1);
        (self.bytes[at % CAPACITY], is_end)
    }

    fn is_end_of_file(&self, at: usize) -> bool {
        self.is_marked(at) && self.bytes[at % CAPACITY] == END_OF_FILE
    }

    fn is_marked(&self, at: usize) -> bool {
        let at = at % CAPACITY;
        self.marks[at / 64] >> (at % 64) & 1 != 0
    }

    fn set_mark(&mut self, at: usize, mark: bool) {
        let at = at % CAPACITY;
        self.marks[at / 64] = self.marks[at / 64] & !(1 << (at % 64)) | u64::from(mark) << (at % 64);
    }
}
