//! The ioctls of the keyboard on a virtual console: keymaps (loadkeys, dumpkeys), modes, locks and lights.
//!
//! The keymap is that of all consoles; mode, locks and lights are each console's own.
//!
//! Source: ioctl_console(2).

use super::console::Console;
use super::control::check_may_configure;
use super::switch::{KeyMode, Meta};
use crate::device::input::{self, keyboard};
use crate::error::{Error, Result};
use crate::process::credentials::capability;
use crate::sched;
use crate::tty::Tty;
use crate::tty::control::{get, put};
use abi::console::{self, Accent as AbiAccent, KeyboardEntry};
use abi::errno::Errno;
use alloc::{vec, vec::Vec};
use keymap::{Accent, Indicators, KEYS, Keymap, Symbol, function_key, kind};
use machine::mm::user;
use terminal::Modes;
use terminal::keys::Modifiers;
use zerocopy::IntoBytes;

/// Where the entries of the tables of accents begin, behind their number.
const ENTRIES: u64 = 4;
/// Bytes of an entry in bytes.
const SHORT_ENTRY: usize = 3;
/// KDSETLED with more than the lights: they follow the locks.
const LIGHTS: u64 = 7;

impl Console {
    /// Does what `command` says; ENOTTY for what is not about the keyboard.
    pub(super) fn keyboard_ioctl(&self, tty: &Tty, command: u32, argument: u64) -> Result<u64> {
        match command {
            console::KDGKBMODE => put(argument, &mode_number(self.handling().keys))?,
            console::KDSKBMODE => {
                check_may_configure(tty)?;
                let mode = mode_of(argument).ok_or(Errno::EINVAL)?;
                self.change_handling(&mut |handling| handling.keys = mode);
                keyboard::with_map(&mut |_| ());
            }
            console::KDGKBMETA => {
                let is_bit = self.handling().meta == Meta::Bit;
                put(argument, &if is_bit { console::K_METABIT } else { console::K_ESCPREFIX })?;
            }
            console::KDSKBMETA => {
                check_may_configure(tty)?;
                let meta = match u32::try_from(argument) {
                    Ok(console::K_METABIT) => Meta::Bit,
                    Ok(console::K_ESCPREFIX) => Meta::Escape,
                    _ => return Err(Errno::EINVAL.into()),
                };
                self.change_handling(&mut |handling| handling.meta = meta);
            }
            console::KDGKBENT => {
                let entry = get(argument)?;
                put(argument, &self.entry(entry))?;
            }
            console::KDSKBENT => {
                check_may_load()?;
                self.set_entry(get(argument)?)?;
            }
            console::KDGKBSENT => get_string(argument)?,
            console::KDSKBSENT => {
                check_may_load()?;
                set_string(argument)?;
            }
            console::KDGKBDIACR | console::KDGKBDIACRUC => get_accents(command, argument)?,
            console::KDSKBDIACR | console::KDSKBDIACRUC => {
                check_may_load()?;
                set_accents(command, argument)?;
            }
            console::KDGETKEYCODE => {
                let [scan, _] = get::<[u32; 2]>(argument)?;
                let key = input::key_code(scan as usize).ok_or(Errno::EINVAL)?;
                put(argument, &[scan, u32::from(key)])?;
            }
            console::KDSETKEYCODE => {
                check_may_load()?;
                let [scan, key] = get::<[u32; 2]>(argument)?;
                let key = u16::try_from(key).map_err(|_| Errno::EINVAL)?;
                input::set_key_code(scan as usize, key).ok_or(Errno::EINVAL)?;
            }
            _ => return self.lights_ioctl(tty, command, argument),
        }
        Ok(0)
    }

