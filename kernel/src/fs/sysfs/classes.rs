//! class/ and block/: devices by kind. The directories themselves are in devices/virtual; what is here are links.

use super::tree::{Entries, Entry, directory, link, text};
use crate::{
    block::{Access, Disk, registry},
    device::{character, display, registry::Node},
    tty::consoles,
};
use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use timekeeping::calendar::DateTime;

const RTC_MAJOR: u32 = character::RTC_NUMBER.0;

/// class/.
pub(super) fn all() -> Entries {
    vec![
        directory("block", disks),
        directory("graphics", || characters("graphics")),
        directory("input", || characters("input")),
        directory("mem", || characters("mem")),
        directory("net", Vec::new),
        directory("rtc", || characters("rtc")),
        directory("tty", || characters("tty")),
    ]
}

/// The class of a character device.
fn class_of(major: u32) -> &'static str {
    match major {
        1 => "mem",
        13 => "input",
        29 => "graphics",
        RTC_MAJOR => "rtc",
        _ => "tty",
    }
}

fn characters(class: &'static str) -> Entries {
    let devices = character::all().into_iter().filter(|device| class_of(device.number.major) == class);
    devices
        .map(|device| {
            let name = short_name(&device.name);
            link(name.to_string(), format!("../../devices/virtual/{class}/{name}"))
        })
        .collect()
}

/// Without the folder in /dev.
fn short_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// block/ and class/block/ (from where the link works too).
pub(super) fn disks() -> Entries {
    registry::all().iter().map(|disk| link(disk.name().to_string(), path_of(disk))).collect()
}

/// dev/block/.
pub(super) fn disks_by_number() -> Entries {
    let by_number = |disk: &Arc<Disk>| {
        let number = disk.number();
        link(format!("{}:{}", number.major, number.minor), path_of(disk))
    };
    registry::all().iter().map(by_number).collect()
}

/// Absolute, since it is reached from places of different depth.
fn path_of(disk: &Disk) -> String {
    let above = match disk.parent() {
        Some(node) => format!("/sys/{}/block", node.path()),
        None => "/sys/devices/virtual/block".into(),
    };
    match owner_of(disk) {
        Some(whole) => format!("{above}/{}/{}", whole.name(), disk.name()),
        None => format!("{above}/{}", disk.name()),
    }
}

/// block/ of a device, if it has disks.
pub(super) fn disks_of(node: &Arc<Node>) -> Option<Entry> {
    let is_here = |disk: &Arc<Disk>| disk.parent().is_some_and(|parent| Arc::ptr_eq(parent, node));
    if !registry::all().iter().any(is_here) {
        return None;
    }
    let node = node.clone();
    Some(directory("block", move || disk_directories(Some(&node))))
}

/// The disks of a device, or those that belong to none.
fn disk_directories(parent: Option<&Arc<Node>>) -> Entries {
    let is_here = |disk: &Arc<Disk>| {
        let has_parent = match (disk.parent(), parent) {
            (Some(own), Some(parent)) => Arc::ptr_eq(own, parent),
            (own, parent) => own.is_none() && parent.is_none(),
        };
        disk.partition_identity().is_none() && has_parent
    };
    registry::all().into_iter().filter(is_here).map(disk_directory).collect()
}

/// The disk that a partition is on.
fn owner_of(partition: &Disk) -> Option<Arc<Disk>> {
    let number = partition.partition_identity()?.number;
    let whole =
        abi::stat::DeviceNumber::new(partition.number().major, partition.number().minor.checked_sub(number)?);
    registry::find_by_number(whole)
}

/// devices/virtual/.
pub(super) fn virtual_devices() -> Entries {
    vec![
        directory("block", || disk_directories(None)),
        directory("graphics", || character_directories("graphics")),
        directory("input", || character_directories("input")),
        directory("mem", || character_directories("mem")),
        directory("rtc", || character_directories("rtc")),
        directory("tty", || character_directories("tty")),
    ]
}

fn character_directories(class: &'static str) -> Entries {
    let devices = character::all().into_iter().filter(|device| class_of(device.number.major) == class);
    devices
        .map(|device| {
            let (number, name) = (device.number, device.name.clone());
            directory(short_name(&device.name).to_string(), move || {
                let name = name.clone();
                let mut entries = match class {
                    "rtc" => rtc_attributes(),
                    "graphics" => screen_attributes(),
                    "tty" if name == "console" => vec![text("active", consoles::names)],
                    _ => Vec::new(),
                };
                entries.extend([
                    text("dev", move || format!("{}:{}", number.major, number.minor)),
                    text("uevent", move || {
                        format!("MAJOR={}\nMINOR={}\nDEVNAME={name}", number.major, number.minor)
                    }),
                ]);
                entries
            })
        })
        .collect()
}

