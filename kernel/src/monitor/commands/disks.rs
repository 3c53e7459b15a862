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
            match disk.identify() {
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
            None => match disk.identify() {
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

/// Shows the BIOS parameter block of a FAT file system.
pub(in crate::monitor) fn fat(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    if arguments.word()? != "bios" {
        return Err(Failure::Usage);
    }
    let disk = disk(arguments.word()?)?;
    arguments.end()?;
    write_fat(&mut context.out, &read_sector(&disk, 0)?)?;
    Ok(())
}

/// Source: Microsoft FAT specification (2005), section 3.1.
fn write_fat(out: &mut dyn Write, sector: &[u8; SECTOR]) -> fmt::Result {
    let byte = |at: usize| u32::from(sector[at]);
    let word = |at: usize| byte(at) | byte(at + 1) << 8;
    let double = |at: usize| word(at) | word(at + 2) << 16;
    if word(510) != 0xaa55 {
        writeln!(out, "this is no boot sector: its last two bytes are {:04x}, not aa55", word(510))?;
    }
    let is_fat32 = word(22) == 0;
    let mut text = |name: &str, start: usize, length: usize| {
        write!(out, "{name}: ")?;
        for byte in &sector[start..start + length] {
            out.write_char(if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })?;
        }
        writeln!(out)
    };
    text("OEM name", 3, 8)?;
    let extended = if is_fat32 { 64 } else { 36 };
    if sector[extended + 2] == 0x29 {
        text("volume label", extended + 7, 11)?;
        text("file system type", extended + 18, 8)?;
    }
    for (name, value) in [
        ("bytes per sector", word(11)),
        ("sectors per cluster", byte(13)),
        ("reserved sectors", word(14)),
        ("FATs", byte(16)),
        ("root directory entries", word(17)),
        ("sectors (16 bits)", word(19)),
        ("media", byte(21)),
        ("sectors per FAT (16 bits)", word(22)),
        ("sectors per track", word(24)),
        ("heads", word(26)),
        ("hidden sectors", double(28)),
        ("sectors (32 bits)", double(32)),
    ] {
        writeln!(out, "{name}: {value}")?;
    }
    if is_fat32 {
        writeln!(out, "sectors per FAT (32 bits): {}", double(36))?;
        writeln!(out, "first cluster of the root directory: {}", double(44))?;
        writeln!(out, "FSInfo sector: {}, backup boot sector: {}", word(48), word(50))?;
    }
    if sector[extended + 2] == 0x29 {
        writeln!(out, "volume id: {:08x}", double(extended + 3))?;
    }
    Ok(())
}
