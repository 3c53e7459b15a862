//! Arguments and environment as they come from the calling program, and how much of them there may be.

use crate::{
    error::{Error, Result},
    mm::user::{UserPtr, read_string},
};
use abi::errno::Errno;
use alloc::vec::Vec;
use machine::mm::OutOfMemory;

/// Strings without their NUL.
pub(crate) type Strings = Vec<Vec<u8>>;

/// Longest single string with its NUL (Linux's MAX_ARG_STRLEN).
const STRING_MAX: usize = 32 * 4096;
/// Whatever the stack limit, so much is allowed (ARG_MAX)...
const TOTAL_MIN: u64 = 128 << 10;
/// ... and no more than so much.
const TOTAL_MAX: u64 = 6 << 20;

const TOO_LONG: Error = Error::new(Errno::E2BIG, "arguments and environment are too long");

/// Bytes that strings and the pointers to them may take, for a limit on the stack.
pub(super) fn space_for(stack_limit: u64) -> u64 {
    (stack_limit / 4).clamp(TOTAL_MIN, TOTAL_MAX)
}

/// Bytes that strings and the pointers to them take.
pub(super) fn space_taken(strings: &Strings) -> u64 {
    strings.iter().map(|string| string.len() as u64 + 1 + size_of::<u64>() as u64).sum()
}

/// Reads the strings that a NULL-terminated array of pointers in the calling program leads to; a NULL
/// pointer is an empty array.
///
/// # Errors
/// E2BIG, for what would not fit alone already; EFAULT; ENOMEM.
pub(crate) fn read_strings(array: u64, stack_limit: u64) -> Result<Strings> {
    let mut strings = Strings::new();
    if array == 0 {
        return Ok(strings);
    }
    let space = space_for(stack_limit);
    let mut taken = 0;
    for index in 0u64.. {
        let place = index.checked_mul(8).and_then(|offset| array.checked_add(offset));
        let place = place.ok_or(Error::new(Errno::EFAULT, "the array of strings has no end"))?;
        let Some(string) = UserPtr::<u8>::nullable(UserPtr::<u64>::new(place).read()?) else { break };
        let string = read_string(string.address(), STRING_MAX)?.ok_or(TOO_LONG)?;
        taken += string.len() as u64 + 1 + size_of::<u64>() as u64;
        if taken > space {
            return Err(TOO_LONG);
        }
        strings.try_reserve(1).map_err(|_| OutOfMemory)?;
        strings.push(string);
    }
    Ok(strings)
}

/// E2BIG if all that goes onto the stack is too long.
pub(super) fn check_total(
    stack_limit: u64,
    name: &[u8],
    arguments: &Strings,
    environment: &Strings,
) -> Result<()> {
    let taken = space_taken(arguments) + space_taken(environment) + name.len() as u64 + 1;
    if taken > space_for(stack_limit) { Err(TOO_LONG) } else { Ok(()) }
}
