//! File descriptors: the table of a process, shared by CLONE_FILES.
//!
//! A spin lock guards the slots. A file is never dropped under it: closing the last descriptor may write to a disk.

use super::file::File;
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::sync::SpinLock;

/// What happens to a descriptor at execve(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnExec {
    /// It stays.
    Keep,
    /// It is closed (FD_CLOEXEC).
    Close,
}

impl OnExec {
    /// As `O_CLOEXEC` in a set of flags says.
    pub(crate) fn from_open_flags(flags: super::file::OpenFlags) -> Self {
        if flags.contains(super::file::OpenFlags::O_CLOEXEC) { Self::Close } else { Self::Keep }
    }
}

#[derive(Clone)]
struct Slot {
    file: Arc<File>,
    on_exec: OnExec,
}

/// The descriptors of a process.
pub(crate) struct FdTable {
    /// Tells tables apart, as owners of record locks.
    id: u64,
    slots: SpinLock<Vec<Option<Slot>>>,
}

/// Makes sure of `length` slots; ENOMEM, since a program chooses the number.
fn grow(slots: &mut Vec<Option<Slot>>, length: usize) -> Result<()> {
    crate::fault_injection::slab(size_of::<Slot>())?;
    let more = length.saturating_sub(slots.len());
    slots.try_reserve(more).map_err(|_| Error::new(Errno::ENOMEM, "no memory for descriptors"))?;
    slots.resize_with(slots.len() + more, || None);
    Ok(())
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl FdTable {
    /// No descriptors.
    pub(crate) fn new() -> Arc<Self> {
        Self::with_slots(Vec::new())
    }

    fn with_slots(slots: Vec<Option<Slot>>) -> Arc<Self> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, slots: SpinLock::new("fd-table", slots) })
    }

    /// A copy for a forked process; ENOMEM.
    pub(crate) fn fork(&self) -> Result<Arc<Self>> {
        let mut copy = Vec::new();
        let slots = self.slots.lock();
        grow(&mut copy, slots.len())?;
        copy.clone_from_slice(&slots);
        drop(slots);
        Ok(Self::with_slots(copy))
    }

    /// Tells this table from others, as the owner of record locks.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The file of a descriptor, also one that was opened with O_PATH; EBADF.
    pub(crate) fn get_any(&self, fd: i32) -> Result<Arc<File>> {
        let slots = self.slots.lock();
        let slot = usize::try_from(fd).ok().and_then(|fd| slots.get(fd)?.as_ref());
        Ok(slot.ok_or(Errno::EBADF)?.file.clone())
    }

    /// The file of a descriptor whose contents can be used; EBADF.
    pub(crate) fn get(&self, fd: i32) -> Result<Arc<File>> {
        let file = self.get_any(fd)?;
        if file.is_path_only() {
            return Err(Error::new(Errno::EBADF, "opened with O_PATH"));
        }
        Ok(file)
    }

    /// Gives a file the lowest free descriptor not below `minimum`; EMFILE at `limit` (RLIMIT_NOFILE).
    pub(crate) fn install_from(
        &self,
        minimum: usize,
        file: Arc<File>,
        on_exec: OnExec,
        limit: u64,
    ) -> Result<i32> {
        let mut slots = self.slots.lock();
        let free = (minimum..slots.len()).find(|&fd| slots[fd].is_none());
        let fd = free.unwrap_or(slots.len().max(minimum));
        if fd as u64 >= limit {
            return Err(Errno::EMFILE.into());
        }
        let number = i32::try_from(fd).map_err(|_| Errno::EMFILE)?;
        grow(&mut slots, fd + 1)?;
        slots[fd] = Some(Slot { file, on_exec });
        Ok(number)
    }

    /// Gives a file the lowest free descriptor of the current process.
    pub(crate) fn install(&self, file: Arc<File>, on_exec: OnExec) -> Result<i32> {
        self.install_from(0, file, on_exec, descriptor_limit())
    }

    /// Gives a file the descriptor `fd`, closing what it was (dup2); EBADF if it is out of range.
    pub(crate) fn install_at(&self, fd: i32, file: Arc<File>, on_exec: OnExec) -> Result<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        if index as u64 >= descriptor_limit() {
            return Err(Errno::EBADF.into());
        }
        let previous = {
            let mut slots = self.slots.lock();
            grow(&mut slots, index + 1)?;
            slots[index].replace(Slot { file, on_exec })
        };
        if let Some(previous) = previous {
            self.finish_close(&previous.file);
        }
        Ok(())
    }

    /// Closes a descriptor; EBADF.
    pub(crate) fn close(&self, fd: i32) -> Result<()> {
        let closed = {
            let mut slots = self.slots.lock();
            usize::try_from(fd).ok().and_then(|fd| slots.get_mut(fd)?.take())
        };
        self.finish_close(&closed.ok_or(Errno::EBADF)?.file);
        Ok(())
    }

    /// What closing does besides giving the descriptor up.
    fn finish_close(&self, file: &Arc<File>) {
        file.operations().close_descriptor(file);
        if let Some(locks) = file.inode().state().locks.get() {
            // Any descriptor of a file that a process closes takes all of its record locks along (fcntl(2)).
            locks.release_process(self.id);
        }
    }

    /// Closes (or marks) all descriptors from `first` to `last` (close_range).
    pub(crate) fn close_range(&self, first: u32, last: u32) {
        let closed: Vec<Slot> = {
            let mut slots = self.slots.lock();
            let end = slots.len().min((last as usize).saturating_add(1));
            let start = (first as usize).min(end);
            slots[start..end].iter_mut().filter_map(Option::take).collect()
        };
        for slot in closed {
            self.finish_close(&slot.file);
        }
    }

    /// Marks all descriptors from `first` to `last` to be closed at execve(2).
    pub(crate) fn mark_range(&self, first: u32, last: u32) {
        let mut slots = self.slots.lock();
        let end = slots.len().min((last as usize).saturating_add(1));
        let start = (first as usize).min(end);
        for slot in slots[start..end].iter_mut().flatten() {
            slot.on_exec = OnExec::Close;
        }
    }

    /// Whether a descriptor is closed at execve(2).
    pub(crate) fn on_exec(&self, fd: i32) -> Result<OnExec> {
        let slots = self.slots.lock();
        let slot = usize::try_from(fd).ok().and_then(|fd| slots.get(fd)?.as_ref());
        Ok(slot.ok_or(Errno::EBADF)?.on_exec)
    }

    /// Sets whether a descriptor is closed at execve(2).
    pub(crate) fn set_on_exec(&self, fd: i32, on_exec: OnExec) -> Result<()> {
        let mut slots = self.slots.lock();
        let slot = usize::try_from(fd).ok().and_then(|fd| slots.get_mut(fd)?.as_mut());
        slot.ok_or(Errno::EBADF)?.on_exec = on_exec;
        Ok(())
    }

    /// execve(2): closes what is marked.
    pub(crate) fn close_for_exec(&self) {
        let closed: Vec<Slot> = {
            let mut slots = self.slots.lock();
            let marked =
                slots.iter_mut().filter(|slot| slot.as_ref().is_some_and(|s| s.on_exec == OnExec::Close));
            marked.filter_map(Option::take).collect()
        };
        for slot in closed {
            self.finish_close(&slot.file);
        }
    }

    /// How many slots and descriptors there are, in descriptors, and how many bytes wait in their files.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let slots = self.slots.lock();
        slots.iter().flatten().fold((slots.len() / 16, 0), |(count, bytes), slot| {
            (count + 1, bytes + slot.file.operations().memory())
        })
    }

    /// All descriptors in use, ascending.
    pub(crate) fn list(&self) -> Vec<(i32, Arc<File>)> {
        let slots = self.slots.lock();
        let used =
            slots.iter().enumerate().filter_map(|(fd, slot)| Some((fd as i32, slot.as_ref()?.file.clone())));
        used.collect()
    }

    /// The size of the table ("FDSize").
    pub(crate) fn size(&self) -> usize {
        self.slots.lock().len().next_multiple_of(64)
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        let slots = core::mem::take(self.slots.get_mut());
        for slot in slots.into_iter().flatten() {
            self.finish_close(&slot.file);
        }
    }
}

/// RLIMIT_NOFILE of the current process; the kernel has no limit.
pub(crate) fn descriptor_limit() -> u64 {
    let process = crate::process::try_current();
    process.map_or(i32::MAX as u64, |process| process.limits.current(abi::resource::RLIMIT_NOFILE))
}
