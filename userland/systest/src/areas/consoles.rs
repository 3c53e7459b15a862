//! Virtual consoles, keyboards, the framebuffer: calls that change what all programs share, each taken back in the end.
//! Skipped where there is no such device, or for those who may not open it.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, skip, tests};
use crate::sys::Errno;
use crate::sys::files::{Fd, ioctl_bytes, ioctl_value, open, read, write};
use crate::sys::signals::{block, timed_wait, unblock};
use std::time::Duration;

tests! {
    keymaps_change_by_entry,
    keyboard_modes_are_each_consoles_own,
    function_keys_have_strings,
    accents_are_a_table,
    locks_are_each_consoles_own,
    lights_follow_locks_or_a_program,
    repetition_is_told_and_set,
    scan_codes_mean_keys,
    a_program_lets_its_console_go,
    the_screen_goes_dark_and_has_colors,
    event_devices_are_taken_away,
    mice_answer_as_mice,
}

// Linux's linux/kd.h, linux/vt.h, linux/keyboard.h.
const KDGETLED: u32 = 0x4b31;
const KDSETLED: u32 = 0x4b32;
const KDGKBMODE: u32 = 0x4b44;
const KDSKBMODE: u32 = 0x4b45;
const KDGKBENT: u32 = 0x4b46;
const KDSKBENT: u32 = 0x4b47;
const KDGKBSENT: u32 = 0x4b48;
const KDSKBSENT: u32 = 0x4b49;
const KDGETKEYCODE: u32 = 0x4b4c;
const KDSETKEYCODE: u32 = 0x4b4d;
const KDKBDREP: u32 = 0x4b52;
const KDGKBMETA: u32 = 0x4b62;
const KDSKBMETA: u32 = 0x4b63;
const KDGKBLED: u32 = 0x4b64;
const KDSKBLED: u32 = 0x4b65;
const KDGKBDIACRUC: u32 = 0x4bfa;
const KDSKBDIACRUC: u32 = 0x4bfb;
const VT_SETMODE: u32 = 0x5602;
const VT_GETSTATE: u32 = 0x5603;
const VT_RELDISP: u32 = 0x5605;
const VT_ACTIVATE: u32 = 0x5606;
const VT_WAITACTIVE: u32 = 0x5607;
const K_RAW: u32 = 0;
const K_XLATE: u32 = 1;
const K_MEDIUMRAW: u32 = 2;
const K_UNICODE: u32 = 3;
const K_OFF: u32 = 4;
const K_METABIT: u32 = 3;
const K_ESCPREFIX: u32 = 4;
const VT_AUTO: u32 = 0;
const VT_PROCESS: u32 = 1;
const VT_ACKACQ: u32 = 2;

/// A console that nobody looks at, unless this system has none.
macro_rules! console {
    ($name:expr) => {
        or_skip!(
            open($name, libc::O_RDWR | libc::O_NOCTTY, 0),
            ENOENT | ENXIO | EACCES | EPERM | EIO | ENODEV
        )
    };
}

const QUIET: &str = "/dev/tty6";

fn entry(console: &Fd, table: u8, index: u8) -> Result<u16, Errno> {
    let mut bytes = [table, index, 0, 0];
    ioctl_bytes(**console, KDGKBENT.into(), &mut bytes)?;
    Ok(u16::from_ne_bytes([bytes[2], bytes[3]]))
}

fn set_entry(console: &Fd, table: u8, index: u8, value: u16) -> Result<(), Errno> {
    let [low, high] = value.to_ne_bytes();
    ioctl_bytes(**console, KDSKBENT.into(), &mut [table, index, low, high])
}

