//! Character devices, and calls that only devices understand.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, tests};
use crate::sys::Errno;
use crate::sys::files::{self, Fd, fstat, lseek, open, read, write};

tests! {
    null_device_is_empty_and_swallows,
    zero_device_gives_zeros,
    full_device_has_no_room,
    random_devices_give_bytes,
    terminal_calls_refuse_files,
}

const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// A new file that is open for reading and writing.
fn new_file(name: &str) -> Result<Fd, Errno> {
    open(name, NEW, 0o644)
}

fn device(name: &str) -> Result<Fd, Errno> {
    open(name, libc::O_RDWR, 0)
}

fn null_device_is_empty_and_swallows() -> Outcome {
    let null = device("/dev/null")?;
    ensure_eq!(read(*null, &mut [0; 4])?, 0);
    ensure_eq!(write(*null, &[1; 10_000])?, 10_000);
    let stat = fstat(*null)?;
    ensure_eq!(stat.st_mode & libc::S_IFMT, libc::S_IFCHR);
    ensure_eq!(stat.st_rdev, libc::makedev(1, 3));
    ensure_eq!(lseek(*null, 5, libc::SEEK_SET)?, 0);
    Ok(())
}

fn zero_device_gives_zeros() -> Outcome {
    let zero = device("/dev/zero")?;
    let mut bytes = vec![1; 9000];
    ensure_eq!(read(*zero, &mut bytes)?, 9000);
    ensure!(bytes.iter().all(|byte| *byte == 0));
    ensure_eq!(write(*zero, b"abc")?, 3);
    ensure_eq!(fstat(*zero)?.st_rdev, libc::makedev(1, 5));
    Ok(())
}

fn full_device_has_no_room() -> Outcome {
    let full = device("/dev/full")?;
    ensure_errno!(write(*full, b"x"), ENOSPC);
    let mut bytes = [1; 16];
    ensure_eq!(read(*full, &mut bytes)?, 16);
    ensure_eq!(bytes, [0; 16]);
    Ok(())
}

fn random_devices_give_bytes() -> Outcome {
    for name in ["/dev/urandom", "/dev/random"] {
        let random = device(name)?;
        let (mut first, mut second) = ([0; 64], [0; 64]);
        ensure_eq!(read(*random, &mut first)?, 64, "{name}");
        ensure_eq!(read(*random, &mut second)?, 64, "{name}");
        ensure!(first != second && first != [0; 64], "{name}");
        ensure_eq!(write(*random, b"stir")?, 4, "{name}");
    }
    Ok(())
}

fn terminal_calls_refuse_files() -> Outcome {
    let file = new_file("file")?;
    ensure_errno!(crate::sys::terminal::modes(*file), ENOTTY);
    ensure_errno!(crate::sys::terminal::window(*file), ENOTTY);
    ensure_errno!(crate::sys::terminal::modes(*device("/dev/null")?), ENOTTY);
    ensure_errno!(files::ioctl_int(*file, 0xdead_beef), ENOTTY);
    ensure_errno!(crate::sys::terminal::modes(99), EBADF);
    Ok(())
}
