//! PCI configuration space of segment 0: ECAM where ACPI's MCFG tells of it, else the ports 0xcf8 and 0xcfc.

/// Reads an aligned double word.
pub fn read_u32(bus: u8, device: u8, function: u8, offset: u16) -> u32 {
    todo!()
}
/// Writes an aligned double word.
pub fn write_u32(bus: u8, device: u8, function: u8, offset: u16, value: u32) {
    todo!()
}
/// Bytes of configuration space of each function: 4096 with ECAM, else 256.
pub fn size() -> u16 {
    todo!()
}
