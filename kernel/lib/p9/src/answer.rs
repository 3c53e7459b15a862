//! Answers. Each function reads the body of one type, what stands behind the header.

use crate::{Error, NAME_MAX, TARGET_MAX, wire::Reader};
use alloc::vec::Vec;

/// What a file is to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Qid {
    /// Its type: 0x80 directory, 0x02 symbolic link, 0 anything else.
    pub kind: u8,
    /// Changes when the contents do.
    pub version: u32,
    /// Its number.
    pub path: u64,
}

impl Qid {
    const DIRECTORY: u8 = 0x80;

    fn read(from: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { kind: from.u8()?, version: from.u32()?, path: from.u64()? })
    }

    /// A directory?
    pub fn is_directory(&self) -> bool {
        self.kind & Self::DIRECTORY != 0
    }
}

/// The answer to [`Request::Version`](crate::Request::Version).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The longest message that the server takes and sends.
    pub message_size: u32,
    /// Whether it speaks the protocol.
    pub is_known: bool,
}

/// The answer to a request to begin a session.
pub fn version(body: &[u8]) -> Result<Version, Error> {
    let mut from = Reader::new(body);
    let message_size = from.u32()?;
    let is_known = from.string()? == crate::VERSION;
    from.end()?;
    Ok(Version { message_size, is_known })
}

/// An answer that is one qid: to attaching, and to making links, directories and special files.
pub fn qid(body: &[u8]) -> Result<Qid, Error> {
    let mut from = Reader::new(body);
    let qid = Qid::read(&mut from)?;
    from.end()?;
    Ok(qid)
}

/// The answer to opening or creating: the file, and the most bytes for one read or write (0: what a message holds).
pub fn opened(body: &[u8]) -> Result<(Qid, u32), Error> {
    let mut from = Reader::new(body);
    let answer = (Qid::read(&mut from)?, from.u32()?);
    from.end()?;
    Ok(answer)
}

/// The answer to walking `names` names: how many were found, and what the last of them is. The new fid is there only if all
/// were found.
pub fn walked(body: &[u8], names: usize) -> Result<(usize, Option<Qid>), Error> {
    let mut from = Reader::new(body);
    let found = usize::from(from.u16()?);
    if found > names {
        return Err(Error::Broken("more was found than was looked for"));
    }
    let mut last = None;
    for _ in 0..found {
        last = Some(Qid::read(&mut from)?);
    }
    from.end()?;
    Ok((found, last))
}

/// What stat(2) tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub qid: Qid,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Number of names.
    pub links: u64,
    /// What a device file stands for, as the host's `st_rdev`.
    pub special: u64,
    /// Length in bytes, at most `i64::MAX`.
    pub size: u64,
    /// The unit in which reading is best.
    pub block_size: u64,
    /// Space that it takes, in units of 512 bytes.
    pub blocks: u64,
    /// Times of the last read, change of the contents, change of the inode: seconds since 1970 and nanoseconds below a
    /// billion.
    pub accessed: (i64, u32),
    /// See [`accessed`](Self::accessed).
    pub modified: (i64, u32),
    /// See [`accessed`](Self::accessed).
    pub changed: (i64, u32),
}

/// The answer to asking for attributes. All of [`ATTRIBUTES_BASIC`](crate::ATTRIBUTES_BASIC) must be there.
pub fn attributes(body: &[u8]) -> Result<Attributes, Error> {
    let mut from = Reader::new(body);
    let valid = from.u64()?;
    if valid & crate::ATTRIBUTES_BASIC != crate::ATTRIBUTES_BASIC {
        return Err(Error::Broken("attributes that were asked for are not there"));
    }
    let mut answer = Attributes {
        qid: Qid::read(&mut from)?,
        mode: from.u32()?,
        user: from.u32()?,
        group: from.u32()?,
        links: from.u64()?,
        special: from.u64()?,
        size: from.u64()?,
        block_size: from.u64()?,
        blocks: from.u64()?,
        ..Attributes::default()
    };
    for time in [&mut answer.accessed, &mut answer.modified, &mut answer.changed] {
        let (seconds, nanoseconds) = (from.u64()?, from.u64()?);
        *time = (seconds as i64, nanoseconds.min(999_999_999) as u32);
    }
    // Time of creation, generation, version of the data: not asked for.
    from.take(4 * 8)?;
    from.end()?;
    if i64::try_from(answer.size).is_err() {
        return Err(Error::Broken("a file that is too long to be one"));
    }
    Ok(answer)
}

