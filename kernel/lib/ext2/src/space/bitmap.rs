//! Bits in bytes, the lowest bit first: 1 is in use. Scans go byte by byte wherever they can.

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
        let rest = !bits[bit as usize / 8] >> (bit % 8);
        if rest != 0 {
            let found = bit + rest.trailing_zeros();
            return (found < range.end).then_some(found);
        }
        bit = (bit / 8 + 1) * 8;
    }
    None
}

/// The first bit of the first byte in a range that is all 0.
pub(super) fn find_zero_byte(bits: &[u8], range: Range<u32>) -> Option<u32> {
    let bytes = range.start.div_ceil(8) as usize..range.end as usize / 8;
    let first = bytes.start;
    bits.get(bytes)?.iter().position(|&byte| byte == 0).map(|index| (first + index) as u32 * 8)
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
        for _ in 0..2000 {
            let mut bits = [0u8; 6];
            for byte in &mut bits {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *byte = if seed >> 62 == 0 { 0 } else { (seed >> 40) as u8 & (seed >> 50) as u8 };
            }
            let from = (seed >> 33) as u32 % 48;
            let to = from + (seed >> 20) as u32 % (49 - from);
            let zeros: Vec<u32> = (from..to).filter(|&bit| !is_set(&bits, bit)).collect();
            assert_eq!(find_zero(&bits, from..to), zeros.first().copied());
            assert_eq!(count_zeros(&bits, from..to), zeros.len() as u32);
            let run = (from..to).take_while(|&bit| !is_set(&bits, bit)).count() as u32;
            assert_eq!(zero_run(&bits, from..to), run);
            if let Some(bit) = find_zero_byte(&bits, from..to) {
                assert!(bit >= from && bit + 8 <= to && bits[bit as usize / 8] == 0);
            }
            let mut changed = bits;
            set(&mut changed, from..to);
            assert_eq!(count_zeros(&changed, from..to), 0);
            clear(&mut changed, from..to);
            assert_eq!(count_zeros(&changed, from..to), to - from);
            assert_eq!(count_zeros(&changed, 0..from), count_zeros(&bits, 0..from));
            assert_eq!(count_zeros(&changed, to..48), count_zeros(&bits, to..48));
        }
    }

    extern crate std;
    use std::vec::Vec;
}
