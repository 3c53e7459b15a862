//! Scripts: a first line `#!interpreter argument`, as Linux reads it.
//!
//! Blanks around both parts do not count; all that follows the interpreter is one argument. The line
//! may be cut off by the end of the head, but not within the interpreter's path.

use super::{Strings, executable::HEAD_LEN};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::vec::Vec;
use machine::mm::OutOfMemory;

/// What the first line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) interpreter: Vec<u8>,
    pub(super) argument: Option<Vec<u8>>,
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Reads the first line; `None` if the file is no script.
pub(super) fn parse(head: &[u8; HEAD_LEN]) -> Option<Result<Script>> {
    let rest = head.strip_prefix(b"#!")?;
    Some(parse_line(rest).ok_or(Error::new(Errno::ENOEXEC, "the first line names no interpreter")))
}

fn parse_line(rest: &[u8]) -> Option<Script> {
    let end = rest.iter().position(|byte| matches!(byte, b'\n' | 0));
    let line = &rest[..end.unwrap_or(rest.len())];
    let name_start = line.iter().position(|byte| !is_blank(*byte))?;
    let line = &line[name_start..];
    let name_end = line.iter().position(|byte| is_blank(*byte));
    if name_end.is_none() && end.is_none() {
        return None;
    }
    let (name, rest) = line.split_at(name_end.unwrap_or(line.len()));
    let argument_start = rest.iter().position(|byte| !is_blank(*byte));
    let argument = argument_start.map(|start| {
        let argument = &rest[start..];
        let length = argument.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        argument[..length].to_vec()
    });
    Some(Script { interpreter: name.to_vec(), argument })
}

/// Puts interpreter, its argument and the script's path in place of the first argument.
pub(super) fn replace_arguments(arguments: &mut Strings, name: &[u8], script: &Script) -> Result<()> {
    arguments.try_reserve(2).map_err(|_| OutOfMemory)?;
    let front = [Some(script.interpreter.clone()), script.argument.clone(), Some(name.to_vec())];
    arguments.splice(0..arguments.len().min(1), front.into_iter().flatten());
    Ok(())
}
