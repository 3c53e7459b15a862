//! HPET: where the high-precision event timer is (IA-PC HPET Specification 1.0a, section 3.2.4).

use crate::{Error, HEADER_LENGTH, bytes::Bytes};

/// Reads an HPET table: the physical address of the registers.
pub fn parse(table: &[u8]) -> Result<u64, Error> {
    let fields = Bytes(table);
    let space = fields.u8(HEADER_LENGTH + 4).ok_or(Error::Length)?;
    let address = fields.u64(HEADER_LENGTH + 8).ok_or(Error::Length)?;
    if space == 0 && address != 0 { Ok(address) } else { Err(Error::Missing) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::table;

    #[test]
    fn the_address_is_found() {
        let body = [1, 0xa2, 0x86, 0x80, 0, 64, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(parse(&table(b"HPET", &body)), Ok(0xfed0_0000));
        assert_eq!(parse(&table(b"HPET", &body[..10])), Err(Error::Length));
    }
}
