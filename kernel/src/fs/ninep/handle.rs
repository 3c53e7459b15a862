//! The fids by which one file is reached: one that is its path, and while it is in use one that is open to read and one
//! that is open to write. All who have the file open share them.

use super::client::{Client, Fid};
use crate::error::Result;
use abi::errno::Errno;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use machine::sync::SpinLock;

type Open = SpinLock<Option<Arc<Fid>>>;

/// What a file is reached by.
pub(super) struct Handle {
    client: Arc<Client>,
    is_directory: bool,
    path: SpinLock<Arc<Fid>>,
    reader: Open,
    writer: Open,
    /// Who has it open or mapped.
    users: AtomicUsize,
    /// The length of a file at the server, as was seen last.
    size: AtomicU64,
}

impl Handle {
    /// Of a file that was walked to.
    pub(super) fn new(client: Arc<Client>, path: Fid, is_directory: bool) -> Self {
        Self {
            client,
            is_directory,
            path: SpinLock::new("9p-path", Arc::new(path)),
            reader: SpinLock::new("9p-reader", None),
            writer: SpinLock::new("9p-writer", None),
            users: AtomicUsize::new(0),
            size: AtomicU64::new(0),
        }
    }

    /// The server.
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// How long the file is at the server, as was seen last.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// The server says so.
    pub(super) fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    /// The file was written up to there.
    pub(super) fn grow(&self, size: u64) {
        self.size.fetch_max(size, Ordering::Relaxed);
    }

    /// The fid that is not open.
    pub(super) fn path(&self) -> Arc<Fid> {
        self.path.lock().clone()
    }

    /// The file was walked to once more, maybe by another path: the old one may be no more.
    pub(super) fn set_path(&self, fid: Fid) {
        let new = Arc::new(fid);
        let old = core::mem::replace(&mut *self.path.lock(), new);
        drop(old);
    }

    /// The file was made, and is open to read and write since.
    pub(super) fn set_open(&self, fid: Fid) {
        let fid = Arc::new(fid);
        let old = (self.reader.lock().replace(fid.clone()), self.writer.lock().replace(fid));
        drop(old);
    }

    /// A fid to read by.
    pub(super) fn reader(&self) -> Result<Arc<Fid>> {
        let flags = if self.is_directory { p9::OPEN_READ | p9::OPEN_DIRECTORY } else { p9::OPEN_READ };
        self.open(&self.reader, flags)
    }

    /// A fid to write by.
    pub(super) fn writer(&self) -> Result<Arc<Fid>> {
        self.open(&self.writer, p9::OPEN_WRITE)
    }

    /// A fid that is open in whatever way.
    pub(super) fn any(&self) -> Result<Arc<Fid>> {
        if let Some(writer) = self.writer.lock().clone() {
            return Ok(writer);
        }
        match self.reader() {
            // A file that can only be written.
            Err(error) if error.errno == Errno::EACCES => self.writer(),
            outcome => outcome,
        }
    }

    fn open(&self, slot: &Open, flags: u32) -> Result<Arc<Fid>> {
        if let Some(known) = slot.lock().clone() {
            return Ok(known);
        }
        let fid = self.client.another(&self.path())?;
        self.client.open(&fid, flags)?;
        let fid = Arc::new(fid);
        // Another one may have been faster, whose fid is as good.
        Ok(slot.lock().get_or_insert(fid).clone())
    }

    /// Somebody opens or maps it.
    pub(super) fn add_user(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// He is done; `true`: he was the last one.
    pub(super) fn remove_user(&self) -> bool {
        self.users.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Closes the file at the server if nobody uses it.
    pub(super) fn close(&self) {
        if self.users.load(Ordering::Acquire) == 0 {
            let open = (self.reader.lock().take(), self.writer.lock().take());
            drop(open);
        }
    }
}