fn keymaps_change_by_entry() -> Outcome {
    const HOLE: u16 = 0x200;
    const NO_MAP: u16 = 0x27f;
    // No key has this code, and no keyboard these modifiers.
    const CODE: u8 = 250;
    const TABLE: u8 = 0xf0;
    let console = console!(QUIET);
    ensure_eq!(entry(&console, 0, CODE)?, HOLE);
    ensure_eq!((entry(&console, TABLE, 0)?, entry(&console, TABLE, 1)?), (NO_MAP, HOLE));
    set_entry(&console, TABLE, CODE, 0x0b61)?;
    ensure_eq!((entry(&console, TABLE, CODE)?, entry(&console, TABLE, 1)?), (0x0b61, HOLE));
    // A character, a function key; what there is not.
    set_entry(&console, TABLE, CODE, 0x20ac ^ 0xf000)?;
    ensure_eq!(entry(&console, TABLE, CODE)?, 0x20ac ^ 0xf000);
    for wrong in [0x0214, 0x0314, 0x0604, 0x0709, 0x0a09] {
        ensure_errno!(set_entry(&console, TABLE, CODE, wrong), EINVAL);
    }
    set_entry(&console, TABLE, 0, NO_MAP)?;
    ensure_eq!(entry(&console, TABLE, 0)?, NO_MAP);
    Ok(())
}

