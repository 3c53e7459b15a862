//! Sectors of disks. A disk is a number (the order in which they were found, from 0) or its name in /dev.

use crate::block::{Access, Disk, registry};
use crate::monitor::arguments::{Arguments, Failure, Outcome, While, invalid, parse_number};
use crate::monitor::command::Context;
use alloc::{sync::Arc, vec};
use core::fmt::{self, Write};

/// Bytes of a sector, whatever the disk's blocks are.
const SECTOR: usize = 512;

/// The disk that an argument means.
pub(super) fn disk(word: &str) -> Result<Arc<Disk>, Failure> {
    let none = |why| invalid("disk", word, why);
    let name = word.strip_prefix("/dev/").unwrap_or(word);
    if let Some(disk) = registry::find(name) {
        return Ok(disk);
    }
    let index = parse_number(word).map_err(|_| none("`block list` lists them"))?;
    let index = usize::try_from(index).map_err(|_| none("it is too large"))?;
    whole_disks().nth(index).ok_or(none("`block list` lists them"))
}

fn whole_disks() -> impl Iterator<Item = Arc<Disk>> {
    registry::all().into_iter().filter(|disk| disk.partition_identity().is_none())
}

/// Lists disks, reads and writes sectors.
pub(in crate::monitor) fn block(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    match arguments.word()? {
        "list" => {
            arguments.end()?;
            list(context)
        }
        "read" => {
            let (disk, sector) = (disk(arguments.word()?)?, arguments.number("sector")?);
            arguments.end()?;
            write_hex(&mut context.out, &read_sector(&disk, sector)?)?;
            Ok(())
        }
        "write" => {
            let (disk, sector) = (disk(arguments.word()?)?, arguments.number("sector")?);
            let number = arguments.number::<u64>("number")?;
            arguments.end()?;
            write_sector(&disk, sector, number)?;
            writeln!(context.out, "written")?;
            Ok(())
        }
        "id" => {
            let disk = disk(arguments.word()?)?;
            arguments.end()?;
            match disk.identify().serial {
                Some(id) => writeln!(context.out, "{id}")?,
                None => writeln!(context.out, "{} has no serial number", disk.name())?,
            }
            Ok(())
        }
        _ => Err(Failure::Usage),
    }
}

fn list(context: &mut Context<'_>) -> Outcome {
    let out = &mut context.out;
    let mut index = 0;
    for disk in registry::all() {
        if disk.partition_identity().is_none() {
            write!(out, "{index}: ")?;
            index += 1;
        } else {
            write!(out, "   ")?;
        }
        let access = if disk.access() == Access::ReadOnly { "read-only" } else { "writable" };
        let number = disk.number();
        write!(out, "{} ({}:{}) {} bytes", disk.name(), number.major, number.minor, disk.size_bytes())?;
        write!(out, ", blocks of {}, {access}", disk.block_size())?;
        if disk.is_claimed() {
            write!(out, ", mounted")?;
        }
        match disk.partition_identity() {
            Some(partition) => writeln!(out, ", partition {} at {}", partition.number, disk.start())?,
            None => match disk.identify().serial {
                Some(id) => writeln!(out, ", serial {id}")?,
                None => writeln!(out)?,
            },
        }
    }
    Ok(())
}

/// Where a sector begins, in bytes.
fn offset(disk: &Disk, sector: u64) -> Result<u64, Failure> {
    let outside = Failure::Refused("the disk has no such sector");
    let offset = sector.checked_mul(SECTOR as u64).ok_or(outside)?;
    if offset.checked_add(SECTOR as u64).is_none_or(|end| end > disk.size_bytes()) {
        return Err(Failure::Refused("the disk has no such sector"));
    }
    Ok(offset)
}

/// Reads a sector, past what file systems have in memory.
fn read_sector(disk: &Disk, sector: u64) -> Result<[u8; SECTOR], Failure> {
    let offset = offset(disk, sector)?;
    let block_size = disk.block_size() as usize;
    let mut block = vec![0; block_size];
    let within = (offset % block_size as u64) as usize;
    disk.read(offset - within as u64, &mut block).trying("reading")?;
    let mut bytes = [0; SECTOR];
    bytes.copy_from_slice(&block[within..within + SECTOR]);
    Ok(bytes)
}

/// Writes a number, little-endian, and zeros behind it into a sector, through the blocks in memory.
fn write_sector(disk: &Arc<Disk>, sector: u64, number: u64) -> Outcome {
    if disk.is_claimed() {
        return Err(Failure::Refused("a file system is mounted from the disk"));
    }
    if disk.access() == Access::ReadOnly {
        return Err(Failure::Refused("the disk is read-only"));
    }
    let mut bytes = [0; SECTOR];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    disk.cache().write(offset(disk, sector)?, &bytes).trying("writing")?;
    disk.cache().flush().trying("writing")
}

fn write_hex(out: &mut dyn Write, bytes: &[u8]) -> fmt::Result {
    for (row, bytes) in bytes.chunks(16).enumerate() {
        write!(out, "{:03x}:", row * 16)?;
        bytes.iter().try_for_each(|byte| write!(out, " {byte:02x}"))?;
        out.write_str("  ")?;
        let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        bytes.iter().map(shown).try_for_each(|shown| out.write_char(shown))?;
        writeln!(out)?;
    }
    Ok(())
}
