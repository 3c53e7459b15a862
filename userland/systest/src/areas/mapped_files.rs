//! Files in memory: private and shared mappings, and what happens at the end of a file.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::faults::{Deed, attempt};
use crate::sys::files::{self, ftruncate, get, open, pipe, put};
use crate::sys::memory::{self, Mapping, PAGE, READ, READ_WRITE};
use crate::sys::process::{Status, fork};
use crate::sys::{Errno, probe};

tests! {
    private_file_mapping_reads_the_file,
    private_file_mapping_keeps_its_changes,
    shared_file_mapping_writes_the_file,
    shared_file_mapping_sees_writes,
    file_mapping_at_an_offset,
    mapping_outlives_descriptor_and_name,
    bytes_behind_the_end_of_a_file_are_zero,
    pages_behind_the_end_of_a_file_are_bus_errors,
    file_growth_shows_in_the_mapping,
    truncating_takes_mapped_pages_away,
    file_mapping_checks_permissions,
    device_zero_can_be_mapped,
    msync_checks,
    anonymous_file_in_memory,
    seals_forbid_what_they_name,
    seals_wait_for_writers_to_go,
    seals_are_checked,
    reads_writes_and_mappings_agree,
    truncated_pages_come_back_as_zeros,
    pages_of_a_mapping_can_be_exchanged,
}

const SEGV: Status = Status::Killed(libc::SIGSEGV);
const BUS: Status = Status::Killed(libc::SIGBUS);
const FINE: Status = Status::Exited(0);

/// Runs `body` in a child and wants it to answer true.
fn in_child(body: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(fork(|| i32::from(!body()))?.wait()? == FINE)
}

/// A file of three pages, each filled with its number plus 1, open for both.
fn file_of_pages() -> Result<files::Fd, Errno> {
    let content: Vec<u8> = (0..3 * PAGE).map(|index| (index / PAGE) as u8 + 1).collect();
    put("file", &content)?;
    open("file", libc::O_RDWR, 0)
}

fn private_file_mapping_reads_the_file() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ, libc::MAP_PRIVATE)?;
    ensure_eq!([0, 1, 2].map(|page| mapping.get(page * PAGE + 77)), [1, 2, 3]);
    ensure_eq!(attempt(Deed::Write(mapping.address()))?, SEGV);
    Ok(())
}

fn private_file_mapping_keeps_its_changes() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_PRIVATE)?;
    mapping.set(PAGE, 99);
    ensure_eq!((mapping.get(PAGE), mapping.get(PAGE + 1)), (99, 2));
    ensure_eq!(get("file")?[PAGE], 2);
    ensure!(in_child(|| {
        let is_seen = mapping.get(PAGE) == 99;
        mapping.set(0, 98);
        is_seen
    })?);
    ensure_eq!(mapping.get(0), 1);
    Ok(())
}

fn shared_file_mapping_writes_the_file() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    mapping.put(PAGE + 10, b"shared");
    ensure_eq!(&get("file")?[PAGE + 10..PAGE + 16], b"shared");
    ensure!(in_child(|| {
        mapping.put(0, b"child");
        true
    })?);
    ensure_eq!(mapping.copy(0, 5), b"child");
    mapping.sync(libc::MS_SYNC)?;
    drop(mapping);
    ensure_eq!(&get("file")?[..5], b"child");
    Ok(())
}

fn shared_file_mapping_sees_writes() -> Outcome {
    let file = file_of_pages()?;
    let shared = Mapping::of_file(*file, 3 * PAGE, READ, libc::MAP_SHARED)?;
    let other = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    let private = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_PRIVATE)?;
    private.set(0, 50);
    files::pwrite(*file, b"xyz", 0)?;
    ensure_eq!(shared.copy(0, 3), b"xyz");
    other.set(1, b'Y');
    ensure_eq!(shared.copy(0, 3), b"xYz");
    ensure_eq!(private.get(0), 50, "a page that was written privately is apart");
    Ok(())
}

fn file_mapping_at_an_offset() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::new(0, PAGE, READ, libc::MAP_PRIVATE, *file, 2 * PAGE as i64)?;
    ensure_eq!(mapping.get(0), 3);
    let map = |offset| {
        Mapping::new(0, PAGE, READ, libc::MAP_PRIVATE, *file, offset).map(|mapping| mapping.address())
    };
    ensure_errno!(map(100), EINVAL);
    ensure_errno!(map(-(PAGE as i64)), EINVAL | EOVERFLOW);
    Ok(())
}