    fn lights_ioctl(&self, tty: &Tty, command: u32, argument: u64) -> Result<u64> {
        match command {
            // Those that a reset brings are in the upper half.
            console::KDGKBLED => {
                let (locks, at_reset) = keyboard::locks(self.index());
                put(argument, &(locks.bits() | at_reset.bits() << 4))?;
            }
            console::KDSKBLED => {
                check_may_configure(tty)?;
                let locks = u8::try_from(argument).ok().filter(|bits| bits & !0x77 == 0);
                let locks = locks.ok_or(Error::new(Errno::EINVAL, "no such locks"))?;
                let (now, at_reset) = (locks & 7, locks >> 4);
                let indicators = Indicators::from_bits_truncate;
                input::set_locks(self.index(), indicators(now), indicators(at_reset));
            }
            console::KDGETLED => put(argument, &keyboard::lights().bits())?,
            console::KDSETLED => {
                check_may_configure(tty)?;
                let wanted = (argument <= LIGHTS).then(|| Indicators::from_bits_truncate(argument as u8));
                input::set_lights(self.index(), wanted);
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }

    /// KDGKBENT.
    fn entry(&self, entry: KeyboardEntry) -> KeyboardEntry {
        let mut found = None;
        keyboard::look_at_map(&mut |map| found = map.symbol(entry.table, entry.index.into()));
        let missing = if entry.index == 0 { Symbol::NO_MAP } else { Symbol::HOLE };
        let symbol = match found {
            Some(symbol) if symbol.unicode().is_some() && !self.is_unicode() => Symbol::HOLE,
            found => found.unwrap_or(missing),
        };
        KeyboardEntry { value: symbol.0, ..entry }
    }

    /// KDSKBENT.
    fn set_entry(&self, entry: KeyboardEntry) -> Result<()> {
        let symbol = Symbol(entry.value);
        if entry.index == 0 && symbol == Symbol::NO_MAP {
            keyboard::with_map(&mut |map| map.remove_table(entry.table));
            return Ok(());
        }
        let is_character = symbol.kind() > kind::BRAILLE;
        if !symbol.is_valid() || (is_character && !self.is_unicode()) {
            return Err(Error::new(Errno::EINVAL, "no such symbol"));
        }
        if entry.index == 0 {
            return Ok(());
        }
        let mut outcome = Ok(());
        keyboard::with_map(&mut |map| outcome = map.set_symbol(entry.table, entry.index, symbol));
        outcome.map_err(|_| Errno::ENOMEM.into())
    }

    fn is_unicode(&self) -> bool {
        self.handling().keys == KeyMode::Unicode
    }
}

fn mode_number(mode: KeyMode) -> u32 {
    match mode {
        KeyMode::ScanCodes => console::K_RAW,
        KeyMode::Bytes => console::K_XLATE,
        KeyMode::KeyCodes => console::K_MEDIUMRAW,
        KeyMode::Unicode => console::K_UNICODE,
        KeyMode::Off => console::K_OFF,
    }
}

fn mode_of(number: u64) -> Option<KeyMode> {
    let all = [KeyMode::ScanCodes, KeyMode::Bytes, KeyMode::KeyCodes, KeyMode::Unicode, KeyMode::Off];
    all.into_iter().find(|mode| u64::from(mode_number(*mode)) == number)
}

/// EPERM unless the caller may change the keymap, which is everybody's.
fn check_may_load() -> Result<()> {
    let thread = sched::current();
    let may = thread.process().is_none_or(|process| process.credentials().has(capability::SYS_TTY_CONFIG));
    if may { Ok(()) } else { Err(Error::new(Errno::EPERM, "the keymap is the administrator's")) }
}

/// KDGKBSENT: one byte for the number of the key, then the string, which ends in a zero.
fn get_string(argument: u64) -> Result<()> {
    let number: u8 = get(argument)?;
    let mut string = Vec::new();
    string.try_reserve_exact(keyboard::STRING).map_err(|_| Errno::ENOMEM)?;
    let mut is_set = false;
    keyboard::look_at_map(&mut |map| {
        if let Some(set) = map.string(number) {
            string.extend_from_slice(&set[..set.len().min(keyboard::STRING - 1)]);
            is_set = true;
        }
    });
    // Those that nobody has set are what the terminal sends.
    if !is_set && let Some(key) = function_key(number).and_then(keyboard::key) {
        let sequence = terminal::keys::key(key, Modifiers::empty(), Modes::empty());
        string.extend_from_slice(sequence.bytes());
    }
    string.push(0);
    Ok(user::copy_to(argument + 1, &string)?)
}

/// KDSKBSENT.
fn set_string(argument: u64) -> Result<()> {
    let number: u8 = get(argument)?;
    let mut string = Vec::new();
    string.try_reserve_exact(keyboard::STRING).map_err(|_| Errno::ENOMEM)?;
    let mut place = argument.checked_add(1).ok_or(Errno::EFAULT)?;
    while string.len() < keyboard::STRING - 1 {
        let byte: u8 = get(place)?;
        if byte == 0 {
            break;
        }
        string.push(byte);
        place = place.checked_add(1).ok_or(Errno::EFAULT)?;
    }
    let mut string = Some(string);
    keyboard::with_map(&mut |map: &mut Keymap| {
        if let Some(string) = string.take() {
            map.set_string(number, string);
        }
    });
    Ok(())
}

/// KDGKBDIACR, KDGKBDIACRUC: the number of entries, then those.
fn get_accents(command: u32, argument: u64) -> Result<()> {
    let mut accents = Vec::new();
    accents.try_reserve_exact(keymap::MAX_ACCENTS).map_err(|_| Errno::ENOMEM)?;
    keyboard::look_at_map(&mut |map| accents.extend_from_slice(map.accents()));
    put(argument, &(accents.len() as u32))?;
    let mut place = argument.checked_add(ENTRIES).ok_or(Errno::EFAULT)?;
    for Accent { accent, base, result } in accents {
        if command == console::KDGKBDIACR {
            let byte = |character: char| u8::try_from(character).unwrap_or(0);
            put(place, &[accent, base, result].map(byte))?;
            place += SHORT_ENTRY as u64;
        } else {
            put(place, &AbiAccent { diacr: accent.into(), base: base.into(), result: result.into() })?;
            place += size_of::<AbiAccent>() as u64;
        }
    }
    Ok(())
}

/// KDSKBDIACR, KDSKBDIACRUC.
fn set_accents(command: u32, argument: u64) -> Result<()> {
    let count = get::<u32>(argument)? as usize;
    if count >= keymap::MAX_ACCENTS {
        return Err(Error::new(Errno::EINVAL, "more accents than there may be"));
    }
    let place = argument.checked_add(ENTRIES).ok_or(Errno::EFAULT)?;
    let mut accents = Vec::new();
    accents.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    if command == console::KDSKBDIACR {
        let mut entries = vec![[0_u8; SHORT_ENTRY]; count];
        user::copy_from(entries.as_mut_bytes(), place)?;
        accents.extend(entries.iter().map(|entry| {
            let [accent, base, result] = entry.map(char::from);
            Accent { accent, base, result }
        }));
    } else {
        let mut entries = vec![AbiAccent::default(); count];
        user::copy_from(entries.as_mut_bytes(), place)?;
        for entry in &entries {
            let character = |code| char::from_u32(code).ok_or(Errno::EINVAL);
            let (accent, base) = (character(entry.diacr)?, character(entry.base)?);
            accents.push(Accent { accent, base, result: character(entry.result)? });
        }
    }
    keyboard::with_map(&mut |map| {
        let new = core::mem::take(&mut accents);
        map.set_accents(new);
    });
    Ok(())
}

const _: () = assert!(KEYS == 256 && keymap::MAX_ACCENTS == console::MAX_DIACR as usize);