/// The target of a symbolic link: not empty, without NUL, at most [`TARGET_MAX`] bytes.
pub fn link_target(body: &[u8]) -> Result<&[u8], Error> {
    let mut from = Reader::new(body);
    let target = from.string()?;
    from.end()?;
    if target.is_empty() || target.len() > TARGET_MAX || target.contains(&0) {
        return Err(Error::Broken("a symbolic link to what is no path"));
    }
    Ok(target)
}

/// An answer that is a number of bytes, `most` at most: what was read (before the data) or written.
pub fn count(body: &[u8], most: usize) -> Result<usize, Error> {
    let mut from = Reader::new(body);
    let count = from.u32()?;
    from.end()?;
    usize::try_from(count)
        .ok()
        .filter(|&count| count <= most)
        .ok_or(Error::Broken("more was read or written than was asked for"))
}

/// The size of an extended attribute, or of all their names.
pub fn size(body: &[u8]) -> Result<u64, Error> {
    let mut from = Reader::new(body);
    let size = from.u64()?;
    from.end()?;
    Ok(size)
}

/// An answer that says nothing but that it was done.
pub fn nothing(body: &[u8]) -> Result<(), Error> {
    Reader::new(body).end()
}

/// Why a request failed: a number of Linux's.
pub fn failure(body: &[u8]) -> Result<i32, Error> {
    let mut from = Reader::new(body);
    let number = from.u32()?;
    from.end()?;
    i32::try_from(number).ok().filter(|&number| number > 0).ok_or(Error::Broken("a failure without a reason"))
}

/// Figures of a file system, as statfs(2) has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The unit of the numbers of blocks, in bytes.
    pub block_size: u32,
    /// All blocks, free ones, and those of them that everybody may use.
    pub blocks: u64,
    /// See [`blocks`](Self::blocks).
    pub blocks_free: u64,
    /// See [`blocks`](Self::blocks).
    pub blocks_available: u64,
    /// Inodes, and free ones.
    pub files: u64,
    /// See [`files`](Self::files).
    pub files_free: u64,
    /// A number of the file system.
    pub id: u64,
    /// The longest name.
    pub name_length: u32,
}

/// The answer to asking for figures.
pub fn space(body: &[u8]) -> Result<Space, Error> {
    let mut from = Reader::new(body);
    from.u32()?;
    let answer = Space {
        block_size: from.u32()?,
        blocks: from.u64()?,
        blocks_free: from.u64()?,
        blocks_available: from.u64()?,
        files: from.u64()?,
        files_free: from.u64()?,
        id: from.u64()?,
        name_length: from.u32()?,
    };
    from.end()?;
    Ok(answer)
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The name: not empty, at most [`NAME_MAX`] bytes, without a slash and without NUL.
    pub name: &'a [u8],
    /// What it stands for.
    pub qid: Qid,
    /// `d_type` of getdents64(2).
    pub kind: u8,
    /// Where the listing goes on behind it.
    pub next: u64,
}

/// The names of one answer to [`Request::ReadDirectory`](crate::Request::ReadDirectory), "." and ".." included.
pub struct Entries<'a> {
    from: Reader<'a>,
}

impl<'a> Entries<'a> {
    /// From the body of an answer, of which `most` bytes were asked for.
    pub fn new(body: &'a [u8], most: usize) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        let length = usize::try_from(from.u32()?).unwrap_or(usize::MAX);
        if length > most {
            return Err(Error::Broken("more names than were asked for"));
        }
        let entries = from.take(length)?;
        from.end()?;
        Ok(Self { from: Reader::new(entries) })
    }

    /// The next name; `None` behind the last one. (No `Iterator`, since an error ends the listing.)
    pub fn take(&mut self) -> Result<Option<DirectoryEntry<'a>>, Error> {
        if self.from.is_empty() {
            return Ok(None);
        }
        let (qid, next, kind) = (Qid::read(&mut self.from)?, self.from.u64()?, self.from.u8()?);
        let name = self.from.string()?;
        let is_name =
            (1..=NAME_MAX).contains(&name.len()) && !name.iter().any(|&byte| byte == b'/' || byte == 0);
        if !is_name {
            return Err(Error::Broken("a name that is none"));
        }
        Ok(Some(DirectoryEntry { name, qid, kind, next }))
    }

    /// All of them.
    pub fn all(mut self) -> Result<Vec<DirectoryEntry<'a>>, Error> {
        let mut entries = Vec::new();
        while let Some(entry) = self.take()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}