fn mapping_outlives_descriptor_and_name() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    drop(file);
    files::unlink("file")?;
    put("file", &[200; 3 * PAGE])?;
    ensure_eq!([0, 1, 2].map(|page| mapping.get(page * PAGE)), [1, 2, 3]);
    mapping.set(0, 4);
    ensure_eq!(mapping.get(0), 4);
    Ok(())
}

fn bytes_behind_the_end_of_a_file_are_zero() -> Outcome {
    put("file", &[1; 100])?;
    let file = open("file", libc::O_RDWR, 0)?;
    let mapping = Mapping::of_file(*file, PAGE, READ_WRITE, libc::MAP_SHARED)?;
    ensure_eq!((mapping.get(99), mapping.get(100), mapping.get(PAGE - 1)), (1, 0, 0));
    mapping.set(200, 5);
    ensure_eq!(get("file")?.len(), 100);
    Ok(())
}

fn pages_behind_the_end_of_a_file_are_bus_errors() -> Outcome {
    put("file", &[1; 100])?;
    let file = open("file", libc::O_RDWR, 0)?;
    for flags in [libc::MAP_SHARED, libc::MAP_PRIVATE] {
        let mapping = Mapping::of_file(*file, 2 * PAGE, READ_WRITE, flags)?;
        ensure_eq!(attempt(Deed::Read(mapping.address() + PAGE - 1))?, FINE);
        ensure_eq!(attempt(Deed::Read(mapping.address() + PAGE))?, BUS);
        ensure_eq!(attempt(Deed::Write(mapping.address() + PAGE))?, BUS);
        let (_reader, writer) = pipe(0)?;
        ensure_errno!(mapping.write_to(*writer, PAGE, 1), EFAULT);
    }
    Ok(())
}

fn file_growth_shows_in_the_mapping() -> Outcome {
    put("file", &[1; 100])?;
    let file = open("file", libc::O_RDWR, 0)?;
    let mapping = Mapping::of_file(*file, 2 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    ensure_eq!(mapping.get(0), 1);
    ftruncate(*file, 2 * PAGE as i64)?;
    ensure_eq!(mapping.get(PAGE), 0);
    mapping.set(PAGE, 7);
    ensure_eq!(get("file")?[PAGE], 7);
    Ok(())
}

fn truncating_takes_mapped_pages_away() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    ensure_eq!(mapping.get(2 * PAGE), 3);
    ftruncate(*file, PAGE as i64 + 1)?;
    ensure_eq!((mapping.get(PAGE), mapping.get(PAGE + 1)), (2, 0));
    ensure_eq!(attempt(Deed::Read(mapping.address() + 2 * PAGE))?, BUS);
    ftruncate(*file, 3 * PAGE as i64)?;
    ensure_eq!((mapping.get(PAGE + 1), mapping.get(2 * PAGE)), (0, 0));
    Ok(())
}

fn file_mapping_checks_permissions() -> Outcome {
    put("file", &[1; 100])?;
    let reader = open("file", libc::O_RDONLY, 0)?;
    let writer = open("file", libc::O_WRONLY, 0)?;
    let map = |fd: i32, protection, flags| {
        Mapping::of_file(fd, PAGE, protection, flags).map(|mapping| mapping.length())
    };
    ensure_errno!(map(*reader, READ_WRITE, libc::MAP_SHARED), EACCES);
    ensure_errno!(map(*writer, READ, libc::MAP_SHARED), EACCES);
    ensure_errno!(map(*writer, READ, libc::MAP_PRIVATE), EACCES);
    ensure_eq!(map(*reader, READ_WRITE, libc::MAP_PRIVATE)?, PAGE);
    let shared = Mapping::of_file(*reader, PAGE, READ, libc::MAP_SHARED)?;
    ensure_errno!(shared.protect(0, PAGE, READ_WRITE), EACCES);
    let (pipe_reader, _pipe_writer) = pipe(0)?;
    ensure_errno!(map(*pipe_reader, READ, libc::MAP_PRIVATE), ENODEV);
    ensure_errno!(map(*open(".", libc::O_RDONLY, 0)?, READ, libc::MAP_PRIVATE), ENODEV);
    Ok(())
}

