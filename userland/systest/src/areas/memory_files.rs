//! A process's memory from outside: its map, its pages, what is in it.

use super::memory_calls::{FINE, NOBODY, area_text, figure, in_child};
use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::memory::{Mapping, PAGE, READ_WRITE};
use crate::sys::process::{self, fork};
use crate::sys::{Errno, files, probe, users};

tests! {
    page_map_tells_what_is_there,
    memory_file_reads_and_writes,
    memory_of_another_process_is_read_and_written,
    memory_of_another_process_checks,
    addresses_differ_between_programs,
    map_of_a_process_lists_its_areas,
}

fn page_map_tells_what_is_there() -> Outcome {
    const PRESENT: u64 = 1 << 63;
    const FILE_OR_SHARED: u64 = 1 << 61;
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.set(PAGE, 1);
    let shared = Mapping::shared(PAGE)?;
    shared.set(0, 1);
    let file = or_skip!(files::open("/proc/self/pagemap", libc::O_RDONLY, 0), EPERM);
    let word = |address: usize| -> Outcome<u64> {
        let mut bytes = [0; 8];
        ensure_eq!(files::pread(*file, &mut bytes, (address / PAGE * 8) as i64)?, 8);
        Ok(u64::from_le_bytes(bytes))
    };
    let is_there = |address: usize| -> Outcome<bool> { Ok(word(address)? & PRESENT != 0) };
    ensure_eq!([is_there(mapping.address())?, is_there(mapping.address() + PAGE)?], [false, true]);
    ensure_eq!(word(mapping.address() + PAGE)? & FILE_OR_SHARED, 0);
    ensure_eq!(word(shared.address())? & (PRESENT | FILE_OR_SHARED), PRESENT | FILE_OR_SHARED);
    ensure_errno!(files::pread(*file, &mut [0; 8], 4), EINVAL);
    Ok(())
}

fn memory_file_reads_and_writes() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.put(PAGE - 2, b"across");
    let file = files::open("/proc/self/mem", libc::O_RDWR, 0)?;
    let mut bytes = [0; 6];
    let place = (mapping.address() + PAGE - 2) as i64;
    ensure_eq!(files::pread(*file, &mut bytes, place)?, 6);
    ensure_eq!(&bytes, b"across");
    ensure_eq!(files::pwrite(*file, b"ACR", place)?, 3);
    ensure_eq!(mapping.copy(PAGE - 2, 6), b"ACRoss");
    mapping.unmap_part(PAGE, PAGE)?;
    ensure_eq!(files::pread(*file, &mut bytes, place)?, 2);
    ensure_errno!(files::pread(*file, &mut bytes, place + 2), EIO);
    Ok(())
}

/// `process_vm_readv` (or its counterpart) with one vector of one part on each side.
fn transfer(
    number: i64,
    pid: i32,
    local: (usize, usize),
    remote: &[(usize, usize)],
    flags: usize,
) -> Result<usize, Errno> {
    let local = [[local.0, local.1]];
    let remote: Vec<[usize; 2]> = remote.iter().map(|(address, length)| [*address, *length]).collect();
    let (local_at, remote_at) = (local.as_ptr() as usize, remote.as_ptr() as usize);
    probe(number, &[pid as usize, local_at, 1, remote_at, remote.len(), flags])
}

fn memory_of_another_process_is_read_and_written() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.put(0, b"before");
    let (ready_reader, ready) = files::pipe(0)?;
    let (go, go_writer) = files::pipe(0)?;
    let child = fork(|| {
        mapping.put(0, b"theirs");
        mapping.put(2 * PAGE, b"more");
        let told = files::write(*ready, b"!").is_ok() && files::read(*go, &mut [0]).is_ok();
        i32::from(!(told && mapping.copy(PAGE, 4) == b"mine"))
    })?;
    files::read(*ready_reader, &mut [0])?;
    let buffer = Mapping::private(PAGE)?;
    let parts = [(mapping.address(), 6), (mapping.address() + 2 * PAGE, 4)];
    let read = transfer(libc::SYS_process_vm_readv, child.pid(), (buffer.address(), 100), &parts, 0);
    ensure_eq!(or_skip!(read, ENOSYS), 10);
    ensure_eq!((buffer.copy(0, 10), mapping.copy(0, 6)), (b"theirsmore".to_vec(), b"before".to_vec()));
    buffer.put(0, b"mine");
    let parts = [(mapping.address() + PAGE, 4)];
    ensure_eq!(transfer(libc::SYS_process_vm_writev, child.pid(), (buffer.address(), 4), &parts, 0)?, 4);
    files::write(*go_writer, b"!")?;
    ensure_eq!(child.wait()?, FINE);
    Ok(())
}