fn int(fd: &Fd, request: u32) -> Result<u32, Errno> {
    let mut bytes = [0; 4];
    ioctl_bytes(**fd, request.into(), &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

fn keyboard_modes_are_each_consoles_own() -> Outcome {
    let (console, other) = (console!(QUIET), console!("/dev/tty5"));
    let (before, others) = (int(&console, KDGKBMODE)?, int(&other, KDGKBMODE)?);
    for mode in [K_RAW, K_XLATE, K_MEDIUMRAW, K_OFF, K_UNICODE] {
        ioctl_value(*console, KDSKBMODE.into(), mode.into())?;
        ensure_eq!(int(&console, KDGKBMODE)?, mode);
        ensure_eq!(int(&other, KDGKBMODE)?, others);
    }
    ensure_errno!(ioctl_value(*console, KDSKBMODE.into(), 5), EINVAL);
    // In bytes there are no characters of Unicode.
    ioctl_value(*console, KDSKBMODE.into(), K_XLATE.into())?;
    ensure_errno!(set_entry(&console, 0, 250, 0x20ac ^ 0xf000), EINVAL);
    ioctl_value(*console, KDSKBMODE.into(), before.into())?;
    let meta = int(&console, KDGKBMETA)?;
    for wanted in [K_METABIT, K_ESCPREFIX, meta] {
        ioctl_value(*console, KDSKBMETA.into(), wanted.into())?;
        ensure_eq!(int(&console, KDGKBMETA)?, wanted);
    }
    ensure_errno!(ioctl_value(*console, KDSKBMETA.into(), 9), EINVAL);
    Ok(())
}

fn function_keys_have_strings() -> Outcome {
    const KEY: u8 = 200;
    let console = console!(QUIET);
    let mut bytes = [0; 513];
    bytes[0] = KEY;
    ioctl_bytes(*console, KDGKBSENT.into(), &mut bytes)?;
    ensure_eq!(bytes[1], 0);
    bytes[1..7].copy_from_slice(b"uname\0");
    ioctl_bytes(*console, KDSKBSENT.into(), &mut bytes)?;
    let mut read_back = [KEY; 513];
    ioctl_bytes(*console, KDGKBSENT.into(), &mut read_back)?;
    ensure_eq!(&read_back[1..7], b"uname\0");
    bytes[1] = 0;
    ioctl_bytes(*console, KDSKBSENT.into(), &mut bytes)?;
    Ok(())
}

fn accents_are_a_table() -> Outcome {
    let console = console!(QUIET);
    let mut before = [0; 4 + 256 * 12];
    ioctl_bytes(*console, KDGKBDIACRUC.into(), &mut before)?;
    let mut one = [0; 4 + 256 * 12];
    for (place, value) in one.chunks_exact_mut(4).zip([1, u32::from('x'), u32::from('o'), 0x20ac]) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    ioctl_bytes(*console, KDSKBDIACRUC.into(), &mut one)?;
    let mut read_back = [0; 4 + 256 * 12];
    ioctl_bytes(*console, KDGKBDIACRUC.into(), &mut read_back)?;
    one[..4].copy_from_slice(&256_u32.to_ne_bytes());
    ensure_errno!(ioctl_bytes(*console, KDSKBDIACRUC.into(), &mut one), EINVAL);
    ioctl_bytes(*console, KDSKBDIACRUC.into(), &mut before)?;
    ensure_eq!(&read_back[..4], &1_u32.to_ne_bytes());
    ensure_eq!(&read_back[4..16], &one[4..16]);
    Ok(())
}

/// One byte that an ioctl tells.
fn byte(fd: &Fd, request: u32) -> Result<u8, Errno> {
    let mut bytes = [0xff];
    ioctl_bytes(**fd, request.into(), &mut bytes).map(|()| bytes[0])
}

fn locks_are_each_consoles_own() -> Outcome {
    let (console, other) = (console!(QUIET), console!("/dev/tty5"));
    let (before, others) = (byte(&console, KDGKBLED)?, byte(&other, KDGKBLED)?);
    // Caps Lock now, Num Lock after a reset.
    ioctl_value(*console, KDSKBLED.into(), 0x24)?;
    let changed = (byte(&console, KDGKBLED)?, byte(&other, KDGKBLED)?);
    write(*console, b"\x1bc")?;
    let reset = byte(&console, KDGKBLED)?;
    let refused = ioctl_value(*console, KDSKBLED.into(), 0x88);
    ioctl_value(*console, KDSKBLED.into(), before.into())?;
    ensure_eq!((changed, reset), ((0x24, others), 0x22));
    ensure_errno!(refused, EINVAL);
    Ok(())
}

fn lights_follow_locks_or_a_program() -> Outcome {
    let console = console!(QUIET);
    let shown = active(&console)?;
    if shown == 0 || shown == 6 {
        skip!("no other console is shown");
    }
    let show = |number: u64| {
        ioctl_value(*console, VT_ACTIVATE.into(), number)
            .and_then(|_| ioctl_value(*console, VT_WAITACTIVE.into(), number))
    };
    let locks = byte(&console, KDGKBLED)?;
    let others = byte(&console, KDGETLED)?;
    // Whoever is not shown has no lights.
    ioctl_value(*console, KDSETLED.into(), u64::from(!others & 7))?;
    let unseen = byte(&console, KDGETLED)?;
    show(6)?;
    let seen = byte(&console, KDGETLED)?;
    ioctl_value(*console, KDSKBLED.into(), 2)?;
    let still = byte(&console, KDGETLED)?;
    // Any more than lights: they follow the locks again.
    ioctl_value(*console, KDSETLED.into(), 0xff)?;
    let followed = byte(&console, KDGETLED)?;
    ioctl_value(*console, KDSKBLED.into(), locks.into())?;
    show(shown.into())?;
    ensure_eq!((unseen, seen, still, followed), (others, !others & 7, !others & 7, 2));
    ensure_eq!(byte(&console, KDGETLED)?, others);
    Ok(())
}

fn pair(values: [u32; 2]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&values[0].to_ne_bytes());
    bytes[4..].copy_from_slice(&values[1].to_ne_bytes());
    bytes
}

fn repetition_is_told_and_set() -> Outcome {
    let console = console!(QUIET);
    let mut before = pair([0, 0]);
    ioctl_bytes(*console, KDKBDREP.into(), &mut before)?;
    let mut old = pair([500, 50]);
    ioctl_bytes(*console, KDKBDREP.into(), &mut old)?;
    let mut new = before;
    ioctl_bytes(*console, KDKBDREP.into(), &mut new)?;
    ensure_eq!((old, new), (before, pair([500, 50])));
    Ok(())
}

fn scan_codes_mean_keys() -> Outcome {
    // A scan code of no key.
    const SCAN: u32 = 0x6e;
    let console = console!(QUIET);
    let get = || {
        let mut bytes = pair([SCAN, 999]);
        ioctl_bytes(*console, KDGETKEYCODE.into(), &mut bytes).map(|()| bytes)
    };
    let before = or_skip!(get(), EINVAL | ENODEV);
    ioctl_bytes(*console, KDSETKEYCODE.into(), &mut pair([SCAN, 30]))?;
    let after = get()?;
    ioctl_bytes(*console, KDSETKEYCODE.into(), &mut before.clone())?;
    ensure_eq!(after, pair([SCAN, 30]));
    ensure_errno!(ioctl_bytes(*console, KDSETKEYCODE.into(), &mut pair([70_000, 30])), EINVAL);
    Ok(())
}

/// Which console is shown.
fn active(console: &Fd) -> Result<u16, Errno> {
    let mut state = [0; 6];
    ioctl_bytes(**console, VT_GETSTATE.into(), &mut state)?;
    Ok(u16::from_ne_bytes([state[0], state[1]]))
}

/// VT_SETMODE: mode, a byte that is not used, signals for letting go and getting back.
fn set_mode(console: &Fd, mode: u32, release: i32, acquire: i32) -> Result<(), Errno> {
    let mut bytes = [mode as u8, 0, release as u8, 0, acquire as u8, 0, 0, 0];
    ioctl_bytes(**console, VT_SETMODE.into(), &mut bytes)
}

fn comes(signal: i32) -> bool {
    timed_wait(1 << (signal - 1), Some(Duration::from_secs(5))).is_ok_and(|found| found.0 == signal)
}

fn a_program_lets_its_console_go() -> Outcome {
    let (mine, other) = (console!("/dev/tty5"), console!(QUIET));
    let before = active(&mine)?;
    if before == 0 {
        skip!("no console is shown");
    }
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        block(signal)?;
    }
    let activate = |number: u64| ioctl_value(*mine, VT_ACTIVATE.into(), number);
    let wait = |number: u64| ioctl_value(*mine, VT_WAITACTIVE.into(), number);
    let answer = |answer: u32| ioctl_value(*mine, VT_RELDISP.into(), answer.into());
    activate(5)?;
    wait(5)?;
    set_mode(&mine, VT_PROCESS, libc::SIGUSR1, libc::SIGUSR2)?;
    ensure_errno!(answer(1), EINVAL);
    // Asked, and refused.
    activate(6)?;
    ensure!(comes(libc::SIGUSR1), "nobody asks for the console");
    ensure_eq!(active(&other)?, 5);
    answer(0)?;
    ensure_eq!(active(&other)?, 5);
    // Asked, and let go.
    activate(6)?;
    ensure!(comes(libc::SIGUSR1), "nobody asks for the console again");
    answer(1)?;
    wait(6)?;
    // And back.
    activate(5)?;
    ensure!(comes(libc::SIGUSR2), "nobody gives the console back");
    answer(VT_ACKACQ)?;
    ensure_eq!(active(&other)?, 5);
    set_mode(&mine, VT_AUTO, 0, 0)?;
    ensure_errno!(set_mode(&mine, 9, 0, 0), EINVAL);
    activate(before.into())?;
    wait(before.into())?;
    for signal in [libc::SIGUSR1, libc::SIGUSR2] {
        unblock(signal)?;
    }
    Ok(())
}

