//! All disks and partitions, by name and by number.
//!
//! Numbers are Linux's: a driver's disks share a major number, and each disk has 16 minor numbers, the first
//! for itself and the others for its partitions (RAM disks: one each).

use super::{BlockDevice, Disk, disk::PartitionIdentity};
use crate::error::{Error, Result};
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::fmt::Write;
use machine::sync::SpinLock;

/// A kind of disk: how its members are named and numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// virtio-blk: vda, vdb, ...
    Virtio,
    /// A disk in memory: ram0, ram1, ...
    Ram,
}

/// Minor numbers of a disk with partitions.
const MINORS: u32 = 16;

static DISKS: SpinLock<Vec<Arc<Disk>>> = SpinLock::new("disks", Vec::new());

/// Takes in a disk, names it and finds its partitions. May sleep.
pub(crate) fn add(kind: Kind, device: Arc<dyn BlockDevice>) -> Result<Arc<Disk>> {
    let disk = {
        let mut disks = DISKS.lock();
        let index = disks.iter().filter(|disk| is_whole(disk, kind)).count() as u32;
        let disk = Disk::whole(kind.name(index), kind.number(index), device);
        disks.push(disk.clone());
        disk
    };
    let found = if kind == Kind::Ram { Vec::new() } else { partitions::read(&TableReader(&disk)) };
    let found: Vec<_> = found.iter().filter_map(|partition| partition_of(&disk, partition)).collect();
    log::info!("block: {}", describe(&disk, &found));
    DISKS.lock().extend(found);
    Ok(disk)
}

fn is_whole(disk: &Disk, kind: Kind) -> bool {
    disk.number().major == kind.major() && disk.partition_identity().is_none()
}

impl Kind {
    const fn major(self) -> u32 {
        match self {
            Kind::Virtio => 254,
            Kind::Ram => 1,
        }
    }

    fn number(self, index: u32) -> DeviceNumber {
        let minors = if self == Kind::Ram { 1 } else { MINORS };
        DeviceNumber::new(self.major(), index * minors)
    }

    fn name(self, index: u32) -> String {
        match self {
            Kind::Virtio => format!("vd{}", letters(index)),
            Kind::Ram => format!("ram{index}"),
        }
    }
}

/// 0 is a, 25 z, 26 aa.
fn letters(index: u32) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    let front = if index < 26 { String::new() } else { letters(index / 26 - 1) };
    format!("{front}{last}")
}

fn partition_of(disk: &Disk, found: &partitions::Partition) -> Option<Arc<Disk>> {
    let number = disk.number();
    let minor = (found.number < MINORS).then(|| number.minor + found.number)?;
    let identity =
        PartitionIdentity { number: found.number, id: found.id.clone(), label: found.label.clone() };
    let name = format!("{}{}", disk.name(), found.number);
    let number = DeviceNumber::new(number.major, minor);
    Some(Disk::partition(disk, name, number, (found.start, found.length), identity))
}

/// `vda: 65536 sectors of 512 bytes; vda1 vda2`
fn describe(disk: &Disk, partitions: &[Arc<Disk>]) -> String {
    let block_size = disk.block_size();
    let mut text = format!(
        "{}: {} blocks of {block_size} bytes",
        disk.name(),
        disk.size_bytes() / u64::from(block_size)
    );
    for (partition, separator) in partitions.iter().zip([";"].iter().chain(core::iter::repeat(&""))) {
        // Writing to a string does not fail.
        let _ = write!(text, "{separator} {}", partition.name());
    }
    text
}

/// All disks and partitions, at this moment.
pub(crate) fn all() -> Vec<Arc<Disk>> {
    DISKS.lock().clone()
}

/// The one of that name in /dev.
pub(crate) fn find(name: &str) -> Option<Arc<Disk>> {
    DISKS.lock().iter().find(|disk| disk.name() == name).cloned()
}

/// The one with that number.
pub(crate) fn find_by_number(number: DeviceNumber) -> Option<Arc<Disk>> {
    DISKS.lock().iter().find(|disk| disk.number() == number).cloned()
}

/// The one that `root=` or mount(2) means: `/dev/NAME`, `NAME`, `PARTUUID=ID`, `PARTLABEL=NAME` or `MAJOR:MINOR`.
///
/// # Errors
/// ENODEV.
pub(crate) fn resolve(specification: &str) -> Result<Arc<Disk>> {
    let identity = |matches: &dyn Fn(&PartitionIdentity) -> bool| {
        let disks = DISKS.lock();
        disks.iter().find(|disk| disk.partition_identity().is_some_and(matches)).cloned()
    };
    let found = if let Some(id) = specification.strip_prefix("PARTUUID=") {
        identity(&|partition| partition.id.eq_ignore_ascii_case(id))
    } else if let Some(label) = specification.strip_prefix("PARTLABEL=") {
        identity(&|partition| partition.label == label)
    } else if let Some((major, minor)) = specification.split_once(':') {
        let number = major.parse().ok().zip(minor.parse().ok());
        number.and_then(|(major, minor)| find_by_number(DeviceNumber::new(major, minor)))
    } else {
        find(specification.strip_prefix("/dev/").unwrap_or(specification))
    };
    found.ok_or(Error::new(Errno::ENODEV, "there is no such disk"))
}

/// Reads the blocks that hold the partition table.
struct TableReader<'a>(&'a Disk);

impl partitions::Disk for TableReader<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.0.read(offset, buffer).is_ok()
    }

    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn block_size(&self) -> u32 {
        self.0.block_size()
    }
}