/// The framebuffer's size and shape.
fn screen_attributes() -> Entries {
    let Some(canvas) = display::current() else { return Vec::new() };
    let (width, height) = canvas.size();
    vec![
        text("bits_per_pixel", || "32".into()),
        text("modes", move || format!("U:{width}x{height}p-0")),
        text("name", || canvas.display().name().into()),
        text("stride", move || (width * 4).to_string()),
        text("virtual_size", move || format!("{width},{height}")),
    ]
}

/// What the CMOS clock shows.
fn rtc_attributes() -> Entries {
    let shown = |format: fn(&DateTime) -> String| {
        move || machine::time::read_rtc().map_or_else(|_| String::new(), |date| format(&date))
    };
    vec![
        text("name", || "rtc_cmos".into()),
        text("hctosys", || "1".into()),
        text("date", shown(|date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day))),
        text("time", shown(|date| format!("{:02}:{:02}:{:02}", date.hour, date.minute, date.second))),
        text("since_epoch", shown(|date| date.to_unix().to_string())),
    ]
}

fn disk_directory(disk: Arc<Disk>) -> Entry {
    directory(disk.name().to_string(), move || {
        let mut entries = common_attributes(&disk);
        entries.push(queue_directory(&disk));
        entries.push(text("removable", || "0".into()));
        entries.push(link("subsystem", "/sys/class/block".into()));
        entries.extend(disk.parent().map(|node| link("device", format!("../../../{}", node.name()))));
        let identity = disk.identify();
        for (name, fact) in
            [("serial", identity.serial), ("model", identity.model), ("firmware_rev", identity.firmware)]
        {
            entries.extend(fact.map(|fact| text(name, move || fact.clone())));
        }
        let whole = disk.number();
        let partitions =
            registry::all().into_iter().filter(|part| owner_of(part).is_some_and(|d| d.number() == whole));
        entries.extend(partitions.map(partition_directory));
        entries
    })
}

/// queue/: what the device takes and can do.
fn queue_directory(disk: &Arc<Disk>) -> Entry {
    let (size, features, limits) = (disk.block_size(), disk.features(), disk.limits());
    let alignment = disk.memory_alignment();
    directory("queue", move || {
        let number = |name: &'static str, value: u64| text(name, move || value.to_string());
        vec![
            number("logical_block_size", size.into()),
            number("physical_block_size", size.into()),
            number("hw_sector_size", size.into()),
            number("dma_alignment", u64::from(alignment) - 1),
            number("minimum_io_size", size.into()),
            number("optimal_io_size", 0),
            number("rotational", features.is_rotational.into()),
            number("fua", features.has_safe_writes.into()),
            number("discard_granularity", if features.max_discard > 0 { size.into() } else { 0 }),
            number("discard_max_bytes", features.max_discard),
            number("discard_max_hw_bytes", features.max_discard),
            number("discard_zeroes_data", 0),
            number("write_zeroes_max_bytes", features.max_zeroes),
            number("max_segments", limits.max_segments as u64),
            number("max_sectors_kb", limits.max_length / 1024),
            number("max_hw_sectors_kb", limits.max_length / 1024),
            number("nr_requests", limits.depth as u64),
            text("write_cache", move || {
                if features.has_cache { "write back" } else { "write through" }.into()
            }),
            text("scheduler", || "[deadline]".into()),
        ]
    })
}

fn partition_directory(partition: Arc<Disk>) -> Entry {
    directory(partition.name().to_string(), move || {
        let mut entries = common_attributes(&partition);
        let (start, number) =
            (partition.start() / 512, partition.partition_identity().map_or(0, |id| id.number));
        entries.push(link("subsystem", "/sys/class/block".into()));
        entries.push(text("start", move || start.to_string()));
        entries.push(text("partition", move || number.to_string()));
        entries
    })
}

fn common_attributes(disk: &Arc<Disk>) -> Entries {
    let number = disk.number();
    let sectors = disk.size_bytes() / 512;
    let read_only = u8::from(disk.access() == Access::ReadOnly);
    let name = disk.name().to_string();
    let counted = disk.clone();
    let kind = if disk.partition_identity().is_some() { "partition" } else { "disk" };
    vec![
        text("dev", move || format!("{}:{}", number.major, number.minor)),
        text("size", move || sectors.to_string()),
        text("ro", move || read_only.to_string()),
        text("stat", move || counted.counts()),
        text("uevent", move || {
            format!("MAJOR={}\nMINOR={}\nDEVNAME={name}\nDEVTYPE={kind}", number.major, number.minor)
        }),
    ]
}
