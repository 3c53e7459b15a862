//! Bits in bytes, the lowest bit first: 1 is in use. Scans go by bytes or words wherever they can.

use core::ops::Range;

/// Whether a bit is 1.
pub(super) fn is_set(bits: &[u8], bit: u32) -> bool {
    bits[bit as usize / 8] & 1 << (bit % 8) != 0
}

/// Sets a range to 1.
pub(super) fn set(bits: &mut [u8], range: Range<u32>) {
    change(bits, range, |byte, mask| *byte |= mask);
}

/// Sets a range to 0.
pub(super) fn clear(bits: &mut [u8], range: Range<u32>) {
    change(bits, range, |byte, mask| *byte &= !mask);
}

fn change(bits: &mut [u8], range: Range<u32>, apply: impl Fn(&mut u8, u8)) {
    let mut bit = range.start;
    while bit < range.end {
        let in_byte = bit % 8;
        let count = (8 - in_byte).min(range.end - bit);
        let mask = (0xff_u8 >> (8 - count)) << in_byte;
        apply(&mut bits[bit as usize / 8], mask);
        bit += count;
    }
}

/// How many bits of a range are 0.
pub(super) fn count_zeros(bits: &[u8], range: Range<u32>) -> u32 {
    let mut zeros = 0;
    let mut bit = range.start;
    while bit < range.end {
        let in_byte = bit % 8;
        let count = (8 - in_byte).min(range.end - bit);
        let mask = (0xff_u8 >> (8 - count)) << in_byte;
        zeros += (!bits[bit as usize / 8] & mask).count_ones();
        bit += count;
    }
    zeros
}

/// The first 0 in a range.
pub(super) fn find_zero(bits: &[u8], range: Range<u32>) -> Option<u32> {
    let mut bit = range.start;
    while bit < range.end {
        let byte = bit as usize / 8;
        let rest = !bits[byte] >> (bit % 8);
        if rest != 0 {
            let found = bit + rest.trailing_zeros();
            return (found < range.end).then_some(found);
        }
        let full = words(&bits[byte + 1..]).take_while(|&word| word == u64::MAX).count();
        bit = ((byte + 1 + full * WORD) * 8) as u32;
    }
    None
}

/// The first bit of the first byte in a range that is all 0.
pub(super) fn find_zero_byte(bits: &[u8], range: Range<u32>) -> Option<u32> {
    let first = range.start.div_ceil(8) as usize;
    let bytes = bits.get(first..range.end as usize / 8)?;
    let skipped = words(bytes).take_while(|&word| !has_zero_byte(word)).count() * WORD;
    let index = skipped + bytes[skipped..].iter().position(|&byte| byte == 0)?;
    Some((first + index) as u32 * 8)
}

const WORD: usize = size_of::<u64>();

/// Bytes as words, as far as they fill words.
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<WORD>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Whether one of the bytes of a word is 0.
fn has_zero_byte(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    word.wrapping_sub(ONES) & !word & ONES << 7 != 0
}

/// How many bits from the first of a range are 0 without a gap.
pub(super) fn zero_run(bits: &[u8], range: Range<u32>) -> u32 {
    let mut bit = range.start;
    while bit < range.end {
        let in_byte = bit % 8;
        let run = (bits[bit as usize / 8] >> in_byte).trailing_zeros().min(8 - in_byte);
        bit += run;
        if run < 8 - in_byte {
            break;
        }
    }
    bit.min(range.end) - range.start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_agree_with_a_bit_by_bit_scan() {
        let mut seed = 7u64;
        for round in 0..4000 {
            let mut bits = [0u8; 40];
            for byte in &mut bits {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *byte = match seed >> 61 {
                    0 => 0,
                    1 => (seed >> 40) as u8 & (seed >> 50) as u8,
                    _ if round % 4 == 0 => (seed >> 40) as u8 & (seed >> 50) as u8,
                    _ => 0xff,
                };
            }
            let from = (seed >> 33) as u32 % 320;
            let to = from + (seed >> 20) as u32 % (321 - from);
            let zeros: Vec<u32> = (from..to).filter(|&bit| !is_set(&bits, bit)).collect();
            assert_eq!(find_zero(&bits, from..to), zeros.first().copied());
            assert_eq!(count_zeros(&bits, from..to), zeros.len() as u32);
            let run = (from..to).take_while(|&bit| !is_set(&bits, bit)).count() as u32;
            assert_eq!(zero_run(&bits, from..to), run);
            let mut whole = from.div_ceil(8)..to / 8;
            let expected = whole.find(|&byte| bits[byte as usize] == 0).map(|byte| byte * 8);
            assert_eq!(find_zero_byte(&bits, from..to), expected);
            let mut changed = bits;
            set(&mut changed, from..to);
            assert_eq!(count_zeros(&changed, from..to), 0);
            clear(&mut changed, from..to);
            assert_eq!(count_zeros(&changed, from..to), to - from);
            assert_eq!(count_zeros(&changed, 0..from), count_zeros(&bits, 0..from));
            assert_eq!(count_zeros(&changed, to..320), count_zeros(&bits, to..320));
        }
    }

    extern crate std;
    use std::vec::Vec;
}
