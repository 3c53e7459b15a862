//! Wrong calls: addresses that lead nowhere, descriptors that are not open, numbers that mean nothing. The kernel must
//! answer an error, and live.

use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::files::{open, pipe, put};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process::{Status, fork};
use crate::sys::signals;
use crate::sys::{Errno, probe};

tests! {
    unknown_calls_are_not_implemented,
    bad_descriptors_are_refused,
    bad_paths_are_refused,
    bad_buffers_are_refused,
    bad_results_are_refused,
    bad_vectors_are_refused,
    strings_end_at_the_page,
    buffers_may_touch_the_last_byte,
    buffers_of_the_kernel_are_refused,
    wrapping_buffers_are_refused,
    failed_calls_leave_no_descriptors,
    wrong_exec_arguments_are_refused,
    failed_reads_lose_nothing,
    odd_high_bits_are_ignored_or_refused,
    every_call_survives_wild_numbers,
}

/// Addresses where nothing of ours is: low, in the hole, in the kernel, at the end.
const NOWHERE: [usize; 5] = [8, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_ffff_8100_0000, usize::MAX - 7];

const CWD: usize = libc::AT_FDCWD as isize as usize;

fn unknown_calls_are_not_implemented() -> Outcome {
    for number in [387, 400, 423, 600, 999, 5000, 1 << 20, i64::from(u32::MAX), -1, i64::MAX] {
        ensure_errno!(probe(number, &[]), ENOSYS);
    }
    Ok(())
}

fn bad_descriptors_are_refused() -> Outcome {
    let bad = Err(Errno(libc::EBADF));
    for fd in [99_usize, 1023, 1 << 20, usize::MAX, i32::MAX as usize] {
        for (name, number) in [
            ("read", libc::SYS_read),
            ("write", libc::SYS_write),
            ("close", libc::SYS_close),
            ("fstat", libc::SYS_fstat),
            ("lseek", libc::SYS_lseek),
            ("pread64", libc::SYS_pread64),
            ("pwrite64", libc::SYS_pwrite64),
            ("readv", libc::SYS_readv),
            ("writev", libc::SYS_writev),
            ("dup", libc::SYS_dup),
            ("fsync", libc::SYS_fsync),
            ("fdatasync", libc::SYS_fdatasync),
            ("ftruncate", libc::SYS_ftruncate),
            ("getdents64", libc::SYS_getdents64),
            ("fchdir", libc::SYS_fchdir),
            ("fchmod", libc::SYS_fchmod),
            ("fchown", libc::SYS_fchown),
            ("ioctl", libc::SYS_ioctl),
            ("fstatfs", libc::SYS_fstatfs),
        ] {
            ensure_eq!(probe(number, &[fd, 0, 0]), bad, "{name}({})", fd as i32);
        }
        ensure_eq!(probe(libc::SYS_fcntl, &[fd, libc::F_GETFD as usize, 0]), bad);
        ensure_eq!(probe(libc::SYS_dup2, &[fd, 5]), bad);
        ensure_eq!(probe(libc::SYS_openat, &[fd, c"x".as_ptr() as usize, 0, 0]), bad);
        ensure_eq!(probe(libc::SYS_mmap, &[0, PAGE, 1, libc::MAP_PRIVATE as usize, fd, 0]), bad);
    }
    Ok(())
}

fn bad_paths_are_refused() -> Outcome {
    let fault = Err(Errno(libc::EFAULT));
    let good = c"name".as_ptr() as usize;
    for address in NOWHERE.into_iter().chain([0]) {
        for (name, number) in [
            ("open", libc::SYS_open),
            ("stat", libc::SYS_stat),
            ("lstat", libc::SYS_lstat),
            ("access", libc::SYS_access),
            ("chdir", libc::SYS_chdir),
            ("mkdir", libc::SYS_mkdir),
            ("rmdir", libc::SYS_rmdir),
            ("creat", libc::SYS_creat),
            ("unlink", libc::SYS_unlink),
            ("readlink", libc::SYS_readlink),
            ("chmod", libc::SYS_chmod),
            ("chown", libc::SYS_chown),
            ("truncate", libc::SYS_truncate),
            ("statfs", libc::SYS_statfs),
            ("execve", libc::SYS_execve),
            ("mknod", libc::SYS_mknod),
        ] {
            let arguments = if number == libc::SYS_readlink { [address, good, 10] } else { [address, 0, 0] };
            ensure_eq!(probe(number, &arguments), fault, "{name} at {address:#x}");
        }
        for (name, number) in
            [("rename", libc::SYS_rename), ("link", libc::SYS_link), ("symlink", libc::SYS_symlink)]
        {
            ensure_eq!(probe(number, &[address, good]), fault, "{name} from {address:#x}");
        }
        ensure_eq!(probe(libc::SYS_symlink, &[good, address]), fault);
        ensure_eq!(probe(libc::SYS_openat, &[CWD, address, 0, 0]), fault);
        ensure_eq!(probe(libc::SYS_unlinkat, &[CWD, address, 0]), fault);
    }
    Ok(())
}

