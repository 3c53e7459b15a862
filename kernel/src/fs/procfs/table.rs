//! Directories that are tables: each row a name and a function that makes the file's contents.

use crate::{
    error::Result,
    fs::{
        file::FileOperations,
        inode::{FileKind, Link},
        synthetic::{Content, Directory, Item, SymbolicLink, Text},
    },
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};

/// What a directory is about: the system (`()`), a process, a thread.
pub(super) trait Subject: Clone + Send + Sync + 'static {
    /// Whether it is still there.
    fn is_valid(&self) -> bool {
        true
    }

    /// Who owns its files.
    fn owner(&self) -> (u32, u32) {
        (0, 0)
    }
}

impl Subject for () {}

/// A file, link or directory.
pub(super) struct Row<S: 'static> {
    /// Its name.
    pub(super) name: &'static str,
    /// Permission bits.
    pub(super) mode: u32,
    /// What it is.
    pub(super) kind: RowKind<S>,
}

/// What a row stands for.
pub(super) enum RowKind<S: 'static> {
    /// A text that is made when it is read.
    Text(fn(&S) -> Result<Vec<u8>>),
    /// A text that can be written too.
    Setting(fn(&S) -> Result<Vec<u8>>, fn(&S, &[u8]) -> Result<()>),
    /// A file with operations of its own.
    File(fn(&S) -> Arc<dyn FileOperations>),
    /// A link to a path.
    Link(fn(&S) -> Result<Vec<u8>>),
    /// A link straight to an object: its text, and where it leads.
    Jump(fn(&S) -> Result<Vec<u8>>, fn(&S) -> Result<Link>),
    /// A directory of rows.
    Rows(&'static [Row<S>]),
    /// A directory of another kind.
    Directory(fn(&S) -> Arc<dyn Directory>),
}

/// A row with a text that all may read.
pub(super) const fn text<S>(name: &'static str, show: fn(&S) -> Result<Vec<u8>>) -> Row<S> {
    Row { name, mode: 0o444, kind: RowKind::Text(show) }
}

/// A row with a directory of rows.
pub(super) const fn rows<S>(name: &'static str, rows: &'static [Row<S>]) -> Row<S> {
    Row { name, mode: 0o555, kind: RowKind::Rows(rows) }
}

impl<S: Subject> Row<S> {
    fn file_kind(&self) -> FileKind {
        match self.kind {
            RowKind::Text(_) | RowKind::Setting(..) | RowKind::File(_) => FileKind::Regular,
            RowKind::Link(_) | RowKind::Jump(..) => FileKind::Link,
            RowKind::Rows(_) | RowKind::Directory(_) => FileKind::Directory,
        }
    }

    fn item(&'static self, subject: &S) -> Item {
        let (row, subject) = (self, subject.clone());
        let owner = subject.owner();
        let content = match row.kind {
            RowKind::Text(_) | RowKind::Setting(..) => Content::Text(Arc::new(RowText { row, subject })),
            RowKind::File(make) => Content::File(make(&subject)),
            RowKind::Link(_) | RowKind::Jump(..) => Content::Link(Arc::new(RowLink { row, subject })),
            RowKind::Rows(rows) => Content::Directory(Arc::new(Table { rows, subject })),
            RowKind::Directory(make) => Content::Directory(make(&subject)),
        };
        Item { content, mode: row.mode, owner }
    }
}

/// A directory of rows.
pub(super) struct Table<S: 'static> {
    /// The rows.
    pub(super) rows: &'static [Row<S>],
    /// What they are about.
    pub(super) subject: S,
}

impl<S: Subject> Table<S> {}

/// The cursor of the first row.
const FIRST: u64 = 2;

impl<S: Subject> Directory for Table<S> {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        let row = self.rows.iter().find(|row| row.name.as_bytes() == name).ok_or(Errno::ENOENT)?;
        if !self.subject.is_valid() {
            return Err(Errno::ENOENT.into());
        }
        Ok(row.item(&self.subject))
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        for (cursor, row) in (FIRST..).zip(self.rows) {
            if cursor >= from && !visit(cursor, row.name.as_bytes(), row.file_kind()) {
                return;
            }
        }
    }

    fn is_valid(&self) -> bool {
        self.subject.is_valid()
    }

    fn subdirectories(&self) -> u32 {
        self.rows.iter().filter(|row| row.file_kind() == FileKind::Directory).count() as u32
    }
}

struct RowText<S: 'static> {
    row: &'static Row<S>,
    subject: S,
}

impl<S: Subject> Text for RowText<S> {
    fn read(&self) -> Result<Vec<u8>> {
        match self.row.kind {
            RowKind::Text(show) | RowKind::Setting(show, _) => show(&self.subject),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn write(&self, text: &[u8]) -> Result<()> {
        match self.row.kind {
            RowKind::Setting(_, set) => set(&self.subject, text),
            _ => Err(Errno::EACCES.into()),
        }
    }

    fn is_valid(&self) -> bool {
        self.subject.is_valid()
    }
}

struct RowLink<S: 'static> {
    row: &'static Row<S>,
    subject: S,
}

impl<S: Subject> SymbolicLink for RowLink<S> {
    fn read(&self) -> Result<Vec<u8>> {
        match self.row.kind {
            RowKind::Link(show) | RowKind::Jump(show, _) => show(&self.subject),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn follow(&self) -> Result<Link> {
        match self.row.kind {
            RowKind::Jump(_, follow) => follow(&self.subject),
            _ => self.read().map(Link::Text),
        }
    }
}
