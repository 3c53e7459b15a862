//! Directories whose entries are made each time by a closure, in a fixed or at least repeatable order.

use crate::{
    error::Result,
    fs::{
        inode::FileKind,
        synthetic::{Directory, Item, LinkTo, Text},
    },
};
use abi::errno::Errno;
use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};

/// The size that stat(2) shows for every attribute.
const ATTRIBUTE_SIZE: u64 = 4096;

/// One entry: its name and what it stands for.
pub(super) struct Entry {
    name: Cow<'static, str>,
    kind: FileKind,
    item: Item,
}

/// The entries of a directory.
pub(super) type Entries = Vec<Entry>;

/// A directory made by a closure.
pub(super) struct Tree(Box<dyn Fn() -> Entries + Send + Sync>);

impl Tree {
    /// The directory with what `entries` gives each time.
    pub(super) fn new(entries: impl Fn() -> Entries + Send + Sync + 'static) -> Self {
        Self(Box::new(entries))
    }
}

/// A directory.
pub(super) fn directory(
    name: impl Into<Cow<'static, str>>,
    entries: impl Fn() -> Entries + Send + Sync + 'static,
) -> Entry {
    let item = Item::directory(Tree::new(entries)).with_mode(0o755);
    Entry { name: name.into(), kind: FileKind::Directory, item }
}

/// An attribute: a short text, to which a newline is added.
pub(super) fn text(
    name: impl Into<Cow<'static, str>>,
    show: impl Fn() -> String + Send + Sync + 'static,
) -> Entry {
    Entry { name: name.into(), kind: FileKind::Regular, item: Item::text(Attribute(Box::new(show)), 0o444) }
}

/// An attribute that its owner may write too.
pub(super) fn setting(
    name: impl Into<Cow<'static, str>>,
    show: impl Fn() -> String + Send + Sync + 'static,
    store: fn(&[u8]) -> Result<()>,
) -> Entry {
    let item = Item::text(Setting(Attribute(Box::new(show)), store), 0o644);
    Entry { name: name.into(), kind: FileKind::Regular, item }
}

/// An attribute that its owner writes `1` to, to have something done.
pub(super) fn wish(
    name: impl Into<Cow<'static, str>>,
    act: impl Fn() -> Result<()> + Send + Sync + 'static,
) -> Entry {
    let item = Item::text(Wish(Box::new(act)), 0o200);
    Entry { name: name.into(), kind: FileKind::Regular, item }
}

/// Bytes as they are, `size` at most.
pub(super) fn bytes(
    name: impl Into<Cow<'static, str>>,
    size: u64,
    show: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> Entry {
    let item = Item::text(Bytes(Box::new(show), size), 0o444);
    Entry { name: name.into(), kind: FileKind::Regular, item }
}

/// A link.
pub(super) fn link(name: impl Into<Cow<'static, str>>, target: String) -> Entry {
    let item = Item::link(LinkTo(move || Ok(target.clone().into_bytes())));
    Entry { name: name.into(), kind: FileKind::Link, item }
}

impl Directory for Tree {
    fn lookup(&self, name: &[u8]) -> Result<Item> {
        let found = (self.0)().into_iter().find(|entry| entry.name.as_bytes() == name);
        Ok(found.ok_or(Errno::ENOENT)?.item)
    }

    fn list(&self, from: u64, visit: &mut dyn FnMut(u64, &[u8], FileKind) -> bool) {
        for (cursor, entry) in (2u64..).zip((self.0)()) {
            if cursor >= from && !visit(cursor, entry.name.as_bytes(), entry.kind) {
                return;
            }
        }
    }

    fn is_valid(&self) -> bool {
        // Made anew each time, so that what has gone is not found.
        false
    }

    fn subdirectories(&self) -> u32 {
        (self.0)().iter().filter(|entry| entry.kind == FileKind::Directory).count() as u32
    }
}

struct Attribute(Box<dyn Fn() -> String + Send + Sync>);

impl Text for Attribute {
    fn read(&self) -> Result<Vec<u8>> {
        Ok(((self.0)() + "\n").into_bytes())
    }

    fn size(&self) -> u64 {
        ATTRIBUTE_SIZE
    }
}

struct Wish(Box<dyn Fn() -> Result<()> + Send + Sync>);

impl Text for Wish {
    fn read(&self) -> Result<Vec<u8>> {
        Err(Errno::EIO.into())
    }

    fn write(&self, text: &[u8]) -> Result<()> {
        match text.trim_ascii() {
            b"0" => Ok(()),
            text if text.first().is_some_and(|digit| (b'1'..=b'9').contains(digit)) => (self.0)(),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn size(&self) -> u64 {
        ATTRIBUTE_SIZE
    }
}

struct Bytes(Box<dyn Fn() -> Vec<u8> + Send + Sync>, u64);

impl Text for Bytes {
    fn read(&self) -> Result<Vec<u8>> {
        Ok((self.0)())
    }

    fn size(&self) -> u64 {
        self.1
    }
}

struct Setting(Attribute, fn(&[u8]) -> Result<()>);

impl Text for Setting {
    fn read(&self) -> Result<Vec<u8>> {
        self.0.read()
    }

    fn write(&self, text: &[u8]) -> Result<()> {
        (self.1)(text.trim_ascii())
    }

    fn size(&self) -> u64 {
        ATTRIBUTE_SIZE
    }
}