fn bad_buffers_are_refused() -> Outcome {
    put("file", &[1; 100])?;
    let file = open("file", libc::O_RDWR, 0)?;
    let zero = open("/dev/zero", libc::O_RDWR, 0)?;
    let (reader, writer) = pipe(0)?;
    crate::sys::files::write(*writer, b"kept")?;
    let fault = Err(Errno(libc::EFAULT));
    for address in NOWHERE {
        for (name, fd) in [("file", *file), ("pipe", *reader), ("zero", *zero)] {
            ensure_eq!(probe(libc::SYS_read, &[fd as usize, address, 4]), fault, "{name} to {address:#x}");
        }
        for (name, fd) in [("file", *file), ("pipe", *writer)] {
            ensure_eq!(probe(libc::SYS_write, &[fd as usize, address, 4]), fault, "{name} from {address:#x}");
        }
        ensure_eq!(probe(libc::SYS_pread64, &[*file as usize, address, 4, 0]), fault);
        ensure_eq!(probe(libc::SYS_getrandom, &[address, 4, 0]), fault);
    }
    let mut bytes = [0; 8];
    ensure_eq!(crate::sys::files::read(*reader, &mut bytes)?, 4, "a failed read takes nothing");
    ensure_eq!(&bytes[..4], b"kept");
    Ok(())
}

fn bad_results_are_refused() -> Outcome {
    put("file", b"x")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    let name = c"file".as_ptr() as usize;
    let here = open(".", libc::O_RDONLY, 0)?;
    let fault = Err(Errno(libc::EFAULT));
    for address in NOWHERE {
        for (what, number, arguments) in [
            ("fstat", libc::SYS_fstat, vec![*file as usize, address]),
            ("stat", libc::SYS_stat, vec![name, address]),
            ("newfstatat", libc::SYS_newfstatat, vec![CWD, name, address, 0]),
            ("statfs", libc::SYS_statfs, vec![name, address]),
            ("uname", libc::SYS_uname, vec![address]),
            ("pipe", libc::SYS_pipe, vec![address]),
            ("pipe2", libc::SYS_pipe2, vec![address, 0]),
            ("getcwd", libc::SYS_getcwd, vec![address, 4096]),
            ("getdents64", libc::SYS_getdents64, vec![*here as usize, address, 4096]),
            ("gettimeofday", libc::SYS_gettimeofday, vec![address, 0]),
            ("clock_gettime", libc::SYS_clock_gettime, vec![1, address]),
            ("times", libc::SYS_times, vec![address]),
            ("sysinfo", libc::SYS_sysinfo, vec![address]),
            ("getrusage", libc::SYS_getrusage, vec![0, address]),
            ("prlimit64", libc::SYS_prlimit64, vec![0, 7, 0, address]),
            ("prlimit64 new", libc::SYS_prlimit64, vec![0, 7, address, 0]),
            ("rt_sigaction", libc::SYS_rt_sigaction, vec![10, address, 0, 8]),
            ("rt_sigaction old", libc::SYS_rt_sigaction, vec![10, 0, address, 8]),
            ("rt_sigprocmask", libc::SYS_rt_sigprocmask, vec![0, address, 0, 8]),
            ("rt_sigpending", libc::SYS_rt_sigpending, vec![address, 8]),
            ("nanosleep", libc::SYS_nanosleep, vec![address, 0]),
            ("poll", libc::SYS_poll, vec![address, 1, 0]),
            ("setitimer", libc::SYS_setitimer, vec![0, address, 0]),
            ("getitimer", libc::SYS_getitimer, vec![0, address]),
            ("sched_getaffinity", libc::SYS_sched_getaffinity, vec![0, 128, address]),
        ] {
            ensure_eq!(probe(number, &arguments), fault, "{what} at {address:#x}");
        }
    }
    let child = fork(|| 3)?;
    ensure_errno!(probe(libc::SYS_wait4, &[child.pid() as usize, NOWHERE[0], 0, 0]), EFAULT);
    child.forget(); // Linux has reaped it all the same
    Ok(())
}