fn the_screen_goes_dark_and_has_colors() -> Outcome {
    const FBIOGETCMAP: u64 = 0x4604;
    const FBIOPUTCMAP: u64 = 0x4605;
    const FBIOBLANK: u64 = 0x4611;
    let screen = console!("/dev/fb0");
    for level in [4, 1, 0] {
        ioctl_value(*screen, FBIOBLANK, level)?;
    }
    ensure_errno!(ioctl_value(*screen, FBIOBLANK, 5), EINVAL);
    // From entry 0 on: red, green, blue, no transparency.
    let map = |colors: &mut [[u16; 16]; 3]| {
        let mut bytes = pair([0, 16]).to_vec();
        for color in colors {
            bytes.extend((color.as_mut_ptr() as usize).to_ne_bytes());
        }
        bytes.extend([0; 8]);
        bytes
    };
    let mut before = [[0; 16]; 3];
    ioctl_bytes(*screen, FBIOGETCMAP, &mut map(&mut before))?;
    let mut set: [[u16; 16]; 3] =
        std::array::from_fn(|row| std::array::from_fn(|index| (index * 0x1000 + row * 0x100) as u16));
    ioctl_bytes(*screen, FBIOPUTCMAP, &mut map(&mut set))?;
    let mut found = [[0; 16]; 3];
    ioctl_bytes(*screen, FBIOGETCMAP, &mut map(&mut found))?;
    ioctl_bytes(*screen, FBIOPUTCMAP, &mut map(&mut before))?;
    // Eight bits of a colour are kept at least.
    ensure_eq!(found.map(|row| row.map(|value| value >> 8)), set.map(|row| row.map(|value| value >> 8)));
    Ok(())
}

