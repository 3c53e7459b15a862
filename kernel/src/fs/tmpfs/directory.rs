//! The names of a tmpfs directory: by name to find them, by number to list them. Numbers only grow, so
//! a listing that goes on later misses nothing and repeats nothing.

use super::Node;
use crate::fs::{directory::CURSOR_FIRST, inode::DirectoryEntry, inode::Inode};
use alloc::sync::Arc;
use id_map::{BytesMap, IdMap};

/// The names of one directory.
pub(super) struct Names {
    by_name: BytesMap<u64>,
    by_cursor: IdMap<u64, (Arc<[u8]>, Arc<Node>)>,
    next_cursor: u64,
}

impl Default for Names {
    fn default() -> Self {
        Self { by_name: BytesMap::new(), by_cursor: IdMap::new(), next_cursor: CURSOR_FIRST }
    }
}

impl Names {
    /// What a name stands for.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Node>> {
        Some(&self.by_cursor.get(*self.by_name.get(name)?)?.1)
    }

    /// Adds a name, replacing (and returning) what it stood for.
    pub(super) fn insert(&mut self, name: &[u8], node: Arc<Node>) -> Option<Arc<Node>> {
        let replaced = self.remove(name);
        let cursor = self.next_cursor;
        self.next_cursor += 1;
        let name: Arc<[u8]> = name.into();
        self.by_name.insert(name.clone(), cursor);
        self.by_cursor.insert(cursor, (name, node));
        replaced
    }

    /// Removes a name and returns what it stood for.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let cursor = self.by_name.remove(name)?;
        Some(self.by_cursor.remove(cursor)?.1)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Takes everything out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Node>> + use<> {
        self.by_name = BytesMap::new();
        core::mem::take(&mut self.by_cursor).into_values().map(|(_, node)| node)
    }

    /// The first name from a cursor on, copied, since the visitor is called without the lock.
    pub(super) fn next(&self, cursor: u64) -> Option<(u64, Arc<[u8]>, Arc<Node>)> {
        let (cursor, (name, node)) = self.by_cursor.iter_from(cursor).next()?;
        Some((cursor, name.clone(), node.clone()))
    }
}

/// The entry of a name.
pub(super) fn entry<'a>(cursor: u64, name: &'a [u8], node: &Node) -> DirectoryEntry<'a> {
    DirectoryEntry { name, number: node.number(), kind: node.kind(), next: cursor + 1 }
}
