//! What a file system needs of a disk.

/// A disk as a range of bytes, as a rule with a write-back cache in front.
///
/// Offsets and lengths are arbitrary; file data comes in runs of whole blocks wherever the file allows it. Reads
/// see all earlier writes. The file system never asks for bytes past [`BlockIo::size_bytes`].
pub trait BlockIo: Send + Sync + 'static {
    /// Fills `buffer` with the bytes at `offset`.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError>;

    /// Stores `data` at `offset`; it may stay in a cache until [`BlockIo::flush`].
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), IoError>;

    /// Returns when all earlier writes are on stable storage.
    fn flush(&self) -> Result<(), IoError>;

    /// The size of the disk.
    fn size_bytes(&self) -> u64;

    /// Like [`BlockIo::read`], for the contents of regular files: a cache may let these pass by.
    fn read_data(&self, offset: u64, buffer: &mut [u8]) -> Result<(), IoError> {
        self.read(offset, buffer)
    }

    /// Like [`BlockIo::write`], for the contents of regular files.
    fn write_data(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.write(offset, data)
    }

    /// Fills a range of contents of regular files with zeros.
    fn zero_data(&self, offset: u64, length: u64) -> Result<(), IoError> {
        static ZEROS: [u8; 4096] = [0; 4096];
        let mut done = 0;
        while done < length {
            let part = (length - done).min(ZEROS.len() as u64);
            self.write_data(offset + done, &ZEROS[..part as usize])?;
            done += part;
        }
        Ok(())
    }

    /// These bytes mean nothing any more: a cache drops its copies without writing them, so that they
    /// cannot overwrite what the blocks are used for next.
    fn forget(&self, _offset: u64, _length: u64) {}

    /// What transfers of the calling thread do when there is no memory for them: [`Patience::Never`] at first.
    fn patience(&self) -> Patience {
        Patience::Never
    }

    /// Sets that for the calling thread.
    fn set_patience(&self, _patience: Patience) {}
}

/// Whether a transfer waits for memory, again and again, or fails with [`IoError::OutOfMemory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It fails.
    Never,
    /// It fails, until a change was made that cannot be left unfinished.
    OnceChanged,
    /// It waits.
    Always,
}

/// A transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The device reports an error.
    Device,
    /// The range does not lie on the device.
    OutOfRange,
    /// No memory for the transfer.
    OutOfMemory,
}
