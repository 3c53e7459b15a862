//! Bringing an ELF file into memory: the program, and the interpreter that it asks for.

use super::executable::Executable;
use crate::{
    error::{Error, Result},
    fs::{lookup, permission::Caller},
    mm::{AddressSpace, MapRequest, MappingFlags, PERMISSIONS, Place, USER_START},
};
use abi::{errno::Errno, mman::Prot};
use alloc::{vec, vec::Vec};
use core::ops::Range;
use elf::{ElfError, HEADER_LEN, Header, Kind, PROGRAM_HEADER_LEN, Protection, Segment};
use machine::addr::{PAGE_SIZE, USER_END};

const PAGE: u64 = PAGE_SIZE as u64;

impl From<ElfError> for Error {
    fn from(error: ElfError) -> Self {
        Error::new(error.into(), "not a program that can be run")
    }
}

/// A checked ELF file.
pub(super) struct Image {
    plan: elf::Image,
}

/// Where a program came to lie.
pub(super) struct Placed {
    /// Its first instruction.
    pub(super) entry: u64,
    /// Its program headers, 0 if they are not in memory (AT_PHDR).
    pub(super) headers: u64,
    /// Number and size of the headers.
    pub(super) header_count: u16,
    /// Whether its stack is to be executable.
    pub(super) is_stack_executable: bool,
    /// Where its heap starts.
    pub(super) heap: u64,
    /// Code and data.
    pub(super) code: Range<u64>,
    pub(super) data: Range<u64>,
}

impl Image {
    /// Reads and checks the headers.
    pub(super) fn read(executable: &Executable) -> Result<Self> {
        let header = Header::parse(&executable.head()[..HEADER_LEN])?;
        let mut table = vec![0; header.table_len()];
        let length = executable.read_at(header.table_offset, &mut table)?;
        let plan = elf::Image::parse(&header, &table[..length], USER_START..USER_END)?;
        Ok(Self { plan })
    }

    /// The path of the interpreter, if it asks for one.
    pub(super) fn interpreter(&self, executable: &Executable) -> Result<Option<Vec<u8>>> {
        let Some(range) = self.plan.interpreter else { return Ok(None) };
        // The plan allows no more than 4096 bytes.
        let mut bytes = vec![0; range.len as usize];
        let length = executable.read_at(range.offset, &mut bytes)?;
        Ok(Some(elf::Image::interpreter_path(&bytes[..length])?.to_vec()))
    }

    /// Maps it, as the main program.
    pub(super) fn place(&self, space: &AddressSpace, executable: &Executable) -> Result<Placed> {
        let plan = &self.plan;
        let bias = match plan.kind {
            Kind::Fixed => 0,
            Kind::Relocatable => plan.bias_for(aligned_down(space.layout().program_base, plan.align)),
        };
        self.map(space, executable, bias)?;
        let heap = plan.end().wrapping_add(bias).next_multiple_of(PAGE) + space.layout().heap_gap;
        Ok(Placed {
            entry: plan.entry.wrapping_add(bias),
            headers: plan.table_address.map_or(0, |address| address.wrapping_add(bias)),
            header_count: plan.table_count,
            is_stack_executable: plan.is_stack_executable(),
            heap,
            code: self.extent(Protection::EXECUTE, bias),
            data: self.extent(Protection::WRITE, bias),
        })
    }

    /// From the first to the last byte of the segments that allow something.
    fn extent(&self, protection: Protection, bias: u64) -> Range<u64> {
        let chosen = || self.plan.segments.iter().filter(|segment| segment.protection.contains(protection));
        let start = chosen().map(|segment| segment.bytes.start).min().unwrap_or(0);
        let end = chosen().map(|segment| segment.bytes.end).max().unwrap_or(0);
        if end == 0 { 0..0 } else { start.wrapping_add(bias)..end.wrapping_add(bias) }
    }

