//! Directory entries as `getdents64` and `getdents` write them. Source: getdents(2).
//!
//! `linux_dirent64`: ino u64, off i64, reclen u16, type u8, name with NUL, padded to 8 bytes. `linux_dirent` (old): ino
//! u64, off u64, reclen u16, name with NUL, padding, and the type in the record's last byte.

constants! { u8, like libc;
    DT_UNKNOWN = 0, "Not known: the program calls `stat`.";
    DT_FIFO = 1, "A named pipe.";
    DT_CHR = 2, "A character device.";
    DT_DIR = 4, "A directory.";
    DT_BLK = 6, "A block device.";
    DT_REG = 8, "A regular file.";
    DT_LNK = 10, "A symbolic link.";
    DT_SOCK = 12, "A socket.";
}

/// The entry type for a mode: the type bits of `st_mode`, shifted.
pub const fn type_of_mode(mode: u32) -> u8 {
    ((mode & crate::stat::S_IFMT) >> 12) as u8
}

/// Which of the two records to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirentFormat {
    /// `getdents64`.
    Dirent64,
    /// `getdents`.
    Old,
}

/// There is no room for the entry; if the buffer is still empty the call fails with EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Writes entries one after the other into a buffer.
#[derive(Debug)]
pub struct DirentWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
    format: DirentFormat,
}

impl<'a> DirentWriter<'a> {
    /// A writer at the start of the buffer.
    pub const fn new(buffer: &'a mut [u8], format: DirentFormat) -> DirentWriter<'a> {
        DirentWriter { buffer, len: 0, format }
    }

    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that an entry with a name of this length takes, in either format.
    pub const fn record_len(name_len: usize) -> usize {
        // Dirent64: 19 bytes before the name, 1 after. Old: 18 before, 2 after. Both: 20 in all.
        (20 + name_len).next_multiple_of(8)
    }

    /// Writes an entry; `next` is the position from which reading goes on after it, `kind` one of `DT_*`.
    #[inline]
    pub fn push(&mut self, ino: u64, next: i64, kind: u8, name: &[u8]) -> Result<(), Full> {
        let record_len = Self::record_len(name.len());
        let reclen = u16::try_from(record_len).map_err(|_| Full)?;
        let end = self.len.checked_add(record_len).ok_or(Full)?;
        let record = self.buffer.get_mut(self.len..end).ok_or(Full)?;
        // What is written below leaves at most nine bytes at the end.
        *record.last_chunk_mut::<16>().ok_or(Full)? = [0; 16];
        record[0..8].copy_from_slice(&ino.to_le_bytes());
        record[8..16].copy_from_slice(&next.to_le_bytes());
        record[16..18].copy_from_slice(&reclen.to_le_bytes());
        let name_at = match self.format {
            DirentFormat::Dirent64 => {
                record[18] = kind;
                19
            }
            DirentFormat::Old => {
                record[record_len - 1] = kind;
                18
            }
        };
        record[name_at..name_at + name.len()].copy_from_slice(name);
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_layout_that_the_c_library_reads() {
        let mut buffer = [0xff; 64];
        let mut writer = DirentWriter::new(&mut buffer, DirentFormat::Dirent64);
        writer.push(7, 1, DT_DIR, b".").unwrap();
        writer.push(9, 2, DT_REG, b"hello").unwrap();
        assert_eq!(writer.push(9, 3, DT_REG, b"a long name"), Err(Full));
        assert_eq!(writer.len(), 24 + 32);
        assert_eq!(buffer[16..20], [24, 0, DT_DIR, b'.']);
        assert_eq!(buffer[24 + 16..24 + 25], *b"\x20\0\x08hello\0");
        assert_eq!(core::mem::offset_of!(libc::dirent64, d_name), 19);
    }

    #[test]
    fn old_entries_end_with_the_type() {
        let mut buffer = [0xff; 32];
        let mut writer = DirentWriter::new(&mut buffer, DirentFormat::Old);
        writer.push(7, 1, DT_LNK, b"ab").unwrap();
        assert_eq!(buffer[16..24], [24, 0, b'a', b'b', 0, 0, 0, DT_LNK]);
    }

    #[test]
    fn types_follow_from_modes() {
        assert_eq!(type_of_mode(0o100644), DT_REG);
        assert_eq!(type_of_mode(0o040755), DT_DIR);
        assert_eq!(type_of_mode(0o120777), DT_LNK);
    }
}
