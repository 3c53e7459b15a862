//! A ring of bytes: pipes, terminal queues, anything that one side fills and the other empties.
//!
//! The storage is the caller's: an array in a static, or a vector. Besides copying, both sides can work in place
//! ([`Ring::filled`], [`Ring::spare_mut`]), which is how bytes go between a pipe and a program without a detour.
#![no_std]
#![forbid(unsafe_code)]

/// A ring over some storage; its length is the capacity.
#[derive(Clone, Debug)]
pub struct Ring<S> {
    storage: S,
    /// Place of the oldest byte.
    start: usize,
    len: usize,
}

impl<S> Ring<S> {
    /// An empty ring.
    pub const fn new(storage: S) -> Ring<S> {
        Ring { storage, start: 0, len: 0 }
    }

    /// Number of bytes in it.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops all bytes.
    pub const fn clear(&mut self) {
        (self.start, self.len) = (0, 0);
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]>> Ring<S> {
    /// Bytes that fit.
    pub fn capacity(&self) -> usize {
        self.storage.as_ref().len()
    }

    /// Bytes that still fit.
    pub fn free(&self) -> usize {
        self.capacity() - self.len
    }

    /// Whether nothing fits.
    pub fn is_full(&self) -> bool {
        self.free() == 0
    }

    /// Adds a byte; `false` if it does not fit.
    pub fn push(&mut self, byte: u8) -> bool {
        self.push_slice(&[byte]) == 1
    }

    /// Takes the oldest byte.
    pub fn pop(&mut self) -> Option<u8> {
        let mut byte = [0];
        (self.pop_slice(&mut byte) == 1).then_some(byte[0])
    }

    /// Adds as many bytes as fit; returns how many.
    pub fn push_slice(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let spare = self.spare_mut();
            if spare.is_empty() {
                break;
            }
            let count = spare.len().min(bytes.len() - done);
            spare[..count].copy_from_slice(&bytes[done..done + count]);
            self.commit(count);
            done += count;
        }
        done
    }

    /// Takes as many bytes as there are; returns how many.
    pub fn pop_slice(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.peek_slice(buffer);
        self.consume(count);
        count
    }

    /// Copies as many bytes as there are and leaves them; returns how many.
    pub fn peek_slice(&self, buffer: &mut [u8]) -> usize {
        let (front, back) = self.filled();
        let first = front.len().min(buffer.len());
        buffer[..first].copy_from_slice(&front[..first]);
        let second = back.len().min(buffer.len() - first);
        buffer[first..first + second].copy_from_slice(&back[..second]);
        first + second
    }

    /// All bytes, the oldest first, in two pieces.
    pub fn filled(&self) -> (&[u8], &[u8]) {
        let storage = self.storage.as_ref();
        let end = self.start + self.len;
        if end <= storage.len() {
            (&storage[self.start..end], &[])
        } else {
            (&storage[self.start..], &storage[..end - storage.len()])
        }
    }

    /// The next free piece, to be filled in place and then [committed](Ring::commit). There may be a second one after
    /// that.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let capacity = self.capacity();
        if self.len == capacity {
            return &mut [];
        }
        let end = self.start + self.len;
        let range = if end < capacity { end..capacity } else { end - capacity..self.start };
        &mut self.storage.as_mut()[range]
    }

    /// Adds bytes that were written into the spare piece; no more than fit are added.
    pub fn commit(&mut self, count: usize) {
        self.len += count.min(self.free());
    }

    /// Drops the oldest bytes; no more than there are.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        // An empty ring begins anew, so that the spare piece is as long as possible.
        self.start = if self.len == 0 { 0 } else { (self.start + count) % self.capacity() };
    }

    /// Moves the bytes into other storage; gives the ring back unchanged if they do not fit.
    pub fn with_storage<T: AsRef<[u8]> + AsMut<[u8]>>(self, storage: T) -> Result<Ring<T>, Ring<S>> {
        if storage.as_ref().len() < self.len {
            return Err(self);
        }
        let mut moved = Ring::new(storage);
        let (front, back) = self.filled();
        moved.push_slice(front);
        moved.push_slice(back);
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn full_and_empty_are_told_apart() {
        let mut ring = Ring::new([0; 3]);
        assert_eq!(ring.pop(), None);
        assert_eq!(ring.push_slice(b"abcd"), 3);
        assert!(ring.is_full() && !ring.push(b'x'));
        assert_eq!((ring.pop(), ring.len()), (Some(b'a'), 2));
        assert!(ring.push(b'd'));
        assert_eq!(ring.filled(), (&b"bc"[..], &b"d"[..]));
    }

    #[test]
    fn a_ring_without_room_takes_nothing() {
        let mut ring = Ring::new([0; 0]);
        assert_eq!((ring.push(1), ring.pop(), ring.spare_mut().len()), (false, None, 0));
    }

    #[test]
    fn bytes_move_into_other_storage() {
        let mut ring = Ring::new(vec![0; 4]);
        ring.push_slice(b"abcd");
        ring.consume(2);
        ring.push_slice(b"ef");
        let ring = ring.with_storage(vec![0; 3]).unwrap_err();
        let ring = ring.with_storage([0; 8]).unwrap();
        assert_eq!((ring.filled(), ring.capacity()), ((&b"cdef"[..], &b""[..]), 8));
    }

    #[test]
    fn random_use_agrees_with_a_queue() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut ring = Ring::new([0; 61]);
        let mut model = VecDeque::new();
        for _ in 0..100_000 {
            match random(4) {
                0 => {
                    let bytes: Vec<u8> = (0..random(80)).map(|_| random(256) as u8).collect();
                    let count = ring.push_slice(&bytes);
                    assert_eq!(count, bytes.len().min(61 - model.len()));
                    model.extend(&bytes[..count]);
                }
                1 => {
                    let mut buffer = vec![0; random(80) as usize];
                    let count = ring.pop_slice(&mut buffer);
                    assert!(buffer[..count].iter().copied().eq(model.drain(..count)));
                    assert!(count == buffer.len() || model.is_empty());
                }
                2 => {
                    let spare = ring.spare_mut();
                    let count = random(spare.len() as u64 + 1) as usize;
                    spare[..count].fill(7);
                    ring.commit(count);
                    model.extend(core::iter::repeat_n(7, count));
                }
                _ => {
                    let count = random(10) as usize;
                    ring.consume(count);
                    model.drain(..count.min(model.len()));
                }
            }
            let (front, back) = ring.filled();
            assert!(front.iter().chain(back).eq(model.iter()));
        }
    }
}
