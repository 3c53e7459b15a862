//! The sleep types for "soft off", from the `_S5_` object in the DSDT.
//!
//! The object is a package of small integers: `NameOp "_S5_" PackageOp PkgLength NumElements SLP_TYPa
//! SLP_TYPb ...` (ACPI 6.5, sections 7.4.2, 20.2.4, 20.2.5). Full AML is a programming language; this one
//! object is plain data in every firmware, so it is found by its name and then decoded with each step checked.

/// Values for the SLP_TYP fields of the PM1a and PM1b control registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftOff {
    /// For PM1a.
    pub type_a: u8,
    /// For PM1b.
    pub type_b: u8,
}

const NAME_OP: u8 = 0x08;
const ROOT_PREFIX: u8 = b'\\';
const PACKAGE_OP: u8 = 0x12;
const BYTE_PREFIX: u8 = 0x0a;

/// Looks for `_S5_` in the AML of a DSDT or SSDT.
pub fn find_soft_off(aml: &[u8]) -> Option<SoftOff> {
    let mut from = 0;
    while let Some(at) = aml.get(from..)?.windows(4).position(|name| name == b"_S5_") {
        let name = from + at;
        if is_defined_here(&aml[..name])
            && let Some(found) = package(&aml[name + 4..])
        {
            return Some(found);
        }
        from = name + 4;
    }
    None
}

/// The bytes before the name must make it a definition: `Name(_S5_` or `Name(\_S5_`.
fn is_defined_here(before: &[u8]) -> bool {
    matches!(before, [.., NAME_OP] | [.., NAME_OP, ROOT_PREFIX])
}

fn package(aml: &[u8]) -> Option<SoftOff> {
    let (&PACKAGE_OP, rest) = aml.split_first()? else { return None };
    // PkgLength: bits 7-6 of the first byte say how many bytes follow it.
    let following = usize::from(*rest.first()? >> 6);
    let (&count, elements) = rest.get(1 + following..)?.split_first()?;
    if count == 0 {
        return None;
    }
    let (type_a, elements) = small_integer(elements)?;
    let type_b = if count > 1 { small_integer(elements)?.0 } else { type_a };
    Some(SoftOff { type_a, type_b })
}

/// ZeroOp, OneOp, or BytePrefix and a byte; a sleep type has three bits.
fn small_integer(aml: &[u8]) -> Option<(u8, &[u8])> {
    let (value, rest) = match aml {
        [value @ (0 | 1), rest @ ..] | [BYTE_PREFIX, value, rest @ ..] => (*value, rest),
        _ => return None,
    };
    (value < 8).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_decoded() {
        // Name (\_S5_, Package (0x04) { 0x05, One, Zero, Zero })
        let aml = b"xx_S5_\x08\\_S5_\x12\x07\x04\x0a\x05\x01\x00\x00zz";
        assert_eq!(find_soft_off(aml), Some(SoftOff { type_a: 5, type_b: 1 }));
    }

    #[test]
    fn a_mention_is_not_a_definition() {
        assert_eq!(find_soft_off(b"\x10_S5_\x12\x06\x04\x00\x00\x00\x00"), None);
        assert_eq!(find_soft_off(b"\x08_S5_\x12\x06\x04\x0b\x00\x00\x00\x00"), None);
    }

    #[test]
    fn any_cut_is_survived() {
        let aml = b"\x08_S5_\x12\x46\x00\x04\x0a\x07\x0a\x07\x00\x00";
        assert_eq!(find_soft_off(aml), Some(SoftOff { type_a: 7, type_b: 7 }));
        for end in 0..12 {
            assert_eq!(find_soft_off(&aml[..end]), None);
        }
    }
}
