//! The load plan: which pages of the file go where, and which memory is zero.
//!
//! A segment covers whole pages. Its first pages come from the file ([`FilePart`]); the bytes between the end of its
//! file part and the end of that page must be cleared ([`Segment::clear`]), and what follows is fresh zero memory
//! ([`Segment::zero`]). Two segments may share a page but no byte; map them in order, each replacing what is there.
//! Addresses are those of the file: the caller adds a bias to all of them if the image is [`Kind::Relocatable`].

use crate::{ElfError, Header, Kind, PROGRAM_HEADER_LEN, ProgramHeader, Protection};
use alloc::vec::Vec;
use core::ops::Range;
use zerocopy::FromBytes;

/// The page size of plans.
pub const PAGE_SIZE: u64 = 4096;

/// Longest path of an interpreter, the final NUL included.
const INTERPRETER_LEN_MAX: u64 = 4096;

/// The pages of a segment that come from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// Address of the first page.
    pub address: u64,
    /// Offset of the first page in the file, a multiple of the page size.
    pub offset: u64,
    /// Bytes to map, a multiple of the page size. The file may end within the last page.
    pub len: u64,
}

/// One loadable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What it allows.
    pub protection: Protection,
    /// Pages from the file; `None` if it has no byte there.
    pub file: Option<FilePart>,
    /// Bytes of the file part's last page to set to zero; empty if there are none.
    pub clear: Range<u64>,
    /// Pages of zero memory after the file part; empty if there are none.
    pub zero: Range<u64>,
    /// The bytes that it claims, not rounded.
    pub bytes: Range<u64>,
}

impl Segment {
    /// All its pages.
    pub fn pages(&self) -> Range<u64> {
        let start = self.bytes.start & !(PAGE_SIZE - 1);
        start..self.zero.end.max(self.file.map_or(start, |file| file.address + file.len))
    }

    /// Its plan, checked against the greatest end address.
    fn plan(header: &ProgramHeader, limit: u64) -> Result<Segment, ElfError> {
        if header.filesz > header.memsz {
            return Err(ElfError::FileExceedsMemory);
        }
        if header.align > 1 && !header.align.is_power_of_two() {
            return Err(ElfError::Misaligned);
        }
        let within_page = header.vaddr % PAGE_SIZE;
        let end =
            header.vaddr.checked_add(header.memsz).filter(|&end| end <= limit).ok_or(ElfError::OutOfRange)?;
        let pages_end = round_up(end).filter(|&end| end <= limit).ok_or(ElfError::OutOfRange)?;
        let start = header.vaddr - within_page;
        let file_end = header.vaddr + header.filesz;
        let file_pages_end = round_up(file_end).ok_or(ElfError::OutOfRange)?;

        let file = if header.filesz == 0 {
            None
        } else {
            if header.offset % PAGE_SIZE != within_page {
                return Err(ElfError::Misaligned);
            }
            header.offset.checked_add(header.filesz).ok_or(ElfError::OutOfRange)?;
            Some(FilePart {
                address: start,
                offset: header.offset - within_page,
                len: file_pages_end - start,
            })
        };
        let zero_start = if file.is_some() { file_pages_end } else { start };
        let clear =
            if file.is_some() && end > file_end { file_end..file_pages_end } else { file_end..file_end };
        Ok(Segment {
            protection: Protection::from_bits_truncate(header.flags),
            file,
            clear,
            zero: zero_start..pages_end.max(zero_start),
            bytes: header.vaddr..end,
        })
    }
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// Where it begins.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Initial thread-local data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Address of the initial data.
    pub address: u64,
    /// Bytes of initial data.
    pub file_len: u64,
    /// Bytes of a thread's block.
    pub len: u64,
    /// Its alignment.
    pub align: u64,
}