fn event_devices_are_taken_away() -> Outcome {
    const EVIOCGVERSION: u64 = 0x8004_4501;
    const EVIOCGREP: u64 = 0x8008_4503;
    const EVIOCSREP: u64 = 0x4008_4503;
    const EVIOCREVOKE: u64 = 0x4004_4591;
    let device =
        or_skip!(open("/dev/input/event0", libc::O_RDWR | libc::O_NONBLOCK, 0), ENOENT | EACCES | EPERM);
    let mut repetition = pair([0, 0]);
    or_skip!(ioctl_bytes(*device, EVIOCGREP, &mut repetition), ENOSYS);
    ioctl_bytes(*device, EVIOCSREP, &mut pair([700, 70]))?;
    let mut found = pair([0, 0]);
    ioctl_bytes(*device, EVIOCGREP, &mut found)?;
    ioctl_bytes(*device, EVIOCSREP, &mut repetition)?;
    ensure_eq!(found, pair([700, 70]));
    // Setting it is an event, too: what waits is read before.
    while read(*device, &mut [0; 240]).is_ok_and(|count| count > 0) {}
    ensure_eq!(ioctl_bytes(*device, EVIOCGVERSION, &mut [0; 4]), Ok(()));
    ensure_errno!(ioctl_value(*device, EVIOCREVOKE, 1), EINVAL);
    ioctl_value(*device, EVIOCREVOKE, 0)?;
    ensure_errno!(read(*device, &mut [0; 240]), ENODEV);
    ensure_errno!(ioctl_bytes(*device, EVIOCGVERSION, &mut [0; 4]), ENODEV);
    Ok(())
}

fn mice_answer_as_mice() -> Outcome {
    let mice = or_skip!(open("/dev/input/mice", libc::O_RDWR | libc::O_NONBLOCK, 0), ENOENT | EACCES | EPERM);
    let ask = |bytes: &[u8]| -> Result<Vec<u8>, Errno> {
        let mut answer = [0; 8];
        let mut all = Vec::new();
        for byte in bytes {
            crate::sys::files::write(*mice, &[*byte])?;
            let length = read(*mice, &mut answer)?;
            all.extend_from_slice(&answer[..length]);
        }
        Ok(all)
    };
    ensure_eq!(ask(&[0xf2])?, [0xfa, 0]);
    ensure_eq!(ask(&[0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2])?, [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 3]);
    ensure_eq!(ask(&[0xf3, 200, 0xf3, 200, 0xf3, 80, 0xf2])?, [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 4]);
    ensure_eq!(ask(&[0xff])?, [0xfa, 0xaa, 0]);
    Ok(())
}