fn device_zero_can_be_mapped() -> Outcome {
    let zero = open("/dev/zero", libc::O_RDWR, 0)?;
    let mapping = Mapping::of_file(*zero, 2 * PAGE, READ_WRITE, libc::MAP_PRIVATE)?;
    ensure!(mapping.is_zero());
    mapping.set(0, 1);
    ensure!(Mapping::of_file(*zero, 2 * PAGE, READ_WRITE, libc::MAP_PRIVATE)?.is_zero());
    Ok(())
}

fn msync_checks() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    or_skip!(mapping.sync(libc::MS_ASYNC), ENOSYS);
    ensure_errno!(mapping.sync(libc::MS_ASYNC | libc::MS_SYNC), EINVAL);
    ensure_errno!(mapping.sync(0x80), EINVAL);
    ensure_errno!(probe(libc::SYS_msync, &[mapping.address() + 1, PAGE, 4]), EINVAL);
    let address = mapping.address();
    drop(mapping);
    ensure_errno!(probe(libc::SYS_msync, &[address, PAGE, 4]), ENOMEM);
    Ok(())
}

fn anonymous_file_in_memory() -> Outcome {
    let file = or_skip!(memory::memfd("a name", 0), ENOSYS);
    ensure_eq!(files::fstat(*file)?.st_size, 0);
    ftruncate(*file, 2 * PAGE as i64)?;
    let first = Mapping::of_file(*file, 2 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    let second = Mapping::of_file(*file, 2 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    first.put(PAGE, b"both");
    ensure_eq!(second.copy(PAGE, 4), b"both");
    let mut bytes = [0; 4];
    files::pread(*file, &mut bytes, PAGE as i64)?;
    ensure_eq!(&bytes, b"both");
    ensure_errno!(memory::memfd("x", 0x8000), EINVAL);
    Ok(())
}

const ALLOW_SEALING: u32 = libc::MFD_ALLOW_SEALING;

fn add_seals(file: &files::Fd, seals: i32) -> Result<i32, Errno> {
    files::fcntl(**file, libc::F_ADD_SEALS, seals)
}

fn seals_forbid_what_they_name() -> Outcome {
    let file = memory::memfd("sealed", ALLOW_SEALING)?;
    files::write(*file, &[1; 3 * PAGE])?;
    ensure_eq!(files::fcntl(*file, libc::F_GET_SEALS, 0)?, 0);
    add_seals(&file, libc::F_SEAL_SHRINK)?;
    ensure_errno!(ftruncate(*file, PAGE as i64), EPERM);
    ftruncate(*file, 4 * PAGE as i64)?;
    add_seals(&file, libc::F_SEAL_GROW)?;
    ensure_errno!(ftruncate(*file, 5 * PAGE as i64), EPERM);
    ensure_errno!(files::pwrite(*file, b"x", 4 * PAGE as i64), EPERM);
    ensure_eq!(files::pwrite(*file, b"x", 0)?, 1);
    ensure_errno!(files::fallocate(*file, 0, 4 * PAGE as i64, 1), EPERM);
    add_seals(&file, libc::F_SEAL_WRITE)?;
    ensure_errno!(files::pwrite(*file, b"x", 0), EPERM);
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    ensure_errno!(files::fallocate(*file, punch, 0, PAGE as i64), EPERM);
    ensure_errno!(Mapping::of_file(*file, PAGE, READ_WRITE, libc::MAP_SHARED), EPERM);
    let private = Mapping::of_file(*file, PAGE, READ_WRITE, libc::MAP_PRIVATE)?;
    private.set(0, 9);
    ensure_eq!(private.get(0), 9);
    add_seals(&file, libc::F_SEAL_SEAL)?;
    ensure_errno!(add_seals(&file, libc::F_SEAL_GROW), EPERM);
    let all = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    ensure_eq!(files::fcntl(*file, libc::F_GET_SEALS, 0)?, all);
    Ok(())
}

fn seals_wait_for_writers_to_go() -> Outcome {
    const F_SEAL_FUTURE_WRITE: i32 = 0x10;
    let file = memory::memfd("sealed", ALLOW_SEALING)?;
    ftruncate(*file, PAGE as i64)?;
    let mapping = Mapping::of_file(*file, PAGE, READ_WRITE, libc::MAP_SHARED)?;
    ensure_errno!(add_seals(&file, libc::F_SEAL_WRITE), EBUSY);
    ensure_eq!(files::fcntl(*file, libc::F_GET_SEALS, 0)?, 0);
    or_skip!(add_seals(&file, F_SEAL_FUTURE_WRITE), EINVAL);
    mapping.set(0, 5);
    ensure_errno!(files::pwrite(*file, b"x", 0), EPERM);
    ensure_errno!(Mapping::of_file(*file, PAGE, READ_WRITE, libc::MAP_SHARED), EPERM);
    let reader = Mapping::of_file(*file, PAGE, READ, libc::MAP_SHARED)?;
    ensure_eq!(reader.get(0), 5);
    ensure_errno!(reader.protect(0, PAGE, READ_WRITE), EACCES);
    drop(mapping);
    drop(reader);
    add_seals(&file, libc::F_SEAL_WRITE)?;
    Ok(())
}

fn seals_are_checked() -> Outcome {
    let closed = memory::memfd("closed", 0)?;
    ensure_eq!(files::fcntl(*closed, libc::F_GET_SEALS, 0)?, libc::F_SEAL_SEAL);
    ensure_errno!(add_seals(&closed, libc::F_SEAL_GROW), EPERM);
    let file = memory::memfd("open", ALLOW_SEALING)?;
    ensure_errno!(add_seals(&file, 0x1000), EINVAL);
    let (reader, _writer) = pipe(0)?;
    ensure_errno!(files::fcntl(*reader, libc::F_GET_SEALS, 0), EINVAL);
    Ok(())
}

fn reads_writes_and_mappings_agree() -> Outcome {
    let file = file_of_pages()?;
    let one = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    let two = Mapping::of_file(*file, 3 * PAGE, READ, libc::MAP_SHARED)?;
    for round in 0..8_u8 {
        let offset = usize::from(round) * 1000;
        one.set(offset, round + 100);
        ensure_eq!(two.get(offset), round + 100);
        let mut byte = [0];
        files::pread(*file, &mut byte, offset as i64)?;
        ensure_eq!(byte[0], round + 100);
        files::pwrite(*file, &[round + 50], offset as i64)?;
        ensure_eq!((one.get(offset), two.get(offset)), (round + 50, round + 50));
    }
    one.sync(libc::MS_SYNC)?;
    one.set(PAGE, 77);
    ensure_eq!(two.get(PAGE), 77, "stores are seen after a sync as before");
    Ok(())
}

fn truncated_pages_come_back_as_zeros() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    ensure_eq!((mapping.get(0), mapping.get(2 * PAGE)), (1, 3));
    ftruncate(*file, PAGE as i64 / 2)?;
    ensure_eq!(attempt(Deed::Write(mapping.address() + 2 * PAGE))?, BUS);
    ensure_eq!(attempt(Deed::Read(mapping.address() + PAGE))?, BUS);
    ensure_eq!((mapping.get(0), mapping.get(PAGE / 2)), (1, 0), "the rest of the last page");
    ftruncate(*file, 3 * PAGE as i64)?;
    ensure_eq!((mapping.get(PAGE), mapping.get(2 * PAGE)), (0, 0));
    mapping.set(2 * PAGE, 8);
    ensure_eq!(get("file")?[2 * PAGE], 8);
    Ok(())
}

fn pages_of_a_mapping_can_be_exchanged() -> Outcome {
    let file = file_of_pages()?;
    let mapping = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_SHARED)?;
    let show = |place: usize, length: usize, protection: usize, page: usize| {
        probe(libc::SYS_remap_file_pages, &[mapping.address() + place, length, protection, page, 0])
    };
    or_skip!(show(0, PAGE, 0, 2), ENOSYS);
    show(2 * PAGE, PAGE, 0, 0)?;
    ensure_eq!([0, PAGE, 2 * PAGE].map(|offset| mapping.get(offset)), [3, 2, 1]);
    mapping.set(0, 9);
    ensure_eq!(get("file")?[2 * PAGE], 9);
    ensure_errno!(show(0, PAGE, 1, 0), EINVAL);
    let private = Mapping::private(PAGE)?;
    ensure_errno!(probe(libc::SYS_remap_file_pages, &[private.address(), PAGE, 0, 0, 0]), EINVAL);
    Ok(())
}
