//! The root file system and files.

use super::disks;
use crate::fs::file::{File, OpenFlags};
use crate::fs::inode::FileKind;
use crate::fs::io::{Destination, Source};
use crate::fs::open::{self, OpenRequest};
use crate::fs::{self, Caller};
use crate::monitor::arguments::{Arguments, Failure, Outcome, While};
use crate::monitor::command::Context;
use abi::fcntl::ResolveFlags;
use alloc::{string::String, sync::Arc, vec, vec::Vec};
use core::fmt::Write;

/// Bytes that are read at a time.
const STEP: usize = 4096;
/// Names of a directory that completion looks at.
const MOST_NAMES: usize = 4096;

/// Makes the ext2 file system of a disk, or sysfs, the root.
pub(in crate::monitor) fn mount(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let word = arguments.word()?;
    arguments.end()?;
    let mounted = if word == "sysfs" {
        fs::cover("sysfs", None).trying("mounting sysfs")?
    } else {
        let disk = disks::disk(word)?;
        let mounted = fs::cover("ext2", Some(&disk)).trying("mounting")?;
        writeln!(context.out, "the root file system is /dev/{} (ext2)", disk.name())?;
        mounted
    };
    context.state.root = Some(mounted);
    Ok(())
}

/// Takes away the root that was mounted last.
pub(in crate::monitor) fn umount(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    fs::uncover().trying("unmounting")?;
    writeln!(context.out, "unmounted the root file system")?;
    Ok(())
}

fn open(path: &str, flags: OpenFlags, mode: u32) -> crate::error::Result<Arc<File>> {
    let caller = Caller::kernel()?;
    // A pipe or a log without anything in it is not to be waited for.
    let request = OpenRequest { flags: flags | OpenFlags::O_NONBLOCK, mode, resolve: ResolveFlags::empty() };
    open::open(&caller, &caller.directory, path.as_bytes(), request)
}

/// Lists a directory.
pub(in crate::monitor) fn ls(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let path = arguments.word()?;
    arguments.end()?;
    for name in names(path).trying(NAMES)? {
        writeln!(context.out, "{name}")?;
    }
    Ok(())
}

const NAMES: &str = "reading the directory";

/// The names in a directory, those of directories with a slash.
fn names(path: &str) -> crate::error::Result<Vec<String>> {
    let file = open(path, OpenFlags::O_DIRECTORY, 0)?;
    let mut names = Vec::new();
    file.operations().read_directory(&file, 0, &mut |entry| {
        if matches!(entry.name, b"." | b"..") {
            return true;
        }
        let mut name = String::from_utf8_lossy(entry.name).into_owned();
        if entry.kind == FileKind::Directory {
            name.push('/');
        }
        names.push(name);
        true
    })?;
    Ok(names)
}

/// Visits the paths that what is typed could become.
pub(in crate::monitor) fn visit_names(typed: &str, visit: &mut dyn FnMut(&str)) {
    let directory = &typed[..typed.rfind('/').map_or(0, |slash| slash + 1)];
    let listed = names(if directory.is_empty() { "/" } else { directory }).unwrap_or_default();
    for name in listed.iter().take(MOST_NAMES) {
        visit(&alloc::format!("{directory}{name}"));
    }
}

/// Shows a file.
pub(in crate::monitor) fn cat(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let path = arguments.word()?;
    arguments.end()?;
    let file = open(path, OpenFlags::empty(), 0).trying("opening")?;
    if file.inode().kind() != FileKind::Regular {
        return Err(Failure::Refused("this is no regular file"));
    }
    show(context, &mut |buffer| file.read(&mut Destination::kernel(buffer)).trying("reading"))
}

/// Shows text that `read` gives piece by piece, as long as it gives some.
pub(super) fn show(
    context: &mut Context<'_>,
    read: &mut dyn FnMut(&mut [u8]) -> Result<usize, Failure>,
) -> Outcome {
    let mut buffer = vec![0; STEP];
    // Bytes of a character that the next piece goes on with.
    let mut kept = 0;
    let mut last = '\n';
    loop {
        let count = read(&mut buffer[kept..])?;
        let bytes = &buffer[..kept + count];
        let whole = if count == 0 { bytes.len() } else { whole_characters(bytes) };
        for part in bytes[..whole].utf8_chunks() {
            context.out.write_str(part.valid())?;
            last = part.valid().chars().next_back().unwrap_or(last);
            if !part.invalid().is_empty() {
                context.out.write_char(char::REPLACEMENT_CHARACTER)?;
                last = char::REPLACEMENT_CHARACTER;
            }
        }
        kept = bytes.len() - whole;
        if count == 0 {
            break;
        }
        buffer.copy_within(whole..whole + kept, 0);
    }
    if last != '\n' {
        writeln!(context.out)?;
    }
    Ok(())
}

/// How many of the bytes do not belong to a character that is cut off at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for (back, byte) in (1..=3).zip(bytes.iter().rev()) {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { bytes.len() - back } else { bytes.len() };
    }
    bytes.len()
}

/// Overwrites a file with one word; makes it if there is none.
pub(in crate::monitor) fn write_to_file(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let (path, word) = (arguments.word()?, arguments.word()?);
    arguments.end()?;
    let flags = OpenFlags::O_WRONLY | OpenFlags::O_CREAT | OpenFlags::O_TRUNC;
    let file = open(path, flags, 0o644).trying("opening")?;
    if file.inode().kind() != FileKind::Regular {
        return Err(Failure::Refused("this is no regular file"));
    }
    let mut source = Source::kernel(word.as_bytes());
    while source.remaining() > 0 {
        context.check()?;
        if file.write(&mut source).trying("writing")? == 0 {
            return Err(Failure::Refused("the file takes no more"));
        }
    }
    Ok(())
}
