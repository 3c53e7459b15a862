//! Seals: what may no longer be done to a file in memory (memfd_create(2), fcntl F_ADD_SEALS).
//!
//! A seal against stores cannot be set while somebody maps the file shared and may store. To make that safe without a
//! lock over both, a mapping is made first and the seals are looked at afterwards, and a seal is set first and
//! mappings are looked for afterwards: one of the two notices the other and takes its own step back.

use crate::{
    error::{Error, Result},
    mm,
};
use abi::{
    errno::Errno,
    fcntl::{F_SEAL_EXEC, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE},
};
use core::sync::atomic::{AtomicU32, Ordering};

const ALL: u32 = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
const AGAINST_STORES: u32 = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

/// The seals of a file.
pub(crate) struct Seals(AtomicU32);

fn sealed(why: &'static str) -> Error {
    Error::new(Errno::EPERM, why)
}

impl Seals {
    /// Those of a file for which nobody asked for any: there will be none.
    pub(crate) const fn closed() -> Self {
        Self(AtomicU32::new(F_SEAL_SEAL))
    }

    /// Allows seals to be added, and begins with some.
    pub(crate) fn open(&self, seals: u32) {
        self.0.store(seals, Ordering::SeqCst);
    }

    /// The seals as fcntl tells them.
    pub(crate) fn bits(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    fn has(&self, seals: u32) -> bool {
        self.bits() & seals != 0
    }

    /// Adds seals to the file whose pages have this identity and which has this mode.
    ///
    /// # Errors
    /// EINVAL: an unknown seal. EPERM: no more seals may be added. EBUSY: somebody maps it and may store.
    pub(crate) fn add(&self, seals: u32, identity: usize, mode: u32) -> Result<()> {
        if seals & !ALL != 0 {
            return Err(Error::new(Errno::EINVAL, "unknown seals"));
        }
        // A program that can no longer become executable or cease to be so can no longer be written either.
        let is_program = seals & F_SEAL_EXEC != 0 && mode & 0o111 != 0;
        let wanted = if is_program {
            seals | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE
        } else {
            seals
        };
        let add = |now: u32| (now & F_SEAL_SEAL == 0).then_some(now | wanted);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        let before = before.map_err(|_| sealed("no more seals may be added"))?;
        if wanted & !before & F_SEAL_WRITE != 0 && mm::has_writer(identity) {
            self.0.fetch_and(!(wanted & !before), Ordering::SeqCst);
            return Err(Error::new(Errno::EBUSY, "the file is mapped for stores"));
        }
        Ok(())
    }

    /// For write: EPERM if stores up to `end` are sealed, in a file of `size` bytes.
    pub(crate) fn check_write(&self, end: u64, size: u64) -> Result<()> {
        self.check_store()?;
        if end > size && self.has(F_SEAL_GROW) {
            return Err(sealed("sealed against growth"));
        }
        Ok(())
    }

    /// EPERM if stores are sealed.
    pub(crate) fn check_store(&self) -> Result<()> {
        if self.has(AGAINST_STORES) { Err(sealed("sealed against stores")) } else { Ok(()) }
    }

    /// For truncate: EPERM if a change from `old` to `new` bytes is sealed.
    pub(crate) fn check_resize(&self, old: u64, new: u64) -> Result<()> {
        match () {
            () if new < old && self.has(F_SEAL_SHRINK) => Err(sealed("sealed against shrinking")),
            () if new > old && self.has(F_SEAL_GROW) => Err(sealed("sealed against growth")),
            () => Ok(()),
        }
    }

    /// For chmod: EPERM if a change of the permission to execute is sealed.
    pub(crate) fn check_mode(&self, old: u32, new: u32) -> Result<()> {
        if (old ^ new) & 0o111 != 0 && self.has(F_SEAL_EXEC) {
            return Err(sealed("sealed against a change of the permission to execute"));
        }
        Ok(())
    }
}
