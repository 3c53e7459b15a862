//! All disks and partitions, by name and by number.
//!
//! Numbers are Linux's: a driver's disks share a major number, and each disk has 16 minor numbers, the first
//! for itself and the others for its partitions (RAM disks and CD drives: one each).

use super::{BlockDevice, Disk, RequestQueue, content, extent::PartitionIdentity, loop_device};
use crate::device::registry::Node;
use crate::error::{Error, Result};
use crate::fs::{devtmpfs, inode::NewKind};
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::stat::DeviceNumber;
use alloc::{format, string::String, sync::Arc, sync::Weak, vec::Vec};
use core::fmt::Write;
use machine::sync::SpinLock;

/// A kind of disk: how its members are named and numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// virtio-blk: vda, vdb, ...
    Virtio,
    /// Behind SATA or SCSI: sda, sdb, ...
    Scsi,
    /// A CD drive behind SCSI: sr0, sr1, ...
    Cd,
    /// An NVMe namespace: nvme0n1, ...
    Nvme {
        /// The controller's number, from 0.
        controller: u32,
        /// The namespace's number, from 1.
        namespace: u32,
    },
    /// A file: loop0, loop1, ...
    Loop(u32),
    /// A disk in memory: ram0, ram1, ...
    Ram,
}

/// Minor numbers of a disk with partitions.
const MINORS: u32 = 16;

/// Disks of a kind.
const MAX_DISKS: u32 = 1 << 16;

/// Mode of disks in /dev.
const DISK_MODE: u32 = 0o660;

static DISKS: SpinLock<Vec<Arc<Disk>>> = SpinLock::new("disks", Vec::new());

/// Disks that are gone while somebody still uses them: their names and numbers are not given to others.
static GONE: SpinLock<Vec<Weak<Disk>>> = SpinLock::new("disks gone", Vec::new());

/// Held while disks and partitions come and go.
static CHANGES: Mutex<()> = Mutex::new("disk changes", ());

/// Takes in a disk, names it, finds its partitions and makes their device files. `parent` is the device in the tree of
/// devices that it belongs to, if there is one. May sleep.
pub(crate) fn add(kind: Kind, device: Arc<dyn BlockDevice>, parent: Option<Arc<Node>>) -> Result<Arc<Disk>> {
    let _changes = CHANGES.lock();
    let gone: Vec<_> = gone_in_use().iter().map(|disk| disk.number()).collect();
    let is_taken = |index: &u32| {
        let (number, next) = (kind.number(*index), kind.number(*index + 1));
        let is_inside = |gone: &DeviceNumber| {
            gone.major == number.major && (number.minor..next.minor).contains(&gone.minor)
        };
        find_by_number(number).is_some() || gone.iter().any(is_inside)
    };
    let index = (0..MAX_DISKS).find(|index| !is_taken(index));
    let index = index.ok_or(Error::new(Errno::ENOSPC, "there is no number for another disk"))?;
    let disk = Disk::whole(kind.name(index), kind.number(index), device, parent);
    publish(disk.clone())?;
    let has_partitions = !matches!(kind, Kind::Ram | Kind::Loop(_) | Kind::Cd);
    let found = if has_partitions { find_partitions(&disk) } else { Vec::new() };
    log::info!("block: {}", describe(&disk, &found));
    found.into_iter().try_for_each(publish)?;
    Ok(disk)
}

/// Makes a disk or partition known.
fn publish(disk: Arc<Disk>) -> Result<()> {
    devtmpfs::add(disk.name(), NewKind::Block(disk.number()), DISK_MODE)?;
    DISKS.lock().push(disk);
    Ok(())
}

/// Disks that are gone and still in use.
fn gone_in_use() -> Vec<Arc<Disk>> {
    let mut gone = GONE.lock();
    gone.retain(|disk| disk.strong_count() != 0);
    gone.iter().filter_map(Weak::upgrade).collect()
}

/// Whether a disk, also one that is gone and still in use, has a name that begins like this.
pub(crate) fn has_name_beginning(start: &str) -> bool {
    all().iter().chain(&gone_in_use()).any(|disk| disk.name().starts_with(start))
}

/// A device is gone: its disk and partitions are not found any more. Who has them open gets errors of the device.
pub(super) fn remove(device: &RequestQueue) {
    let _changes = CHANGES.lock();
    for disk in all().iter().filter(|disk| disk.is_behind(device)) {
        log::warn!("block: {} is gone", disk.name());
        withdraw(disk);
    }
}

