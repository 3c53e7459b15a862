//! Which console is shown, and who has a say in it.
//!
//! A program that draws itself sets its console to graphics. So that others can be shown all the same it asks to be
//! asked (VT_PROCESS): it gets a signal, saves what it needs, and lets go with VT_RELDISP; it gets another signal
//! when its console is shown again. Without that, graphics keep the screen, as on Linux.

use super::{all, painter, shown, shown_index};
use crate::device::input;
use crate::process::{signal::send_to_process, tree};
use crate::sched::wait::WaitQueue;
use abi::console::{VT_AUTO, VT_PROCESS, VtMode};
use abi::signal::{SI_KERNEL, SigInfo, Signal};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The index of the console that is shown.
pub(super) static SHOWN: AtomicUsize = AtomicUsize::new(0);
/// The index of the one that was shown before.
pub(super) static LAST: AtomicUsize = AtomicUsize::new(0);
/// The one that will be shown, counted from 1, once the program that was asked lets go; 0: none.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// No changes for the time being (VT_LOCKSWITCH).
pub(super) static IS_LOCKED: AtomicBool = AtomicBool::new(false);
/// Woken when another one is shown.
pub(super) static CHANGED: WaitQueue = WaitQueue::named("console");

/// Who draws on a console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Drawing {
    /// The console itself.
    #[default]
    Text,
    /// A program.
    Graphics,
}

/// What the keyboard sends to a console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeyMode {
    /// What a PS/2 keyboard sends.
    ScanCodes,
    /// Characters of Latin-1.
    Bytes,
    /// Numbers of keys.
    KeyCodes,
    /// Characters in UTF-8.
    #[default]
    Unicode,
    /// Nothing.
    Off,
}

impl KeyMode {
    /// Whether keys mean characters.
    pub(crate) fn is_translated(self) -> bool {
        matches!(self, KeyMode::Bytes | KeyMode::Unicode)
    }
}

/// What Alt does to a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Meta {
    /// Escape goes before it.
    #[default]
    Escape,
    /// Bit 7 is set.
    Bit,
}

/// What programs have chosen for a console.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handling {
    pub(super) keys: KeyMode,
    pub(super) meta: Meta,
    pub(super) drawing: Drawing,
    pub(super) mode: VtMode,
    /// The process that VT_SETMODE named: who is asked.
    pub(super) owner: i32,
}

/// Shows another console, counted from 1, or asks whoever has the screen to let go. Any context.
pub(crate) fn show(number: usize) {
    let index = number.wrapping_sub(1);
    let Some(old) = shown().filter(|_| index < all().len()) else { return };
    if shown_index() == index {
        // Whoever was asked to let go may stay.
        return WANTED.store(0, Ordering::Release);
    }
    if IS_LOCKED.load(Ordering::Relaxed) {
        return;
    }
    let handling = old.handling();
    if u32::from(handling.mode.mode) == VT_PROCESS {
        WANTED.store(number, Ordering::Release);
        if tell(handling.owner, handling.mode.relsig) {
            return;
        }
        // It has gone.
        WANTED.store(0, Ordering::Release);
        old.reset_handling();
    } else if handling.drawing == Drawing::Graphics {
        return;
    }
    change(index);
}

fn change(index: usize) {
    let before = SHOWN.swap(index, Ordering::AcqRel);
    if before == index {
        return;
    }
    LAST.store(before, Ordering::Release);
    input::change_console();
    if let Some(new) = all().get(index) {
        let handling = new.handling();
        if u32::from(handling.mode.mode) == VT_PROCESS && !tell(handling.owner, handling.mode.acqsig) {
            new.reset_handling();
        }
    }
    painter::wake();
    CHANGED.wake_all();
}

/// What a program answered. `None`: it was not asked.
pub(super) fn answer(consents: bool) -> Option<()> {
    let number = WANTED.swap(0, Ordering::AcqRel);
    let index = number.checked_sub(1)?;
    if consents {
        change(index);
    }
    Some(())
}

/// A program says itself from now on what happens to the console with this index, or does so no more.
pub(super) fn forget_wish(index: usize) {
    if shown_index() == index {
        WANTED.store(0, Ordering::Release);
    }
}

/// Whether a mode is one that there is.
pub(super) fn is_valid(mode: &VtMode) -> bool {
    let is_signal = |number: u16| number == 0 || Signal::new(number.into()).is_some();
    matches!(u32::from(mode.mode), VT_AUTO | VT_PROCESS) && is_signal(mode.relsig) && is_signal(mode.acqsig)
}

/// Sends a signal; `false` if nobody is there.
fn tell(pid: i32, signal: u16) -> bool {
    let Some(process) = tree::find(pid) else { return false };
    // Without a signal it is asked and cannot notice: it has to look.
    if let Some(signal) = Signal::new(signal.into()) {
        // A full queue of real-time signals has the program look at what it has.
        let _ = send_to_process(&process, signal, SigInfo::new(signal, SI_KERNEL));
    }
    true
}