fn memory_of_another_process_checks() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    let own = process::getpid()?;
    let here = (mapping.address(), 10);
    let read = |pid: i32, remote: &[(usize, usize)], flags: usize| {
        transfer(libc::SYS_process_vm_readv, pid, here, remote, flags)
    };
    or_skip!(read(own, &[here], 0), ENOSYS);
    ensure_errno!(read(own, &[here], 1), EINVAL);
    ensure_errno!(read(i32::MAX, &[here], 0), ESRCH);
    ensure_errno!(read(own, &[(mapping.address() + PAGE, 10)], 0), EFAULT);
    ensure_errno!(read(own, &[(usize::MAX - 100, 10)], 0), EFAULT);
    ensure_eq!(read(own, &[here, (0, 0)], 0)?, 10);
    ensure_eq!(read(own, &[(mapping.address(), 4), (mapping.address() + PAGE, 4)], 0)?, 4);
    if users::geteuid()? == 0 {
        let parent = process::getpid()?;
        ensure!(in_child(|| {
            users::setresuid(NOBODY, NOBODY, NOBODY).is_ok()
                && read(parent, &[here], 0).is_err_and(|errno| errno.0 == libc::EPERM)
        })?);
    }
    Ok(())
}

/// Runs this program again and tells where its stack and its last mapping were.
fn places_of_a_program(personality: u32) -> Outcome<[String; 2]> {
    let (reader, writer) = files::pipe(0)?;
    let child = fork(|| {
        let is_set = personality == 0 || probe(libc::SYS_personality, &[personality as usize]).is_ok();
        if !is_set || files::dup2(*writer, 1).is_err() {
            return 97;
        }
        let errno = process::execve("/proc/self/exe", &["systest", crate::role::WORD, "maps"], &[]);
        errno.0
    })?;
    drop(writer);
    let text = String::from_utf8_lossy(&files::read_to_end(*reader)?).into_owned();
    ensure_eq!(child.wait()?, FINE);
    let line = |word: &str| text.lines().find(|line| line.ends_with(word)).map(str::to_owned);
    let stack = line("[stack]").ok_or_else(|| Stop::fail("no stack"))?;
    let mapped = line("[mapped]").ok_or_else(|| Stop::fail("no mapping"))?;
    Ok([stack, mapped])
}

fn addresses_differ_between_programs() -> Outcome {
    const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;
    if files::get("/proc/sys/kernel/randomize_va_space").unwrap_or_default().trim_ascii() == b"0" {
        return Err(Stop::Skip("addresses are not left to chance".to_owned()));
    }
    let personality = files::get("/proc/self/personality").unwrap_or_default();
    let personality = u32::from_str_radix(String::from_utf8_lossy(&personality).trim(), 16).unwrap_or(0);
    if personality & ADDR_NO_RANDOMIZE != 0 {
        return Err(Stop::Skip("this process and its children have asked for fixed addresses".to_owned()));
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(places_of_a_program(0)?);
    }
    for (index, places) in seen.iter().enumerate() {
        for other in &seen[..index] {
            ensure!(places[0] != other[0] && places[1] != other[1], "twice at {places:?}");
        }
    }
    let fixed = places_of_a_program(ADDR_NO_RANDOMIZE)?;
    ensure_eq!(places_of_a_program(ADDR_NO_RANDOMIZE)?, fixed);
    Ok(())
}

fn map_of_a_process_lists_its_areas() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    mapping.set(0, 1);
    mapping.protect(2 * PAGE, PAGE, libc::PROT_NONE)?;
    let text = area_text(mapping.address() + 2 * PAGE)?;
    ensure!(text.lines().next().is_some_and(|line| line.contains(" ---p ")), "{text}");
    let own = Mapping::new(0, 4 * PAGE, READ_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)?;
    own.set(PAGE, 1);
    let text = area_text(own.address())?;
    ensure_eq!((figure(&text, "Size"), figure(&text, "Rss")), (Some(16), Some(4)));
    let flags = text.lines().find(|line| line.starts_with("VmFlags:")).unwrap_or_default();
    ensure!(flags.contains(" sh") && flags.contains(" rd"), "{flags}");
    Ok(())
}
