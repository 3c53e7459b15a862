//! Pointers that programs pass: claims by a program, not references.
//!
//! A [`UserPtr`] or [`UserSlice`] says where a program says that something is. Nothing is checked until it is
//! read or written, and then only by copying: `read` may give another value each time. All of them
//! work on the address space of the current process, and fail with EFAULT.

use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::vec::Vec;
use core::marker::PhantomData;
use machine::mm::{OutOfMemory, user};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Longest path that a program may give, with its NUL.
const PATH_MAX: usize = 4096;

const FAULT: Error = Error::new(Errno::EFAULT, "bad user address");

/// Where a program says that a `T` is.
#[derive(Debug)]
pub(crate) struct UserPtr<T> {
    address: u64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserPtr<T> {}

impl<T> UserPtr<T> {
    /// A claim; any number will do.
    pub(crate) const fn new(address: u64) -> Self {
        Self { address, kind: PhantomData }
    }

    /// A claim, or `None` for NULL.
    pub(crate) fn nullable(address: u64) -> Option<Self> {
        (address != 0).then_some(Self::new(address))
    }

    /// The number.
    pub(crate) fn address(self) -> u64 {
        self.address
    }
}

impl<T: FromBytes + IntoBytes> UserPtr<T> {
    /// What is there now.
    pub(crate) fn read(self) -> Result<T> {
        let mut value = T::new_zeroed();
        user::copy_from(value.as_mut_bytes(), self.address)?;
        Ok(value)
    }
}

impl<T: IntoBytes + Immutable> UserPtr<T> {
    /// Puts a value there.
    pub(crate) fn write(self, value: &T) -> Result<()> {
        Ok(user::copy_to(self.address, value.as_bytes())?)
    }
}

/// Where a program says that `length` `T`s are.
#[derive(Debug)]
pub(crate) struct UserSlice<T> {
    start: UserPtr<T>,
    length: usize,
}

impl<T> Clone for UserSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for UserSlice<T> {}

impl<T> UserSlice<T> {
    /// A claim; any numbers will do.
    pub(crate) const fn new(address: u64, length: usize) -> Self {
        Self { start: UserPtr::new(address), length }
    }
}

impl<T: FromBytes + IntoBytes> UserSlice<T> {
    /// Copies as many elements as `buffer` holds; it must not hold more than there are.
    pub(crate) fn read_into(self, buffer: &mut [T]) -> Result<()> {
        if buffer.len() > self.length {
            return Err(FAULT);
        }
        Ok(user::copy_from(buffer.as_mut_bytes(), self.start.address)?)
    }

    /// Copies all elements. The caller has checked the length against what it allows.
    pub(crate) fn read_vec(self) -> Result<Vec<T>> {
        let mut elements = Vec::new();
        crate::fault_injection::slab(self.length)?;
        elements.try_reserve_exact(self.length).map_err(|_| OutOfMemory)?;
        elements.resize_with(self.length, T::new_zeroed);
        self.read_into(&mut elements)?;
        Ok(elements)
    }
}

impl<T: IntoBytes + Immutable> UserSlice<T> {
    /// Puts elements there, from the first on; no more than there is room for.
    pub(crate) fn write(self, elements: &[T]) -> Result<()> {
        if elements.len() > self.length {
            return Err(FAULT);
        }
        Ok(user::copy_to(self.start.address, elements.as_bytes())?)
    }
}

/// Reads a string of at most `limit` bytes with its NUL, which is not part of the result. `None`: it is longer.
pub(crate) fn read_string(address: u64, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut string = Vec::new();
    let mut room = 64.min(limit);
    loop {
        let start = string.len();
        crate::fault_injection::slab(room)?;
        string.try_reserve(room).map_err(|_| OutOfMemory)?;
        string.resize(start + room, 0);
        let position = address.checked_add(start as u64).ok_or(FAULT)?;
        let length = user::copy_string_from(&mut string[start..], position)?;
        string.truncate(start + length);
        if length < room {
            return Ok(Some(string));
        }
        room = (3 * string.len()).min(limit - string.len());
        if room == 0 {
            return Ok(None);
        }
    }
}

/// Reads a path. ENAMETOOLONG if it is longer than Linux's limit.
pub(crate) fn read_path(address: u64) -> Result<Vec<u8>> {
    read_string(address, PATH_MAX)?.ok_or(Error::new(Errno::ENAMETOOLONG, "path of more than 4095 bytes"))
}
