//! Random numbers that cannot be predicted: a generator on ChaCha20 with fast key erasure.
//!
//! The state is one key. Each request takes a fresh key from the front of the key stream and hands out
//! what follows, so that whoever reads the memory later learns nothing about earlier output. Input (seeds, times)
//! is absorbed 16 bytes at a time: each chunk, used as block number and nonce, selects the next key, a cascade
//! that keeps all unpredictability there was and adds that of the chunk.
//!
//! ChaCha20 is written out here, in integer arithmetic, since ready-made ones use vector registers where
//! the CPU has them, and these belong to the programs. Source: RFC 8439, section 2.3.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

/// Bytes of a key.
pub const KEY_LENGTH: usize = 32;
/// Bytes that one run of ChaCha20 gives.
const BLOCK: usize = 64;
/// Bytes that are absorbed at a time.
const CHUNK: usize = 16;

/// The generator.
pub struct Generator {
    key: [u32; 8],
}

impl Generator {
    /// A generator without any unpredictability yet.
    pub const fn new() -> Self {
        Self { key: [0; 8] }
    }

    /// Absorbs input of any length and quality. The length counts too.
    pub fn absorb(&mut self, input: &[u8]) {
        for part in input.chunks(CHUNK) {
            let mut chunk = [0; CHUNK];
            chunk[..part.len()].copy_from_slice(part);
            self.step(chunk);
        }
        let mut length = [0xff; CHUNK];
        length[..8].copy_from_slice(&(input.len() as u64).to_le_bytes());
        self.step(length);
    }

    /// Fills `output`.
    pub fn fill(&mut self, output: &mut [u8]) {
        let key = self.key;
        let first = block(&key, [0; 4]);
        self.set_key(&first);
        let (head, rest) = output.split_at_mut(output.len().min(BLOCK - KEY_LENGTH));
        head.copy_from_slice(&first[KEY_LENGTH..KEY_LENGTH + head.len()]);
        for (number, part) in (1_u64..).zip(rest.chunks_mut(BLOCK)) {
            let bytes = block(&key, [number as u32, (number >> 32) as u32, 0, 0]);
            part.copy_from_slice(&bytes[..part.len()]);
        }
    }

    fn step(&mut self, chunk: [u8; CHUNK]) {
        let word = |index: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| chunk[4 * index + byte]));
        let bytes = block(&self.key, [word(0), word(1), word(2), word(3)]);
        self.set_key(&bytes);
    }

    fn set_key(&mut self, bytes: &[u8; BLOCK]) {
        for (word, bytes) in self.key.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
}

impl Default for Generator {
    fn default() -> Self {
        Self::new()
    }
}

/// The ChaCha20 block function: a key, then block number and nonce.
fn block(key: &[u32; 8], input: [u32; 4]) -> [u8; BLOCK] {
    let mut start = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    start[4..12].copy_from_slice(key);
    start[12..16].copy_from_slice(&input);
    let mut state = start;
    for _ in 0..10 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter_round(&mut state, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter_round(&mut state, a, b, c, d);
        }
    }
    let mut output = [0; BLOCK];
    for (bytes, (word, start)) in output.chunks_exact_mut(4).zip(state.iter().zip(start)) {
        bytes.copy_from_slice(&word.wrapping_add(start).to_le_bytes());
    }
    output
}

fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (from, to, mixed, bits) in [(b, a, d, 16), (d, c, b, 12), (b, a, d, 8), (d, c, b, 7)] {
        state[to] = state[to].wrapping_add(state[from]);
        state[mixed] = (state[mixed] ^ state[to]).rotate_left(bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, section 2.3.2.
    #[test]
    fn the_block_function_is_chacha20() {
        let mut key = [0; 8];
        for (index, word) in key.iter_mut().enumerate() {
            let first = 4 * index as u8;
            *word = u32::from_le_bytes([first, first + 1, first + 2, first + 3]);
        }
        let output = block(&key, [1, 0x0900_0000, 0x4a00_0000, 0]);
        assert_eq!(output[..8], [0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15]);
        assert_eq!(output[56..], [0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e]);
    }

    #[test]
    fn output_never_repeats_and_depends_on_all_input() {
        let output = |inputs: &[&[u8]]| {
            let mut generator = Generator::new();
            inputs.iter().for_each(|input| generator.absorb(input));
            let mut output = [0; 100];
            generator.fill(&mut output);
            let mut more = [0; 100];
            generator.fill(&mut more);
            assert_ne!(output, more);
            output
        };
        let inputs: [&[&[u8]]; 6] = [
            &[],
            &[b""],
            &[b"\0"],
            &[b"seed of more than sixteen bytes"],
            &[b"seed of more than sixteen bytez"],
            &[b"a", b"b"],
        ];
        for (index, a) in inputs.iter().enumerate() {
            assert_eq!(output(a), output(a));
            for b in &inputs[..index] {
                assert_ne!(output(a), output(b));
            }
        }
    }

    #[test]
    fn every_length_is_filled() {
        for length in [0, 1, 31, 32, 33, 95, 96, 97, 1000] {
            let mut generator = Generator::new();
            generator.absorb(b"x");
            let mut output = vec![0; length];
            generator.fill(&mut output);
            let zeros = output.iter().filter(|byte| **byte == 0).count();
            assert!(zeros <= 2 + length / 32, "{zeros} zeros in {length}");
        }
    }
}
