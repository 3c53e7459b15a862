//! Ports, and what hangs on them for ever: serial lines, the debug exit, power.

/// A range of I/O ports, exclusively claimed until dropped.
pub struct IoPorts(());
impl IoPorts {
    /// Claims `first .. first + count`; `None` if a part of it is taken or belongs to the machine itself (PIC, PIT, CMOS, DMA).
    pub fn claim(first: u16, count: u16) -> Option<IoPorts> { todo!() }
    /// Reads the port at an offset into the range.
    pub fn read_u8(&self, offset: u16) -> u8 { todo!() }
    /// See [`read_u8`](Self::read_u8).
    pub fn read_u16(&self, offset: u16) -> u16 { todo!() }
    /// See [`read_u8`](Self::read_u8).
    pub fn read_u32(&self, offset: u16) -> u32 { todo!() }
    /// Writes the port at an offset into the range.
    pub fn write_u8(&self, offset: u16, value: u8) { todo!() }
    /// See [`write_u8`](Self::write_u8).
    pub fn write_u16(&self, offset: u16, value: u16) { todo!() }
    /// See [`write_u8`](Self::write_u8).
    pub fn write_u32(&self, offset: u16, value: u32) { todo!() }
}

/// PCI configuration space of segment 0: ECAM where ACPI's MCFG tells of it, else the ports 0xcf8 and 0xcfc.
pub mod pci_config {
    /// Reads an aligned double word.
    pub fn read_u32(bus: u8, device: u8, function: u8, offset: u16) -> u32 { todo!() }
    /// Writes an aligned double word.
    pub fn write_u32(bus: u8, device: u8, function: u8, offset: u16, value: u32) { todo!() }
    /// Bytes of configuration space of each function: 4096 with ECAM, else 256.
    pub fn size() -> u16 { todo!() }
}

/// The serial lines (16550), COM1 to COM4.
pub mod serial {
    use alloc::boxed::Box;
    /// Writes bytes to COM1 by polling, at any time, also before anything else is set up. For logs before the console and for panics.
    pub fn emergency_write(bytes: &[u8]) { todo!() }
    /// An initialised port. Output by polling the FIFO (QEMU's never blocks long), input by interrupt.
    pub struct SerialPort(());
    impl SerialPort {
        /// Sets up port `index` (0 = COM1) at 115200 8N1; `None` if nothing answers there.
        pub fn open(index: usize) -> Option<SerialPort> { todo!() }
        /// Writes bytes.
        pub fn write(&self, bytes: &[u8]) { todo!() }
        /// Calls `receive` in interrupt context with what arrives.
        pub fn set_receiver(&self, receive: Box<dyn Fn(&[u8]) + Send + Sync>) { todo!() }
    }
}

/// The ways to end.
pub mod power {
    /// Resets the machine (ACPI reset register, keyboard controller, triple fault).
    pub fn reboot() -> ! { todo!() }
    /// Switches the machine off by ACPI (S5); halts if there is no way.
    pub fn power_off() -> ! { todo!() }
    /// Stops all CPUs for good.
    pub fn halt() -> ! { todo!() }
    /// Ends QEMU by its isa-debug-exit device, if present: QEMU's exit status is `code * 2 + 1` (0x10 -> 33).
    pub fn debug_exit(code: u8) { todo!() }
}