fn bad_vectors_are_refused() -> Outcome {
    let zero = open("/dev/zero", libc::O_RDWR, 0)?;
    for address in NOWHERE {
        ensure_errno!(probe(libc::SYS_readv, &[*zero as usize, address, 1]), EFAULT);
        let vector = [address, 4_usize];
        let argument = vector.as_ptr() as usize;
        ensure_errno!(probe(libc::SYS_readv, &[*zero as usize, argument, 1]), EFAULT);
    }
    let negative = [0, usize::MAX];
    ensure_errno!(probe(libc::SYS_readv, &[*zero as usize, negative.as_ptr() as usize, 1]), EINVAL);
    Ok(())
}

fn strings_end_at_the_page() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    put("file", b"x")?;
    mapping.put(PAGE - 5, b"file\0");
    let name = mapping.address() + PAGE - 5;
    ensure_eq!(probe(libc::SYS_access, &[name, 0]), Ok(0), "a name that ends with its page");
    mapping.set(PAGE - 1, b'x');
    ensure_eq!(probe(libc::SYS_access, &[name, 0]), Err(Errno(libc::EFAULT)), "one that runs into a hole");
    let endless = Mapping::private(2 * PAGE)?;
    endless.put(0, &[b'a'; 2 * PAGE]);
    ensure_errno!(probe(libc::SYS_access, &[endless.address(), 0]), ENAMETOOLONG);
    Ok(())
}

fn buffers_may_touch_the_last_byte() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    let zero = open("/dev/zero", libc::O_RDWR, 0)?;
    mapping.put(PAGE - 4, &[9; 4]);
    ensure_eq!(mapping.read_from(*zero, PAGE - 4, 4)?, 4);
    ensure_eq!(mapping.copy(PAGE - 4, 4), vec![0; 4]);
    let stat = mapping.address() + PAGE - size_of::<libc::stat>();
    ensure_eq!(probe(libc::SYS_fstat, &[*zero as usize, stat]), Ok(0));
    ensure_errno!(probe(libc::SYS_fstat, &[*zero as usize, stat + 8]), EFAULT);
    Ok(())
}

fn buffers_of_the_kernel_are_refused() -> Outcome {
    let (reader, writer) = pipe(0)?;
    for address in
        [0xffff_8000_0000_0000_usize, 0xffff_8880_0000_0000, 0xffff_ffff_8100_0000, 0xffff_ffff_ff60_0000]
    {
        ensure_errno!(probe(libc::SYS_write, &[*writer as usize, address, 16]), EFAULT);
        crate::sys::files::write(*writer, &[1; 16])?;
        ensure_errno!(probe(libc::SYS_read, &[*reader as usize, address, 16]), EFAULT);
        crate::sys::files::read(*reader, &mut [0; 16])?;
    }
    Ok(())
}

fn wrapping_buffers_are_refused() -> Outcome {
    let (reader, writer) = pipe(0)?;
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    for length in [usize::MAX, usize::MAX / 2, usize::MAX - PAGE, 1 << 47] {
        let answer = probe(libc::SYS_write, &[*writer as usize, mapping.address(), length]);
        ensure!(
            matches!(answer, Err(Errno(libc::EFAULT | libc::EINVAL)) | Ok(1..=4096)),
            "writing {length:#x} bytes: {answer:?}"
        );
        if let Ok(count) = answer {
            crate::sys::files::read(*reader, &mut vec![0; count])?;
        }
    }
    Ok(())
}

fn failed_calls_leave_no_descriptors() -> Outcome {
    let lowest = || -> Result<i32, Stop> { Ok(open("/dev/null", libc::O_RDONLY, 0)?.raw()) };
    let before = lowest()?;
    for _ in 0..50 {
        ensure_errno!(probe(libc::SYS_pipe2, &[8, 0]), EFAULT);
        ensure_errno!(open("nothing", libc::O_RDONLY, 0), ENOENT);
        ensure_errno!(open("/dev/null", libc::O_RDONLY | libc::O_DIRECTORY, 0), ENOTDIR);
    }
    ensure_eq!(lowest()?, before);
    Ok(())
}

