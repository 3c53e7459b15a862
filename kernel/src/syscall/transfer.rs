//! Moving data: read, write and their relatives with offsets and vectors, sendfile, copy_file_range.

use super::Call;
use crate::{
    error::{Error, Result},
    fs::{
        file::{File, OpenFlags},
        inode::FileKind,
        io::{Destination, MAXIMUM_TRANSFER, Segment, Source},
    },
    mm::{
        self,
        user::{UserPtr, UserSlice},
    },
    sched,
};
use abi::{
    errno::Errno,
    iovec::{IOV_MAX, Iovec, RwFlags},
};
use alloc::{sync::Arc, vec::Vec};
use machine::addr::USER_END;

/// Bytes that go through the kernel at a time when a file is copied to another.
const CHUNK_BYTES: usize = 64 * 1024;

fn file(call: &Call<'_>, index: usize) -> Result<Arc<File>> {
    call.process().files().get(call.fd(index))
}

/// A stretch of memory that a program names; EFAULT at once if it cannot be a program's.
pub(super) fn check_range(address: u64, length: usize) -> Result<()> {
    match address.checked_add(length as u64) {
        Some(end) if end <= USER_END => Ok(()),
        _ => Err(Error::new(Errno::EFAULT, "beyond user memory")),
    }
}

/// An offset argument, which must not be negative.
fn offset(call: &Call<'_>, index: usize) -> Result<u64> {
    Ok(u64::try_from(call.long(index)).map_err(|_| Errno::EINVAL)?)
}

/// read(fd, buffer, length)
pub(super) fn read(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call, 0)?;
    file.check_readable()?;
    check_range(call.arg(1), call.size(2))?;
    Ok(file.read(&mut Destination::user(call.arg(1), call.size(2)))? as u64)
}

/// write(fd, buffer, length)
pub(super) fn write(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call, 0)?;
    file.check_writable()?;
    check_range(call.arg(1), call.size(2))?;
    Ok(file.write(&mut Source::user(call.arg(1), call.size(2)))? as u64)
}

/// pread64(fd, buffer, length, offset)
pub(super) fn pread64(call: &mut Call<'_>) -> Result<u64> {
    let at = offset(call, 3)?;
    let file = file(call, 0)?;
    check_range(call.arg(1), call.size(2))?;
    Ok(file.read_at(at, &mut Destination::user(call.arg(1), call.size(2)))? as u64)
}

/// pwrite64(fd, buffer, length, offset)
pub(super) fn pwrite64(call: &mut Call<'_>) -> Result<u64> {
    let at = offset(call, 3)?;
    let file = file(call, 0)?;
    check_range(call.arg(1), call.size(2))?;
    Ok(file.write_at(at, &mut Source::user(call.arg(1), call.size(2)))? as u64)
}

/// The segments of a vector; EINVAL if there are too many or their lengths do not fit.
pub(super) fn segments(address: u64, count: usize) -> Result<Vec<Segment>> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL.into());
    }
    let vector = UserSlice::<Iovec>::new(address, count).read_vec()?;
    let mut total: u64 = 0;
    let mut segments = Vec::with_capacity(count);
    for part in vector {
        total = total.checked_add(part.len).filter(|&total| total <= i64::MAX as u64).ok_or(Errno::EINVAL)?;
        let length = usize::try_from(part.len).map_err(|_| Errno::EINVAL)?;
        check_range(part.base, length)?;
        segments.push(Segment { address: part.base, length });
    }
    Ok(segments)
}

/// readv(fd, vector, count)
pub(super) fn readv(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call, 0)?;
    file.check_readable()?;
    let segments = segments(call.arg(1), call.size(2))?;
    Ok(file.read(&mut Destination::user_vector(&segments))? as u64)
}

/// writev(fd, vector, count)
pub(super) fn writev(call: &mut Call<'_>) -> Result<u64> {
    let file = file(call, 0)?;
    file.check_writable()?;
    let segments = segments(call.arg(1), call.size(2))?;
    Ok(file.write(&mut Source::user_vector(&segments))? as u64)
}

/// preadv(fd, vector, count, offset, _)
pub(super) fn preadv(call: &mut Call<'_>) -> Result<u64> {
    let at = offset(call, 3)?;
    let file = file(call, 0)?;
    let segments = segments(call.arg(1), call.size(2))?;
    Ok(file.read_at(at, &mut Destination::user_vector(&segments))? as u64)
}

/// pwritev(fd, vector, count, offset, _)
pub(super) fn pwritev(call: &mut Call<'_>) -> Result<u64> {
    let at = offset(call, 3)?;
    let file = file(call, 0)?;
    let segments = segments(call.arg(1), call.size(2))?;
    Ok(file.write_at(at, &mut Source::user_vector(&segments))? as u64)
}

/// preadv2(fd, vector, count, offset, _, flags): an offset of -1 is the position.
pub(super) fn preadv2(call: &mut Call<'_>) -> Result<u64> {
    let flags = RwFlags::from_bits(call.uint(5)).ok_or(Errno::EOPNOTSUPP)?;
    if flags.contains(RwFlags::RWF_NOWAIT) {
        return Err(Error::new(Errno::EOPNOTSUPP, "a read may always wait"));
    }
    if call.long(3) != -1 {
        return preadv(call);
    }
    readv(call)
}

