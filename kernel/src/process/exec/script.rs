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

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    /// Interpreter and argument, or the error; `None`: no script.
    type Outcome = Option<core::result::Result<(Vec<u8>, Option<Vec<u8>>), Errno>>;

    fn read(line: &[u8]) -> Outcome {
        let mut head = [0; HEAD_LEN];
        let length = line.len().min(HEAD_LEN);
        head[..length].copy_from_slice(&line[..length]);
        let script = parse(&head)?;
        Some(script.map(|script| (script.interpreter, script.argument)).map_err(|error| error.errno))
    }

    fn found(interpreter: &[u8], argument: Option<&[u8]>) -> Outcome {
        Some(Ok((interpreter.to_vec(), argument.map(<[u8]>::to_vec))))
    }

    #[kernel_test]
    fn first_lines_are_read_as_linux_reads_them() {
        assert_eq!(read(b"\x7fELF"), None);
        assert_eq!(read(b"#!/bin/sh\necho"), found(b"/bin/sh", None));
        assert_eq!(read(b"#! \t/bin/sh  -e -x \t\necho"), found(b"/bin/sh", Some(b"-e -x")));
        assert_eq!(read(b"#!/bin/sh"), found(b"/bin/sh", None), "the file may end in the first line");
        assert_eq!(read(b"#!\n"), Some(Err(Errno::ENOEXEC)));
        assert_eq!(read(b"#!  \t"), Some(Err(Errno::ENOEXEC)));
        let long = [b"#!/".as_slice(), &[b'x'; 300]].concat();
        assert_eq!(read(&long), Some(Err(Errno::ENOEXEC)), "a path that is cut off names nothing");
        let cut = [b"#!/bin/sh ".as_slice(), &[b'x'; 300]].concat();
        assert_eq!(read(&cut), found(b"/bin/sh", Some(&[b'x'; HEAD_LEN - 10])), "an argument may be cut off");
    }

    #[kernel_test]
    fn the_first_argument_gives_way_to_the_interpreter() {
        let script = Script { interpreter: b"/bin/sh".to_vec(), argument: Some(b"-e".to_vec()) };
        let mut arguments: Strings = [b"name".to_vec(), b"1".to_vec()].into();
        replace_arguments(&mut arguments, b"./script", &script).expect("memory for a test");
        assert_eq!(arguments, [b"/bin/sh".as_slice(), b"-e", b"./script", b"1"]);
    }
}
