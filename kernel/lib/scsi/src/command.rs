//! Descriptor blocks of commands: 32 bytes, of which a command uses the first 6, 10 or 16.

/// Bytes of the longest block here.
const LENGTH: usize = 32;

/// When a write is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the device has it, in a cache too.
    Cached,
    /// When the medium has it (FUA).
    Medium,
}

/// A command, as a device gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    bytes: [u8; LENGTH],
}

/// Operation codes.
mod operation {
    pub(super) const TEST_UNIT_READY: u8 = 0x00;
    pub(super) const INQUIRY: u8 = 0x12;
    pub(super) const MODE_SENSE_10: u8 = 0x5a;
    pub(super) const READ_CAPACITY_10: u8 = 0x25;
    pub(super) const READ_10: u8 = 0x28;
    pub(super) const UNMAP: u8 = 0x42;
    pub(super) const READ_16: u8 = 0x88;
    pub(super) const WRITE_16: u8 = 0x8a;
    pub(super) const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub(super) const WRITE_SAME_16: u8 = 0x93;
    pub(super) const SERVICE_ACTION_IN_16: u8 = 0x9e;
    pub(super) const REPORT_LUNS: u8 = 0xa0;
}

/// Service action: READ CAPACITY (16).
const READ_CAPACITY_16: u8 = 0x10;
/// In READ and WRITE: the medium is meant, not the cache.
const FORCE_UNIT_ACCESS: u8 = 1 << 3;
/// In INQUIRY: a page is wanted.
const PAGE: u8 = 1;
/// In MODE SENSE: no block descriptors, please.
const NO_BLOCKS: u8 = 1 << 3;
/// In WRITE SAME: there are no data; they are zeros.
const NO_DATA: u8 = 1;

impl Command {
    /// Bytes of an UNMAP's parameters: a header and one range.
    pub const UNMAP_LENGTH: usize = 24;

    fn new(operation: u8) -> Command {
        let mut bytes = [0; LENGTH];
        bytes[0] = operation;
        Command { bytes }
    }

    fn with(mut self, at: usize, value: &[u8]) -> Command {
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self
    }