fn wrong_exec_arguments_are_refused() -> Outcome {
    let program = c"/bin/sh".as_ptr() as usize;
    for address in NOWHERE {
        ensure_errno!(probe(libc::SYS_execve, &[program, address, 0]), EFAULT);
        ensure_errno!(probe(libc::SYS_execve, &[program, 0, address]), EFAULT);
        let list = [address, 0];
        ensure_errno!(probe(libc::SYS_execve, &[program, list.as_ptr() as usize, 0]), EFAULT);
    }
    Ok(())
}

fn failed_reads_lose_nothing() -> Outcome {
    put("file", b"abcdef")?;
    let file = open("file", libc::O_RDONLY, 0)?;
    ensure_errno!(probe(libc::SYS_read, &[*file as usize, 8, 3]), EFAULT);
    let mut bytes = [0; 3];
    ensure_eq!(crate::sys::files::read(*file, &mut bytes)?, 3);
    ensure_eq!(&bytes, b"abc");
    Ok(())
}

fn odd_high_bits_are_ignored_or_refused() -> Outcome {
    // Arguments of type int count by their low half.
    let high = 0xdead_beef_0000_0000_usize;
    let file = open("/dev/null", libc::O_RDWR, 0)?;
    let bytes = [0_u8; 4];
    ensure_eq!(probe(libc::SYS_write, &[high | *file as usize, bytes.as_ptr() as usize, 4]), Ok(4));
    ensure_eq!(probe(libc::SYS_fcntl, &[high | *file as usize, high | libc::F_GETFD as usize, 0]), Ok(0));
    let copy = probe(libc::SYS_dup, &[high | *file as usize])?;
    ensure_eq!(probe(libc::SYS_close, &[high | copy]), Ok(0));
    Ok(())
}

/// Calls that end, stop or confuse the calling process itself, change the machine, or leave something behind.
const SPARED: &[i64] = &[
    libc::SYS_add_key,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_brk,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fork,
    libc::SYS_keyctl,
    libc::SYS_kill,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msgget,
    libc::SYS_munmap,
    libc::SYS_pkey_mprotect,
    libc::SYS_prctl,
    libc::SYS_reboot,
    libc::SYS_remap_file_pages,
    libc::SYS_request_key,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
    libc::SYS_seccomp,
    libc::SYS_semget,
    libc::SYS_setitimer,
    libc::SYS_shmat,
    libc::SYS_shmget,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_vfork,
    libc::SYS_vhangup,
];

fn every_call_survives_wild_numbers() -> Outcome {
    for number in (0..=334).chain(424..=461).filter(|number| !SPARED.contains(number)) {
        let child = fork(|| call_wildly(number))?;
        // The child may be killed for what it asked for; more must not happen.
        let status = child.wait()?;
        ensure!(matches!(status, Status::Exited(0 | 114) | Status::Killed(_)), "call {number}: {status}");
    }
    Ok(())
}

/// Makes a call with numbers that mean nothing, as nobody in particular and with nothing open: on Linux this runs too.
fn call_wildly(number: i64) -> i32 {
    let is_harmless = !crate::sys::users::rules_all_users()
        || crate::sys::users::setresgid(65534, 65534, 65534)
            .and_then(|()| crate::sys::users::setresuid(65534, 65534, 65534))
            .is_ok();
    let has_alarm = signals::act(libc::SIGALRM, signals::Action::EndProcess, 0, &[])
        .and_then(|()| crate::sys::time::setitimer(libc::ITIMER_REAL, WAITING, WAITING));
    if !is_harmless || has_alarm.is_err() {
        return 1;
    }
    for fd in 0..1024 {
        let _ = crate::sys::files::close(fd);
    }
    for wild in [usize::MAX, 0xffff_ffff_8100_0000, 0x8000_0000_0000_0000, 0x7fff_ffff_f000, 8, 1, 0] {
        let _ = probe(number, &[wild; 6]);
    }
    0
}

/// Some calls wait, which is no fault.
const WAITING: std::time::Duration = std::time::Duration::from_millis(200);
