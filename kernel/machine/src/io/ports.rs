//! Exclusive ranges of I/O ports.

/// A range of I/O ports, exclusively claimed until dropped.
pub struct IoPorts(());
impl IoPorts {
    /// Claims `first .. first + count`; `None` if a part of it is taken or belongs to the machine itself (PIC, PIT, CMOS, DMA).
    pub fn claim(first: u16, count: u16) -> Option<IoPorts> {
        todo!()
    }
    /// Reads the port at an offset into the range.
    pub fn read_u8(&self, offset: u16) -> u8 {
        todo!()
    }
    /// See [`read_u8`](Self::read_u8).
    pub fn read_u16(&self, offset: u16) -> u16 {
        todo!()
    }
    /// See [`read_u8`](Self::read_u8).
    pub fn read_u32(&self, offset: u16) -> u32 {
        todo!()
    }
    /// Writes the port at an offset into the range.
    pub fn write_u8(&self, offset: u16, value: u8) {
        todo!()
    }
    /// See [`write_u8`](Self::write_u8).
    pub fn write_u16(&self, offset: u16, value: u16) {
        todo!()
    }
    /// See [`write_u8`](Self::write_u8).
    pub fn write_u32(&self, offset: u16, value: u32) {
        todo!()
    }
}
