//! The first stack of a program (x86-64 psABI, 3.4.1), from the top down: the path, the environment, the arguments, a
//! platform name and 16 random bytes; then, at a multiple of 16 where the stack pointer starts: the number of
//! arguments, pointers to them, NULL, pointers to the environment, NULL, the auxiliary vector.

use super::{Request, SetIds, image, image::Placed, strings};
use crate::{
    device::random,
    error::{Error, Result},
    mm::{AddressSpace, MapRequest, MappingFlags, Place, Randomization},
    process::signal,
};
use abi::{
    auxv::{self, AuxEntry},
    errno::Errno,
    mman::Prot,
};
use alloc::vec::Vec;
use core::ops::Range;
use machine::{addr::PAGE_SIZE, mm::OutOfMemory};
use zerocopy::IntoBytes;

const PLATFORM: &[u8] = b"x86_64\0";
/// The stack is mapped so far below what is put onto it; it grows from there.
const ROOM: u64 = 128 << 10;
/// AT_CLKTCK.
const CLOCK_TICKS: u64 = 100;

/// A stack, filled.
pub(super) struct Stack {
    pub(super) pointer: u64,
    pub(super) arguments: Range<u64>,
    pub(super) environment: Range<u64>,
    pub(super) auxiliary: Vec<u8>,
}

/// Maps and fills the stack.
pub(super) fn build(
    space: &AddressSpace,
    request: &Request,
    placed: &Placed,
    bases: Bases,
    set_ids: SetIds,
) -> Result<Stack> {
    strings::check_total(request.stack_limit, &request.name, &request.arguments, &request.environment)?;
    map(space, request, placed)?;
    let mut writer = Writer { space, position: space.layout().stack_top };
    writer.push(&[0; 8])?;
    let name = writer.push_string(&request.name)?;
    let end = writer.position;
    let environment_pointers = writer.push_strings(&request.environment)?;
    let middle = writer.position;
    let argument_pointers = writer.push_strings(&request.arguments)?;
    let arguments = writer.position..middle;

    if request.randomization != Randomization::Off {
        writer.position -= random::number() % 8192;
    }
    writer.align(16);
    let platform = writer.push(PLATFORM)?;
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    let random = writer.push(&bytes)?;
    writer.align(16);

    let vector = auxiliary(request, placed, bases, set_ids, Strings { name, platform, random });
    let words = pointers(&argument_pointers, &environment_pointers)?;
    let length = words.as_bytes().len() + vector.as_bytes().len();
    // The words start at a multiple of 16 and run up to the strings.
    writer.position -= length as u64;
    writer.align(16);
    let pointer = writer.position;
    writer.put(pointer, words.as_bytes())?;
    writer.put(pointer + words.as_bytes().len() as u64, vector.as_bytes())?;
    Ok(Stack { pointer, arguments, environment: middle..end, auxiliary: vector.as_bytes().to_vec() })
}

fn map(space: &AddressSpace, request: &Request, placed: &Placed) -> Result<()> {
    let taken = strings::space_taken(&request.arguments) + strings::space_taken(&request.environment);
    let top = space.layout().stack_top;
    let length = (taken + request.name.len() as u64 + ROOM).next_multiple_of(PAGE_SIZE as u64);
    let mut protection = Prot::PROT_READ | Prot::PROT_WRITE;
    protection.set(Prot::PROT_EXEC, placed.is_stack_executable);
    let request = MapRequest::anonymous(Place::FixedNew(top - length), length, protection);
    space.map(MapRequest { flags: MappingFlags::GROWS_DOWN, ..request })?;
    Ok(())
}

/// Number of arguments, and the pointers.
fn pointers(arguments: &[u64], environment: &[u64]) -> Result<Vec<u64>> {
    let mut words = Vec::new();
    words.try_reserve_exact(arguments.len() + environment.len() + 3).map_err(|_| OutOfMemory)?;
    words.push(arguments.len() as u64);
    words.extend_from_slice(arguments);
    words.push(0);
    words.extend_from_slice(environment);
    words.push(0);
    Ok(words)
}

/// What else lies in the address space.
#[derive(Clone, Copy)]
pub(super) struct Bases {
    /// The interpreter; 0: there is none.
    pub(super) interpreter: u64,
    /// The vDSO's code.
    pub(super) vdso: Option<u64>,
}

/// Where the vector's strings stand.
struct Strings {
    name: u64,
    platform: u64,
    random: u64,
}

fn auxiliary(
    request: &Request,
    placed: &Placed,
    bases: Bases,
    set_ids: SetIds,
    strings: Strings,
) -> Vec<AuxEntry> {
    let credentials = &request.caller.credentials;
    let effective_user = set_ids.user.unwrap_or(credentials.euid);
    let effective_group = set_ids.group.unwrap_or(credentials.egid);
    let is_secure = effective_user != credentials.uid || effective_group != credentials.gid;
    let cpu = machine::cpu::description();
    let entries = [
        (auxv::AT_MINSIGSTKSZ, signal::smallest_stack()),
        (auxv::AT_HWCAP, u64::from(cpu.hwcap)),
        (auxv::AT_PAGESZ, PAGE_SIZE as u64),
        (auxv::AT_CLKTCK, CLOCK_TICKS),
        (auxv::AT_PHDR, placed.headers),
        (auxv::AT_PHENT, image::HEADER_SIZE),
        (auxv::AT_PHNUM, u64::from(placed.header_count)),
        (auxv::AT_BASE, bases.interpreter),
        (auxv::AT_FLAGS, 0),
        (auxv::AT_ENTRY, placed.entry),
        (auxv::AT_UID, u64::from(credentials.uid)),
        (auxv::AT_EUID, u64::from(effective_user)),
        (auxv::AT_GID, u64::from(credentials.gid)),
        (auxv::AT_EGID, u64::from(effective_group)),
        (auxv::AT_SECURE, u64::from(is_secure)),
        (auxv::AT_RANDOM, strings.random),
        (auxv::AT_HWCAP2, u64::from(cpu.hwcap2)),
        (auxv::AT_EXECFN, strings.name),
        (auxv::AT_PLATFORM, strings.platform),
        (auxv::AT_NULL, 0),
    ];
    let vdso = bases.vdso.map(|address| (auxv::AT_SYSINFO_EHDR, address));
    vdso.into_iter().chain(entries).map(|(key, value)| AuxEntry::new(key, value)).collect()
}

/// Puts things onto a stack, each below the last.
struct Writer<'a> {
    space: &'a AddressSpace,
    position: u64,
}

impl Writer<'_> {
    fn put(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        if self.space.write_remote(address, bytes) < bytes.len() {
            return Err(Error::new(Errno::ENOMEM, "no memory for the stack"));
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) -> Result<u64> {
        self.position -= bytes.len() as u64;
        self.put(self.position, bytes)?;
        Ok(self.position)
    }

    fn push_string(&mut self, string: &[u8]) -> Result<u64> {
        // The stack is fresh: its zeros serve as NUL.
        self.position -= 1;
        self.push(string)
    }

    /// Returns where each stands; the first one lies lowest.
    fn push_strings(&mut self, strings: &[Vec<u8>]) -> Result<Vec<u64>> {
        let mut pointers = Vec::new();
        pointers.try_reserve_exact(strings.len()).map_err(|_| OutOfMemory)?;
        for string in strings.iter().rev() {
            pointers.push(self.push_string(string)?);
        }
        pointers.reverse();
        Ok(pointers)
    }

    fn align(&mut self, to: u64) {
        self.position &= !(to - 1);
    }
}
