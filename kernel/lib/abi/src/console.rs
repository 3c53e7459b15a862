//! Virtual consoles: the ioctls of keyboards and screens, and of changing between consoles.
//!
//! Source: ioctl_console(2), Linux's linux/kd.h, linux/vt.h and linux/keyboard.h.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32;
    KIOCSOUND = 0x4b2f, "Sound on or off.";
    KDMKTONE = 0x4b30, "A tone.";
    KDGETLED = 0x4b31, "Get the lamps.";
    KDSETLED = 0x4b32, "Set the lamps, or have them follow the locks again.";
    KDGKBTYPE = 0x4b33, "Type of keyboard.";
    KDSETMODE = 0x4b3a, "Text or graphics.";
    KDGETMODE = 0x4b3b, "Text or graphics?";
    KDGKBMODE = 0x4b44, "What does the keyboard send?";
    KDSKBMODE = 0x4b45, "What the keyboard sends.";
    KDGKBENT = 0x4b46, "Get an entry of the keyboard table.";
    KDSKBENT = 0x4b47, "Set an entry of the keyboard table.";
    KDGKBSENT = 0x4b48, "Get the string of a function key.";
    KDSKBSENT = 0x4b49, "Set the string of a function key.";
    KDGKBDIACR = 0x4b4a, "Get the table of accents, in bytes.";
    KDSKBDIACR = 0x4b4b, "Set the table of accents, in bytes.";
    KDGETKEYCODE = 0x4b4c, "Which key is a scan code?";
    KDSETKEYCODE = 0x4b4d, "Which key a scan code is.";
    KDKBDREP = 0x4b52, "Set delay and period of repetition, and get the old ones.";
    KDGKBMETA = 0x4b62, "Does Alt set bit 7, or send Escape before the key?";
    KDSKBMETA = 0x4b63, "Whether Alt sets bit 7, or sends Escape before the key.";
    KDGKBLED = 0x4b64, "Get the locks.";
    KDSKBLED = 0x4b65, "Set the locks.";
    KDGKBDIACRUC = 0x4bfa, "Get the table of accents, in Unicode.";
    KDSKBDIACRUC = 0x4bfb, "Set the table of accents, in Unicode.";
    VT_OPENQRY = 0x5600, "A console that nobody has open.";
    VT_GETMODE = 0x5601, "Who handles a change?";
    VT_SETMODE = 0x5602, "Who handles a change.";
    VT_GETSTATE = 0x5603, "Which consoles are there?";
    VT_RELDISP = 0x5605, "The screen is given up, or taken.";
    VT_ACTIVATE = 0x5606, "Show another one.";
    VT_WAITACTIVE = 0x5607, "Wait until one is shown.";
    VT_DISALLOCATE = 0x5608, "Free the memory of one.";
    VT_LOCKSWITCH = 0x560b, "No changes from now on.";
    VT_UNLOCKSWITCH = 0x560c, "Changes are allowed again.";
    KB_101 = 0x02, "Answer to `KDGKBTYPE`.";
    KD_TEXT = 0, "`KDSETMODE`: the console draws its text.";
    KD_GRAPHICS = 1, "`KDSETMODE`: a program has the screen.";
    K_RAW = 0, "`KDSKBMODE`: scan codes.";
    K_XLATE = 1, "`KDSKBMODE`: characters of one byte.";
    K_MEDIUMRAW = 2, "`KDSKBMODE`: key codes.";
    K_UNICODE = 3, "`KDSKBMODE`: characters in UTF-8.";
    K_OFF = 4, "`KDSKBMODE`: nothing.";
    K_METABIT = 3, "`KDSKBMETA`: bit 7.";
    K_ESCPREFIX = 4, "`KDSKBMETA`: Escape.";
    VT_AUTO = 0, "`VtMode::mode`: changes just happen.";
    VT_PROCESS = 1, "`VtMode::mode`: a process is asked by a signal.";
    VT_ACKACQ = 2, "`VT_RELDISP`: the screen is taken.";
    MAX_DIACR = 256, "Most entries in the table of accents.";
}

/// `struct vt_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VtMode {
    /// `VT_AUTO` or `VT_PROCESS`.
    pub mode: u8,
    /// Output waits while another console is shown; ignored on Linux.
    pub waitv: u8,
    /// The signal that asks for the screen.
    pub relsig: u16,
    /// The signal that gives it back.
    pub acqsig: u16,
    /// Not used.
    pub frsig: u16,
}

/// `struct vt_stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VtState {
    /// The console that is shown.
    pub active: u16,
    /// Not used.
    pub signal: u16,
    /// The consoles that are open, a bit each; that of 0 is always set.
    pub state: u16,
}

/// `struct kbentry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KeyboardEntry {
    /// Which table: bits of the modifiers that are held.
    pub table: u8,
    /// The code of the key.
    pub index: u8,
    /// What it does.
    pub value: u16,
}

/// `struct kbdiacruc`: an accent and a character give another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Accent {
    /// The accent.
    pub diacr: u32,
    /// The character under it.
    pub base: u32,
    /// Both together.
    pub result: u32,
}

/// `struct kbd_repeat`, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Repetition {
    /// Until the first repetition; 0 or less: stays as it is.
    pub delay: i32,
    /// From one to the next; 0 or less: stays as it is.
    pub period: i32,
}