/// A disk is not found any more; its device file stays.
pub(super) fn forget(disk: &Arc<Disk>) {
    DISKS.lock().retain(|known| !Arc::ptr_eq(known, disk));
}

fn withdraw(disk: &Arc<Disk>) {
    GONE.lock().push(Arc::downgrade(disk));
    forget(disk);
    if let Err(error) = devtmpfs::remove(disk.name()) {
        log::warn!("block: /dev/{} stays: {error}", disk.name());
    }
}

/// Reads a disk's partition table again: partitions that it still tells of stay, others go or come.
///
/// # Errors
/// EINVAL for a partition, EBUSY while the disk or a partition is in use.
pub(crate) fn read_partitions(disk: &Arc<Disk>) -> Result<()> {
    if disk.partition_identity().is_some() {
        return Err(Error::new(Errno::EINVAL, "a partition has no partitions"));
    }
    let _changes = CHANGES.lock();
    let old: Vec<_> = all().into_iter().filter(|known| known.is_on(disk)).collect();
    if old.iter().any(|known| known.is_claimed()) {
        return Err(Error::new(Errno::EBUSY, "a partition is in use"));
    }
    disk.cache().flush()?;
    let found = find_partitions(disk);
    let is_same = |a: &Arc<Disk>, b: &Arc<Disk>| {
        let id = |disk: &Disk| disk.partition_identity().map(|identity| identity.id.clone());
        a.number() == b.number()
            && a.start() == b.start()
            && a.size_bytes() == b.size_bytes()
            && id(a) == id(b)
    };
    for gone in old.iter().filter(|old| old.partition_identity().is_some()) {
        if !found.iter().any(|new| is_same(new, gone)) {
            withdraw(gone);
        }
    }
    log::info!("block: {}", describe(disk, &found));
    found.into_iter().filter(|new| !old.iter().any(|old| is_same(new, old))).try_for_each(publish)
}

impl Kind {
    const fn major(self) -> u32 {
        match self {
            Kind::Virtio => 254,
            Kind::Scsi => 8,
            Kind::Cd => 11,
            Kind::Nvme { .. } => 259,
            Kind::Loop(_) => loop_device::MAJOR,
            Kind::Ram => 1,
        }
    }

    fn number(self, index: u32) -> DeviceNumber {
        let minor = match self {
            Kind::Loop(number) => number,
            Kind::Ram | Kind::Cd => index,
            _ => index * MINORS,
        };
        DeviceNumber::new(self.major(), minor)
    }

    fn name(self, index: u32) -> String {
        match self {
            Kind::Virtio => format!("vd{}", letters(index)),
            Kind::Scsi => format!("sd{}", letters(index)),
            Kind::Cd => format!("sr{index}"),
            Kind::Nvme { controller, namespace } => format!("nvme{controller}n{namespace}"),
            Kind::Loop(number) => format!("loop{number}"),
            Kind::Ram => format!("ram{index}"),
        }
    }
}

fn find_partitions(disk: &Arc<Disk>) -> Vec<Arc<Disk>> {
    let found = partitions::read(&TableReader(disk));
    found.iter().filter_map(|partition| partition_of(disk, partition)).collect()
}

/// 0 is a, 25 z, 26 aa.
fn letters(index: u32) -> String {
    let last = char::from(b'a' + (index % 26) as u8);
    let front = if index < 26 { String::new() } else { letters(index / 26 - 1) };
    format!("{front}{last}")
}

fn partition_of(disk: &Arc<Disk>, found: &partitions::Partition) -> Option<Arc<Disk>> {
    let number = disk.number();
    let minor = (found.number < MINORS).then(|| number.minor + found.number)?;
    let identity =
        PartitionIdentity { number: found.number, id: found.id.clone(), label: found.label.clone() };
    // A number is kept apart from a number.
    let between = if disk.name().ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
    let name = format!("{}{between}{}", disk.name(), found.number);
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

/// The one that `root=` or mount(2) means: `/dev/NAME`, `NAME`, `PARTUUID=ID`, `PARTLABEL=NAME`, `MAJOR:MINOR`, or by the
/// file system on it: `UUID=ID`, `LABEL=NAME`. May sleep.
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
    } else if let Some(id) = specification.strip_prefix("UUID=") {
        all().into_iter().find(|disk| content::uuid(disk).is_some_and(|found| found.eq_ignore_ascii_case(id)))
    } else if let Some(label) = specification.strip_prefix("LABEL=") {
        all().into_iter().find(|disk| content::label(disk).is_some_and(|found| found == label))
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