/// A checked program: everything that is needed to load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Fixed or relocatable.
    pub kind: Kind,
    /// Address of the first instruction.
    pub entry: u64,
    /// The segments in the file's order, at least one.
    pub segments: Vec<Segment>,
    /// Where the interpreter's path stands (2 to 4096 bytes), if it has one.
    pub interpreter: Option<FileRange>,
    /// Initial thread-local data.
    pub tls: Option<Tls>,
    /// What the stack allows, if the file says so; without it the stack is not executable.
    pub stack: Option<Protection>,
    /// Notes on properties.
    pub property: Option<FileRange>,
    /// Address of the program-header table in memory (`AT_PHDR`), if a segment contains it.
    pub table_address: Option<u64>,
    /// Number of program headers (`AT_PHNUM`).
    pub table_count: u16,
    /// The greatest alignment of a segment, at least the page size: a base address must be its multiple.
    pub align: u64,
}

impl Image {
    /// Checks a program-header table and makes the plan. `user` is the range of user addresses: a fixed image must lie
    /// within it, a relocatable one must not be larger than it.
    pub fn parse(header: &Header, table: &[u8], user: Range<u64>) -> Result<Image, ElfError> {
        let table = table.get(..header.table_len()).ok_or(ElfError::BadTable)?;
        let mut image = Image {
            kind: header.kind,
            entry: header.entry,
            segments: Vec::new(),
            interpreter: None,
            tls: None,
            stack: None,
            property: None,
            table_address: None,
            table_count: header.table_count,
            align: PAGE_SIZE,
        };
        let limit = match header.kind {
            Kind::Fixed => user.end,
            Kind::Relocatable => u64::MAX,
        };
        for bytes in table.chunks_exact(PROGRAM_HEADER_LEN) {
            let entry = ProgramHeader::read_from_bytes(bytes).map_err(|_| ElfError::BadTable)?;
            image.add(header, &entry, limit)?;
        }
        image.check(user)?;
        Ok(image)
    }

    /// Takes in one program header.
    fn add(&mut self, header: &Header, entry: &ProgramHeader, limit: u64) -> Result<(), ElfError> {
        let range = FileRange { offset: entry.offset, len: entry.filesz };
        match entry.kind {
            ProgramHeader::LOAD => self.add_segment(header, entry, limit)?,
            ProgramHeader::INTERP if self.interpreter.is_none() => {
                if entry.filesz < 2 || entry.filesz > INTERPRETER_LEN_MAX {
                    return Err(ElfError::BadInterpreter);
                }
                self.interpreter = Some(range);
            }
            ProgramHeader::PHDR => self.table_address = Some(entry.vaddr),
            ProgramHeader::TLS => {
                let (file_len, len, align) = (entry.filesz, entry.memsz, entry.align.max(1));
                self.tls = Some(Tls { address: entry.vaddr, file_len, len, align });
            }
            ProgramHeader::GNU_STACK => self.stack = Some(Protection::from_bits_truncate(entry.flags)),
            ProgramHeader::GNU_PROPERTY => self.property = Some(range),
            _ => {}
        }
        Ok(())
    }

    fn add_segment(&mut self, header: &Header, entry: &ProgramHeader, limit: u64) -> Result<(), ElfError> {
        if entry.memsz == 0 && entry.filesz == 0 {
            return Ok(());
        }
        self.segments.push(Segment::plan(entry, limit)?);
        self.align = self.align.max(entry.align);
        let holds_table =
            header.table_offset >= entry.offset && header.table_range().end - entry.offset <= entry.filesz;
        if holds_table && self.table_address.is_none() {
            self.table_address = entry.vaddr.checked_add(header.table_offset - entry.offset);
        }
        Ok(())
    }

    /// What only all segments together tell.
    fn check(&self, user: Range<u64>) -> Result<(), ElfError> {
        if self.segments.is_empty() {
            return Err(ElfError::NoSegments);
        }
        let mut claims: Vec<_> = self.segments.iter().map(|segment| segment.bytes.clone()).collect();
        claims.sort_unstable_by_key(|claim| claim.start);
        if claims.windows(2).any(|pair| pair[0].end > pair[1].start) {
            return Err(ElfError::Overlap);
        }
        let span = self.span();
        let fits = match self.kind {
            Kind::Fixed => span.start >= user.start && span.end <= user.end,
            Kind::Relocatable => span.end - span.start <= user.end.saturating_sub(user.start),
        };
        if fits { Ok(()) } else { Err(ElfError::OutOfRange) }
    }