    /// The block.
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.bytes
    }

    /// Asks whether the medium can be used.
    pub fn test_unit_ready() -> Command {
        Command::new(operation::TEST_UNIT_READY)
    }

    /// Asks what the device is, or for a page on that; the answer has at most `length` bytes.
    pub fn inquiry(page: Option<u8>, length: u16) -> Command {
        let command = Command::new(operation::INQUIRY).with(3, &length.to_be_bytes());
        match page {
            Some(page) => command.with(1, &[PAGE, page]),
            None => command,
        }
    }

    /// Asks a target which logical units it has.
    pub fn report_luns(length: u32) -> Command {
        Command::new(operation::REPORT_LUNS).with(6, &length.to_be_bytes())
    }

    /// Asks for the capacity, in 32 bits.
    pub fn read_capacity_10() -> Command {
        Command::new(operation::READ_CAPACITY_10)
    }

    /// Asks for the capacity, in 64 bits, and for what goes with it.
    pub fn read_capacity_16(length: u32) -> Command {
        let command = Command::new(operation::SERVICE_ACTION_IN_16).with(1, &[READ_CAPACITY_16]);
        command.with(10, &length.to_be_bytes())
    }

    /// Asks for a page of modes.
    pub fn mode_sense(page: u8, length: u16) -> Command {
        Command::new(operation::MODE_SENSE_10).with(1, &[NO_BLOCKS, page]).with(7, &length.to_be_bytes())
    }

    /// Reads blocks, from any place.
    pub fn read(block: u64, count: u32) -> Command {
        Command::new(operation::READ_16).with(2, &block.to_be_bytes()).with(10, &count.to_be_bytes())
    }

    /// Reads blocks, of devices that have fewer than 2^32 (CD drives know no others).
    pub fn read_10(block: u32, count: u16) -> Command {
        Command::new(operation::READ_10).with(2, &block.to_be_bytes()).with(7, &count.to_be_bytes())
    }

    /// Writes blocks.
    pub fn write(block: u64, count: u32, durability: Durability) -> Command {
        let flags = if durability == Durability::Medium { FORCE_UNIT_ACCESS } else { 0 };
        let command = Command::new(operation::WRITE_16).with(1, &[flags]);
        command.with(2, &block.to_be_bytes()).with(10, &count.to_be_bytes())
    }

    /// Has the medium get all that is in the cache.
    pub fn synchronize() -> Command {
        Command::new(operation::SYNCHRONIZE_CACHE_10)
    }

    /// Gives back blocks; which, its [parameters](Self::unmap_range) say.
    pub fn unmap() -> Command {
        Command::new(operation::UNMAP).with(7, &(Self::UNMAP_LENGTH as u16).to_be_bytes())
    }

    /// The parameters of an UNMAP of one range.
    pub fn unmap_range(block: u64, count: u32) -> [u8; Self::UNMAP_LENGTH] {
        let mut bytes = [0; Self::UNMAP_LENGTH];
        bytes[..2].copy_from_slice(&(Self::UNMAP_LENGTH as u16 - 2).to_be_bytes());
        bytes[2..4].copy_from_slice(&(Self::UNMAP_LENGTH as u16 - 8).to_be_bytes());
        bytes[8..16].copy_from_slice(&block.to_be_bytes());
        bytes[16..20].copy_from_slice(&count.to_be_bytes());
        bytes
    }

    /// Writes zeros, of which one block is the command's data.
    pub fn write_zeroes(block: u64, count: u32) -> Command {
        let command = Command::new(operation::WRITE_SAME_16);
        command.with(2, &block.to_be_bytes()).with(10, &count.to_be_bytes())
    }

    /// The same without data, for devices that know this.
    pub fn write_zeroes_without_data(block: u64, count: u32) -> Command {
        Command::write_zeroes(block, count).with(1, &[NO_DATA])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(command: Command, bytes: &[u8]) {
        assert_eq!(&command.bytes()[..bytes.len()], bytes);
        assert!(command.bytes()[bytes.len()..].iter().all(|byte| *byte == 0), "{command:x?}");
    }

    #[test]
    fn blocks_are_what_the_standard_says() {
        starts(Command::test_unit_ready(), &[0; 6]);
        starts(Command::inquiry(None, 0x1234), &[0x12, 0, 0, 0x12, 0x34]);
        starts(Command::inquiry(Some(0xb0), 64), &[0x12, 1, 0xb0, 0, 64]);
        starts(Command::report_luns(0x1000), &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
        starts(Command::read_capacity_10(), &[0x25]);
        starts(Command::read_capacity_16(32), &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32]);
        starts(Command::mode_sense(8, 255), &[0x5a, 8, 8, 0, 0, 0, 0, 0, 255]);
        starts(Command::read(0x0102_0304_0506_0708, 9), &[0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9]);
        starts(Command::read_10(0x0102_0304, 0x506), &[0x28, 0, 1, 2, 3, 4, 0, 5, 6]);
        starts(
            Command::write(u64::MAX, 1, Durability::Medium),
            &[0x8a, 8, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1],
        );
        starts(
            Command::write(0, u32::MAX, Durability::Cached),
            &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255],
        );
        starts(Command::synchronize(), &[0x35]);
        starts(Command::unmap(), &[0x42, 0, 0, 0, 0, 0, 0, 0, 24]);
        starts(Command::write_zeroes(2, 3), &[0x93, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]);
        starts(Command::write_zeroes_without_data(2, 3), &[0x93, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]);
        assert_eq!(
            Command::unmap_range(0x0a0b, 0x0c0d),
            [0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b, 0, 0, 0x0c, 0x0d, 0, 0, 0, 0]
        );
    }
}
