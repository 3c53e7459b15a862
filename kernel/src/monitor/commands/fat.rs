//! FAT file systems, read where they are: they need not be mounted.

use super::{disks, files};
use crate::block::Disk;
use crate::monitor::arguments::{Arguments, Failure, Outcome};
use crate::monitor::command::Context;
use alloc::sync::Arc;
use core::fmt::{self, Write};
use fat::{BOOT_SECTOR, Entry, Error, FileSystem, Parameters};

/// A disk as the file system reads it: any bytes, through the blocks in memory.
struct Bytes(Arc<Disk>);

impl fat::Disk for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.0.cache().read(offset, buffer).is_ok()
    }
}

/// What went wrong, for people.
fn failure(error: Error) -> Failure {
    match error {
        Error::Read => Failure::Refused("the disk cannot be read"),
        Error::NotFat(why) | Error::Corrupt(why) => Failure::Refused(why),
        Error::NotFound => Failure::Refused("there is no such file"),
        Error::NotADirectory => Failure::Refused("this is no directory"),
        Error::IsADirectory => Failure::Refused("this is a directory"),
        Error::Write | Error::Full | Error::BadName | Error::LongName | Error::TooLarge => {
            Failure::Refused("this cannot be changed")
        }
    }
}

/// Shows the BIOS parameter block, a directory, or a file.
pub(in crate::monitor) fn fat(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let what = arguments.word()?;
    if !matches!(what, "bios" | "ls" | "cat") {
        return Err(Failure::Usage);
    }
    let disk = disks::disk(arguments.word()?)?;
    let path = if what == "bios" { "/" } else { arguments.word()? };
    arguments.end()?;
    if what == "bios" {
        let mut sector = [0; BOOT_SECTOR];
        if !fat::Disk::read(&Bytes(disk), 0, &mut sector) {
            return Err(failure(Error::Read));
        }
        write_parameters(&mut context.out, &Parameters::parse(&sector).map_err(failure)?)?;
        return Ok(());
    }
    let mut system = FileSystem::new(Bytes(disk)).map_err(failure)?;
    let found = system.find(path).map_err(failure)?;
    match what {
        "ls" => list(context, &mut system, &found),
        _ => show(context, &mut system, &found),
    }
}

fn list(context: &mut Context<'_>, system: &mut FileSystem<Bytes>, directory: &Entry) -> Outcome {
    let out = &mut context.out;
    let mut outcome = Ok(());
    let listed = system.list(directory, &mut |entry| {
        let slash = if entry.is_directory { "/" } else { "" };
        outcome = writeln!(out, "{:>10} {} {}{slash}", entry.size, Written(entry.written), entry.name);
        outcome.is_ok()
    });
    outcome?;
    listed.map_err(failure)
}

/// A date and time of an entry.
struct Written((u16, u16));

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = self.0;
        write!(f, "{}-{:02}-{:02} ", 1980 + (date >> 9), date >> 5 & 15, date & 31)?;
        write!(f, "{:02}:{:02}:{:02}", time >> 11, time >> 5 & 63, (time & 31) * 2)
    }
}

fn show(context: &mut Context<'_>, system: &mut FileSystem<Bytes>, file: &Entry) -> Outcome {
    let mut reader = system.open(file).map_err(failure)?;
    files::show(context, &mut |buffer| system.read(&mut reader, buffer).map_err(failure))
}

fn write_parameters(out: &mut dyn Write, parameters: &Parameters) -> fmt::Result {
    writeln!(out, "type: {:?}, {} clusters", parameters.kind, parameters.clusters)?;
    writeln!(out, "OEM name: {}", parameters.oem_name.escape_ascii())?;
    if let Some((id, label)) = &parameters.volume {
        writeln!(out, "volume label: {}, id: {id:08x}", label.trim_ascii_end().escape_ascii())?;
    }
    for (name, value) in [
        ("bytes per sector", parameters.bytes_per_sector),
        ("sectors per cluster", parameters.sectors_per_cluster),
        ("reserved sectors", parameters.reserved_sectors),
        ("FATs", parameters.tables),
        ("sectors per FAT", parameters.sectors_per_table),
        ("root directory entries", parameters.root_entries),
        ("sectors", parameters.sectors),
        ("media", parameters.media.into()),
        ("sectors per track", parameters.sectors_per_track.into()),
        ("heads", parameters.heads.into()),
        ("hidden sectors", parameters.hidden_sectors),
        ("first cluster of the root directory", parameters.root_cluster),
    ] {
        writeln!(out, "{name}: {value}")?;
    }
    Ok(())
}