    /// From the first page to the end of the last one.
    pub fn span(&self) -> Range<u64> {
        let start = self.segments.iter().map(|segment| segment.pages().start).min();
        let end = self.segments.iter().map(|segment| segment.pages().end).max();
        start.unwrap_or(0)..end.unwrap_or(0)
    }

    /// The end of the last byte in memory: where the heap (`brk`) may begin.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes.end).max().unwrap_or(0)
    }

    /// What to add (wrapping) to each address of the plan so that the first page lies at `base`.
    pub fn bias_for(&self, base: u64) -> u64 {
        base.wrapping_sub(self.span().start)
    }

    /// Whether the stack must be executable.
    pub fn is_stack_executable(&self) -> bool {
        self.stack.is_some_and(|protection| protection.contains(Protection::EXECUTE))
    }

    /// The path in the bytes of [`Image::interpreter`], without its final NUL.
    pub fn interpreter_path(bytes: &[u8]) -> Result<&[u8], ElfError> {
        match bytes.split_last() {
            Some((0, path)) => Ok(path.split(|&byte| byte == 0).next().unwrap_or(path)),
            _ => Err(ElfError::BadInterpreter),
        }
    }
}

/// The address rounded up to a page, unless that overflows.
fn round_up(address: u64) -> Option<u64> {
    address.checked_next_multiple_of(PAGE_SIZE)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use zerocopy::IntoBytes;

    const USER: Range<u64> = 0x1_0000..0x7fff_ffff_f000;

    fn load(offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> ProgramHeader {
        ProgramHeader {
            kind: ProgramHeader::LOAD,
            flags: 6,
            offset,
            vaddr,
            paddr: 0,
            filesz,
            memsz,
            align: 4096,
        }
    }

    fn parse(kind: Kind, table: &[ProgramHeader]) -> Result<Image, ElfError> {
        let header = Header { kind, entry: 0x40_1000, table_offset: 64, table_count: table.len() as u16 };
        Image::parse(&header, table.as_bytes(), USER)
    }

    #[test]
    fn file_part_clear_and_zero_follow_each_other() {
        let image = parse(Kind::Fixed, &[load(0x1234, 0x40_0234, 0x1000, 0x3000)]).unwrap();
        let segment = &image.segments[0];
        assert_eq!(segment.file, Some(FilePart { address: 0x40_0000, offset: 0x1000, len: 0x2000 }));
        assert_eq!(segment.clear, 0x40_1234..0x40_2000);
        assert_eq!(segment.zero, 0x40_2000..0x40_4000);
        assert_eq!((image.span(), image.end()), (0x40_0000..0x40_4000, 0x40_3234));
        assert_eq!(segment.protection, Protection::READ | Protection::WRITE);
    }

    #[test]
    fn segments_without_file_bytes_are_zero_memory() {
        let image = parse(Kind::Fixed, &[load(0x777, 0x40_0010, 0, 0x10)]).unwrap();
        assert_eq!(image.segments[0].file, None);
        assert_eq!(image.segments[0].zero, 0x40_0000..0x40_1000);
        assert!(image.segments[0].clear.is_empty());
    }

    #[test]
    fn the_table_is_found_in_the_segment_that_holds_it() {
        let image = parse(Kind::Fixed, &[load(0, 0x40_0000, 0x1000, 0x1000)]).unwrap();
        assert_eq!(image.table_address, Some(0x40_0040));
        let image = parse(Kind::Fixed, &[load(0, 0x40_0000, 0x50, 0x50)]).unwrap();
        assert_eq!(image.table_address, None);
    }

    #[test]
    fn each_fault_has_its_error() {
        let fixed = |header| parse(Kind::Fixed, &[header]).unwrap_err();
        assert_eq!(fixed(load(0, 0x40_0000, 2, 1)), ElfError::FileExceedsMemory);
        assert_eq!(fixed(load(1, 0x40_0000, 1, 1)), ElfError::Misaligned);
        assert_eq!(fixed(ProgramHeader { align: 3, ..load(0, 0x40_0000, 1, 1) }), ElfError::Misaligned);
        assert_eq!(fixed(load(0, 0x40_0000, 0, u64::MAX)), ElfError::OutOfRange);
        assert_eq!(fixed(load(0, USER.end, 1, 1)), ElfError::OutOfRange);
        assert_eq!(fixed(load(0, 0, 1, 1)), ElfError::OutOfRange);
        assert_eq!(fixed(load(u64::MAX - 0xfff, 0x40_0000, 0x2000, 0x2000)), ElfError::OutOfRange);
        assert_eq!(fixed(load(0, 0x40_0000, 0, 0)), ElfError::NoSegments);
        let relocatable = |header| parse(Kind::Relocatable, &[header]).unwrap_err();
        assert_eq!(relocatable(load(0, u64::MAX - 4095, 1, 1)), ElfError::OutOfRange);
        assert_eq!(relocatable(load(0, 0, 1, USER.end)), ElfError::OutOfRange);
        let two = [load(0, 0x40_1000, 1, 0x1000), load(0, 0x40_0000, 1, 0x1001)];
        assert_eq!(parse(Kind::Fixed, &two), Err(ElfError::Overlap));
        let interpreter = ProgramHeader { kind: ProgramHeader::INTERP, filesz: 1, ..Default::default() };
        assert_eq!(fixed(interpreter), ElfError::BadInterpreter);
        assert_eq!(Errno::from(ElfError::Overlap), Errno::EINVAL);
    }

    use abi::Errno;

    #[test]
    fn segments_may_share_a_page() {
        let two = [load(0, 0x40_0000, 0x100, 0x100), load(0x100, 0x40_0100, 0x100, 0x100)];
        assert_eq!(parse(Kind::Fixed, &two).unwrap().span(), 0x40_0000..0x40_1000);
    }

    #[test]
    fn a_bias_moves_the_first_page_to_the_base() {
        let image = parse(Kind::Relocatable, &[load(0x1000, 0x1000, 1, 1)]).unwrap();
        assert_eq!(image.bias_for(0x5555_0000_0000), 0x5554_ffff_f000);
    }

    #[test]
    fn interpreter_paths_need_an_end() {
        assert_eq!(Image::interpreter_path(b"/lib/ld.so\0"), Ok(&b"/lib/ld.so"[..]));
        assert_eq!(Image::interpreter_path(b"/lib/ld.so"), Err(ElfError::BadInterpreter));
        assert_eq!(Image::interpreter_path(b""), Err(ElfError::BadInterpreter));
    }

    /// Whatever the table holds, a plan either fails or stays in range and covers the segment.
    #[test]
    fn plans_of_random_tables_stay_in_range() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..200_000 {
            let table: vec::Vec<_> = (0..random() % 3 + 1)
                .map(|_| {
                    let wide = random() % 4 == 0;
                    let mut number =
                        |bits: u32| random() >> if wide { random() % 64 } else { 64 - bits as u64 };
                    let (filesz, vaddr) = (number(14), number(24));
                    let offset = (number(20) & !0xfff) | vaddr & 0xfff;
                    let memsz = filesz.wrapping_add(number(14));
                    ProgramHeader { flags: 7, ..load(offset, vaddr, filesz, memsz) }
                })
                .collect();
            let kind = if random() % 2 == 0 { Kind::Fixed } else { Kind::Relocatable };
            let Ok(image) = parse(kind, &table) else { continue };
            let span = image.span();
            assert!(span.end - span.start <= USER.end - USER.start);
            assert!(kind == Kind::Relocatable || span.start >= USER.start && span.end <= USER.end);
            for segment in &image.segments {
                let pages = segment.pages();
                assert!(pages.start % PAGE_SIZE == 0 && pages.end % PAGE_SIZE == 0);
                assert!(pages.start <= segment.bytes.start && segment.bytes.end <= pages.end);
                let file_len = segment.file.map_or(0, |file| file.len);
                assert_eq!(file_len + (segment.zero.end - segment.zero.start), pages.end - pages.start);
            }
        }
    }
}