/// pwritev2(fd, vector, count, offset, _, flags)
pub(super) fn pwritev2(call: &mut Call<'_>) -> Result<u64> {
    use crate::fs::inode::SyncScope;
    let flags = RwFlags::from_bits(call.uint(5)).ok_or(Errno::EOPNOTSUPP)?;
    if flags.intersects(RwFlags::RWF_NOWAIT | RwFlags::RWF_APPEND) {
        return Err(Error::new(Errno::EOPNOTSUPP, "a write may always wait"));
    }
    let done = if call.long(3) == -1 { writev(call)? } else { pwritev(call)? };
    if flags.intersects(RwFlags::RWF_DSYNC | RwFlags::RWF_SYNC) {
        let scope = if flags.contains(RwFlags::RWF_SYNC) { SyncScope::All } else { SyncScope::Data };
        let file = file(call, 0)?;
        file.operations().sync(&file, scope)?;
    }
    Ok(done)
}

/// Where a copy reads or writes: at an offset that a program keeps, or at the file's position.
enum Position {
    Given(u64),
    OfFile,
}

impl Position {
    fn read(address: Option<u64>) -> Result<Self> {
        let Some(address) = address else { return Ok(Self::OfFile) };
        let offset = UserPtr::<i64>::new(address).read()?;
        Ok(Self::Given(u64::try_from(offset).map_err(|_| Errno::EINVAL)?))
    }

    fn write_back(&self, address: Option<u64>) -> Result<()> {
        match (self, address) {
            (Self::Given(offset), Some(address)) => UserPtr::<i64>::new(address).write(&(*offset as i64)),
            _ => Ok(()),
        }
    }

    fn take(&mut self, file: &File, buffer: &mut [u8]) -> Result<usize> {
        let mut to = Destination::kernel(buffer);
        match self {
            Self::OfFile => file.read(&mut to),
            Self::Given(offset) => {
                let done = file.read_at(*offset, &mut to)?;
                *offset += done as u64;
                Ok(done)
            }
        }
    }

    /// Goes back by what was read and could not be written.
    fn give_back(&mut self, file: &File, bytes: usize) {
        match self {
            Self::OfFile if file.check_positional().is_ok() => {
                let mut offset = file.offset();
                *offset = offset.saturating_sub(bytes as u64);
            }
            Self::OfFile => {}
            Self::Given(offset) => *offset -= bytes as u64,
        }
    }

    fn put(&mut self, file: &File, bytes: &[u8]) -> Result<usize> {
        let mut from = Source::kernel(bytes);
        match self {
            Self::OfFile => file.write(&mut from),
            Self::Given(offset) => {
                let done = file.write_at(*offset, &mut from)?;
                *offset += done as u64;
                Ok(done)
            }
        }
    }
}

/// Copies up to `length` bytes; stops early where reading or writing does.
fn copy(from: (&File, &mut Position), to: (&File, &mut Position), length: usize) -> Result<usize> {
    let mut buffer = alloc::vec![0u8; CHUNK_BYTES.min(length)];
    let mut done = 0;
    while done < length {
        // A call can move more than memory holds, and last long.
        mm::balance();
        if done > 0 && sched::current().is_killed() {
            break;
        }
        let wanted = buffer.len().min(length - done);
        let taken = match from.1.take(from.0, &mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(taken) => taken,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        };
        match to.1.put(to.0, &buffer[..taken]) {
            Ok(put) => {
                done += put;
                if put < taken {
                    from.1.give_back(from.0, taken - put);
                    break;
                }
            }
            Err(error) => {
                from.1.give_back(from.0, taken);
                if done > 0 {
                    break;
                }
                return Err(error);
            }
        }
    }
    Ok(done)
}

/// sendfile(out, in, offset, count)
pub(super) fn sendfile(call: &mut Call<'_>) -> Result<u64> {
    let (output, input) = (file(call, 0)?, file(call, 1)?);
    input.check_readable()?;
    output.check_writable()?;
    if output.is_appending() || !matches!(input.inode().kind(), FileKind::Regular | FileKind::Block) {
        return Err(Errno::EINVAL.into());
    }
    let address = call.address(2);
    let mut position = Position::read(address)?;
    let length = call.size(3).min(MAXIMUM_TRANSFER);
    let done = copy((&input, &mut position), (&output, &mut Position::OfFile), length)?;
    position.write_back(address)?;
    Ok(done as u64)
}

/// copy_file_range(in, offset_in, out, offset_out, length, flags)
pub(super) fn copy_file_range(call: &mut Call<'_>) -> Result<u64> {
    let (input, output) = (file(call, 0)?, file(call, 2)?);
    if call.uint(5) != 0 {
        return Err(Errno::EINVAL.into());
    }
    for file in [&input, &output] {
        match file.inode().kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    input.check_readable()?;
    output.check_writable()?;
    if output.flags().contains(OpenFlags::O_APPEND) {
        return Err(Errno::EBADF.into());
    }
    let (address_in, address_out) = (call.address(1), call.address(3));
    let (mut from, mut to) = (Position::read(address_in)?, Position::read(address_out)?);
    let length = call.size(4).min(MAXIMUM_TRANSFER);
    if input.inode().is_same(output.inode()) {
        let start = |position: &Position, file: &File| match position {
            Position::Given(offset) => *offset,
            Position::OfFile => *file.offset(),
        };
        let (source, target) = (start(&from, &input), start(&to, &output));
        if source.abs_diff(target) < length as u64 {
            return Err(Error::new(Errno::EINVAL, "the ranges overlap"));
        }
    }
    let done = copy((&input, &mut from), (&output, &mut to), length)?;
    from.write_back(address_in)?;
    to.write_back(address_out)?;
    Ok(done as u64)
}
