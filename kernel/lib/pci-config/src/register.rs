//! Offsets and bits of the standard header.

/// Vendor (low half) and device id.
pub const ID: u16 = 0x00;
/// Command register (16 bits).
pub const COMMAND: u16 = 0x04;
/// Status register (16 bits).
pub const STATUS: u16 = 0x06;
/// Revision, programming interface, subclass, class.
pub const CLASS: u16 = 0x08;
/// Header type (8 bits).
pub const HEADER_TYPE: u16 = 0x0e;
/// First base address register.
pub const BAR0: u16 = 0x10;
/// Primary, secondary and subordinate bus number of a bridge.
pub const BUSES: u16 = 0x18;
/// Of a bridge: the ports that it passes on (base, limit), their upper halves.
pub const BRIDGE_PORTS: u16 = 0x1c;
/// See [`BRIDGE_PORTS`].
pub const BRIDGE_PORTS_HIGH: u16 = 0x30;
/// Of a bridge: the memory that it passes on (base, limit).
pub const BRIDGE_MEMORY: u16 = 0x20;
/// Of a bridge: the prefetchable memory that it passes on (base, limit), their upper halves.
pub const BRIDGE_PREFETCHABLE: u16 = 0x24;
/// See [`BRIDGE_PREFETCHABLE`].
pub const BRIDGE_PREFETCHABLE_BASE_HIGH: u16 = 0x28;
/// See [`BRIDGE_PREFETCHABLE`].
pub const BRIDGE_PREFETCHABLE_LIMIT_HIGH: u16 = 0x2c;
/// Of a device: where its ROM is, and whether it answers there.
pub const ROM: u16 = 0x30;
/// The same of a bridge.
pub const BRIDGE_ROM: u16 = 0x38;
/// Subsystem vendor and id.
pub const SUBSYSTEM: u16 = 0x2c;
/// Offset of the first capability (8 bits).
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line (8 bits).
pub const INTERRUPT_LINE: u16 = 0x3c;
/// Interrupt pin (8 bits): 0 none, 1 = INTA ... 4 = INTD.
pub const INTERRUPT_PIN: u16 = 0x3d;

/// Bits of the command register.
pub mod command {
    /// The function answers at its I/O ports.
    pub const IO: u16 = 1 << 0;
    /// The function answers at its memory.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory, and send messages.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// INTx is not raised.
    pub const INTERRUPT_DISABLE: u16 = 1 << 10;
}

/// Status bit: there is a capability list.
pub const STATUS_HAS_CAPABILITIES: u16 = 1 << 4;