    /// Maps all segments, moved by `bias`.
    fn map(&self, space: &AddressSpace, executable: &Executable, bias: u64) -> Result<()> {
        let span = self.plan.span();
        let (start, end) = (span.start.wrapping_add(bias), span.end.wrapping_add(bias));
        if start < USER_START || start > end || end > USER_END {
            return Err(Error::new(Errno::ENOMEM, "the program does not fit where it goes"));
        }
        self.plan.segments.iter().try_for_each(|segment| map_segment(space, executable, segment, bias))
    }
}

fn map_segment(space: &AddressSpace, executable: &Executable, segment: &Segment, bias: u64) -> Result<()> {
    let protection = protection(segment.protection);
    let moved = |address: u64| address.wrapping_add(bias);
    if let Some(part) = segment.file {
        space.map(MapRequest {
            place: Place::Fixed(moved(part.address)),
            length: part.len,
            protection,
            allowed: PERMISSIONS,
            flags: MappingFlags::empty(),
            source: Some((executable.source.clone(), part.offset)),
        })?;
    }
    let zero = &segment.zero;
    if !zero.is_empty() {
        space.map(MapRequest::anonymous(
            Place::Fixed(moved(zero.start)),
            zero.end - zero.start,
            protection,
        ))?;
    }
    // As on Linux, the rest of a page is cleared only where the program could do so itself.
    if !segment.clear.is_empty() && protection.contains(Prot::PROT_WRITE) {
        let zeros = [0; PAGE_SIZE];
        let length = (segment.clear.end - segment.clear.start) as usize;
        if space.write_remote(moved(segment.clear.start), &zeros[..length]) < length {
            return Err(Error::new(Errno::EFAULT, "the end of a segment cannot be cleared"));
        }
    }
    Ok(())
}

fn protection(flags: Protection) -> Prot {
    let mut protection = Prot::empty();
    protection.set(Prot::PROT_READ, flags.contains(Protection::READ));
    protection.set(Prot::PROT_WRITE, flags.contains(Protection::WRITE));
    protection.set(Prot::PROT_EXEC, flags.contains(Protection::EXECUTE));
    protection
}

fn aligned_down(address: u64, align: u64) -> u64 {
    address & !(align.max(PAGE) - 1)
}

/// A program's interpreter: the dynamic linker.
pub(super) struct Interpreter {
    executable: Executable,
    image: Image,
}

impl Interpreter {
    /// Opens and checks it.
    pub(super) fn open(caller: &Caller, path: &[u8]) -> Result<Self> {
        let place = lookup::lookup(caller, &caller.directory, path, lookup::LookupFlags::FOLLOW)?;
        let executable = Executable::open(caller, place)?;
        let damaged = |error: Error| match error.errno {
            Errno::ENOEXEC | Errno::EINVAL => Error::new(Errno::ELIBBAD, "the interpreter is no ELF file"),
            _ => error,
        };
        let image = Image::read(&executable).map_err(damaged)?;
        Ok(Self { executable, image })
    }

    /// Maps it where there is room; returns its base (AT_BASE) and its first instruction.
    pub(super) fn place(&self, space: &AddressSpace) -> Result<(u64, u64)> {
        let plan = &self.image.plan;
        let bias = match plan.kind {
            Kind::Fixed => 0,
            Kind::Relocatable => {
                let span = plan.span();
                let align = plan.align.max(PAGE);
                let no_room = Error::new(Errno::ENOMEM, "no room for the interpreter");
                let length = (span.end - span.start).checked_add(align - PAGE).ok_or(no_room)?;
                // Nobody else uses this address space yet: what was found free stays free.
                let found = space.map(MapRequest::anonymous(Place::Anywhere(None), length, Prot::empty()))?;
                space.unmap(found, length)?;
                plan.bias_for(found.next_multiple_of(align))
            }
        };
        self.image.map(space, &self.executable, bias)?;
        Ok((plan.span().start.wrapping_add(bias), plan.entry.wrapping_add(bias)))
    }
}

/// Size of a program header, for AT_PHENT.
pub(super) const HEADER_SIZE: u64 = PROGRAM_HEADER_LEN as u64;
