//! Running programs: execve, execveat.

use super::{Call, at};
use crate::error::{Error, Result};
use crate::fs::dentry::Path;
use crate::fs::permission::Caller;
use crate::mm::Randomization;
use crate::process::exec::{Request, SetIdBits, read_strings};
use crate::process::program;
use abi::errno::Errno;
use abi::fcntl::{AT_FDCWD, AtFlags};
use abi::resource::RLIMIT_STACK;
use alloc::format;
use alloc::vec::Vec;

/// personality(2): addresses are not left to chance.
const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;

/// execve(2): path, arguments, environment.
pub(super) fn execve(call: &mut Call<'_>) -> Result<u64> {
    let at = at::At::current(call, call.arg(0))?;
    let place = at.lookup(at::lookup_flags(AtFlags::empty()))?;
    execute(call, at.caller, place, at.path, [call.arg(1), call.arg(2)])
}

/// execveat(2): directory, path, arguments, environment, flags.
pub(super) fn execveat(call: &mut Call<'_>) -> Result<u64> {
    let flags = at::flags(call.uint(4), AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let directory = call.fd(0);
    let at = at::At::read(call, directory, call.arg(1))?;
    let place = at.lookup(at::lookup_flags(flags))?;
    if place.inode().kind() == crate::fs::inode::FileKind::Link {
        return Err(Error::new(Errno::ELOOP, "a symbolic link, and following was forbidden"));
    }
    // What a script's interpreter opens to read the script.
    let name = match (at.path.first(), directory) {
        (Some(b'/'), _) | (_, AT_FDCWD) => at.path,
        (None, fd) => format!("/dev/fd/{fd}").into_bytes(),
        (Some(_), fd) => [format!("/dev/fd/{fd}/").as_bytes(), &at.path].concat(),
    };
    execute(call, at.caller, place, name, [call.arg(2), call.arg(3)])
}

fn execute(call: &mut Call<'_>, caller: Caller, place: Path, name: Vec<u8>, arrays: [u64; 2]) -> Result<u64> {
    let process = call.process();
    let stack_limit = process.limits.current(RLIMIT_STACK);
    let is_fixed = process.personality() & ADDR_NO_RANDOMIZE != 0;
    let request = Request {
        caller,
        place,
        name,
        arguments: read_strings(arrays[0], stack_limit)?,
        environment: read_strings(arrays[1], stack_limit)?,
        stack_limit,
        randomization: if is_fixed { Randomization::Off } else { Randomization::current() },
        set_id_bits: if process.has_no_new_privileges() { SetIdBits::Ignored } else { SetIdBits::Honoured },
    };
    program::execute(call.thread, call.context, request)?;
    // The new program's first `rax`.
    Ok(call.context.rax)
}
