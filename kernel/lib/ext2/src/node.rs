//! Inodes in memory.
//!
//! A [`Node`] is an inode that is in use or was lately. Each has a lock; a [`Locked`] is a node with its lock held,
//! and the only way to the inode. A node is in the table as long as it differs from the disk or anyone holds it,
//! so there is never more than one for an inode. Nodes of orphans are held by the orphan list.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::attributes::Attributes;
use crate::block_map::MapCache;
use crate::dir::{DirIndex, ListingsOf};
use crate::error::Error;
use crate::geometry::Ino;
use crate::inode::Inode;
use crate::io::BlockIo;
use crate::locks::{Guard, Locks, Mutex};
use crate::mount::FileSystem;

/// How many nodes the table keeps, those in use and not yet written apart.
const NODES_MAX: usize = 1024;
/// How many nodes are looked at for each that is added when the table is full.
const EVICTION_SCAN: usize = 16;

/// An inode in memory.
pub(crate) struct Node {
    pub(crate) ino: Ino,
    /// `i_dtime`: of an orphan, the number of the next one. Outside the lock: its neighbours in the list set it.
    pub(crate) next_orphan: AtomicU32,
    is_dirty: AtomicBool,
    /// Where it is noted when it becomes dirty.
    dirty: Arc<DirtyNodes>,
    state: Mutex<NodeState>,
}

/// The nodes that became dirty since all were written the last time.
pub(crate) struct DirtyNodes {
    /// Their numbers. Some may be clean again, or gone.
    numbers: Mutex<Vec<Ino>>,
    /// Held while they are taken out and written: who comes second finds none that is neither listed nor written.
    writing: Mutex<()>,
}

impl DirtyNodes {
    pub(crate) fn new(locks: &dyn Locks) -> Arc<Self> {
        Arc::new(Self {
            numbers: Mutex::new(locks, "ext2 dirty inodes", Vec::new()),
            writing: Mutex::new(locks, "ext2 writing inodes", ()),
        })
    }

    /// Takes them out, ascending.
    fn take(&self) -> Vec<Ino> {
        let mut numbers = core::mem::take(&mut *self.numbers.lock());
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// What the lock of a node protects.
pub(crate) struct NodeState {
    pub(crate) inode: Inode,
    /// The indirect blocks last used.
    pub(crate) map: MapCache,
    /// Of a large directory, where its names are.
    pub(crate) index: Option<DirIndex>,
    /// Of a directory, that the index on the disk was found broken.
    pub(crate) has_broken_tree: bool,
    /// Of a directory, which listings of it are good; none since its names changed.
    pub(crate) listings: Option<ListingsOf>,
    /// The bytes between the end of the file and the end of its last block are known to be zero.
    pub(crate) has_clear_tail: bool,
    /// The inode was given back; whoever still holds the node must not change it.
    pub(crate) is_deleted: bool,
}

impl NodeState {
    pub(crate) fn new(inode: Inode) -> Self {
        Self {
            inode,
            map: MapCache::default(),
            index: None,
            has_broken_tree: false,
            listings: None,
            has_clear_tail: false,
            is_deleted: false,
        }
    }
}

impl Node {
    fn new(locks: &dyn Locks, dirty: &Arc<DirtyNodes>, ino: Ino, inode: Inode) -> Self {
        let next_orphan = AtomicU32::new(inode.delete_time());
        let state = NodeState::new(inode);
        Self {
            ino,
            next_orphan,
            is_dirty: AtomicBool::new(false),
            dirty: dirty.clone(),
            state: Mutex::new(locks, "ext2 inode", state),
        }
    }

    /// The node must be in the table, where it is looked for when it is to be written.
    pub(crate) fn mark_dirty(&self) {
        if !self.is_dirty.swap(true, Ordering::AcqRel) {
            self.dirty.numbers.lock().push(self.ino);
        }
    }

    fn is_dirty(&self) -> bool {
        self.is_dirty.load(Ordering::Acquire)
    }
}

/// A node whose lock is held.
pub(crate) struct Locked<'a> {
    pub(crate) node: &'a Arc<Node>,
    state: Guard<'a, NodeState>,
}

impl Locked<'_> {
    pub(crate) fn ino(&self) -> Ino {
        self.node.ino
    }

    /// The inode, to change.
    pub(crate) fn inode_mut(&mut self) -> &mut Inode {
        self.node.mark_dirty();
        &mut self.state.inode
    }

    pub(crate) fn attributes(&self) -> Attributes {
        self.inode.attributes(self.node.ino)
    }
}

impl Deref for Locked<'_> {
    type Target = NodeState;

    fn deref(&self) -> &NodeState {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut NodeState {
        &mut self.state
    }
}

/// All nodes, by number.
pub(crate) struct NodeTable {
    nodes: BTreeMap<Ino, Arc<Node>>,
    /// How many nodes were removed. Who read an inode from the disk meanwhile has to read it again.
    removals: u64,
    /// Where the search for nodes to remove goes on.
    hand: Ino,
}

impl NodeTable {
    pub(crate) fn new() -> Self {
        Self { nodes: BTreeMap::new(), removals: 0, hand: Ino(0) }
    }

    fn insert(&mut self, node: Arc<Node>) {
        if self.nodes.len() >= NODES_MAX {
            self.evict();
        }
        self.nodes.insert(node.ino, node);
    }

    /// Removes nodes that are written and not in use, among the next few.
    fn evict(&mut self) {
        let next: Vec<Ino> = self.nodes.range(self.hand..).take(EVICTION_SCAN).map(|(&ino, _)| ino).collect();
        self.hand = next.last().filter(|_| next.len() == EVICTION_SCAN).map_or(Ino(0), |ino| Ino(ino.0 + 1));
        for ino in next {
            self.remove_unused(ino);
        }
    }

    /// Removes a node if it is written and not in use.
    fn remove_unused(&mut self, ino: Ino) {
        // A node that only the table holds cannot be locked or changed by anyone while the table is locked.
        let is_unused = |node: &Arc<Node>| Arc::strong_count(node) == 1 && !node.is_dirty();
        if self.nodes.get(&ino).is_some_and(is_unused) {
            self.nodes.remove(&ino);
            self.removals += 1;
        }
    }
}

impl FileSystem {
    /// The node of an inode that has a name or is an orphan; [`Error::NotFound`] for others.
    pub(crate) fn node(&self, ino: Ino) -> Result<Arc<Node>, Error> {
        loop {
            let removals = {
                let table = self.nodes.lock();
                if let Some(node) = table.nodes.get(&ino) {
                    return Ok(node.clone());
                }
                table.removals
            };
            let inode = self.load_inode(ino)?;
            if inode.links() == 0 {
                return Err(Error::NotFound);
            }
            let mut table = self.nodes.lock();
            if let Some(node) = table.nodes.get(&ino) {
                return Ok(node.clone());
            }
            if table.removals == removals {
                let node = Arc::new(Node::new(&*self.locks, &self.dirty_nodes, ino, inode));
                table.insert(node.clone());
                return Ok(node);
            }
        }
    }

    /// Reads an inode from the disk.
    pub(crate) fn load_inode(&self, ino: Ino) -> Result<Inode, Error> {
        let size = self.geometry.inode_size as usize;
        with_buffer(size, |bytes| {
            self.io.read(self.geometry.inode_offset(ino), bytes)?;
            Inode::decode(&self.geometry, bytes)
        })
    }

    /// Puts a new inode into the table and clears what its place on the disk held before.
    pub(crate) fn add_node(&self, ino: Ino, inode: Inode) -> Result<Arc<Node>, Error> {
        let mut bytes = vec![0; self.geometry.inode_size as usize];
        inode.encode(0, &mut bytes);
        self.io.write(self.geometry.inode_offset(ino), &bytes)?;
        let node = Arc::new(Node::new(&*self.locks, &self.dirty_nodes, ino, inode));
        self.lock_nested(&node, 2).has_clear_tail = true;
        self.nodes.lock().insert(node.clone());
        node.mark_dirty();
        Ok(node)
    }

    /// Puts the node of an orphan found at mount into the table.
    pub(crate) fn add_orphan_node(&self, ino: Ino, inode: Inode) -> Arc<Node> {
        let node = Arc::new(Node::new(&*self.locks, &self.dirty_nodes, ino, inode));
        self.nodes.lock().insert(node.clone());
        node
    }

    /// The node of an inode if it is in memory, as those of orphans are.
    pub(crate) fn cached_node(&self, ino: Ino) -> Option<Arc<Node>> {
        self.nodes.lock().nodes.get(&ino).cloned()
    }

    /// Locks a node.
    #[track_caller]
    pub(crate) fn lock<'a>(&self, node: &'a Arc<Node>) -> Locked<'a> {
        self.lock_nested(node, 0)
    }

    /// Locks a node while others are locked, at lower depths.
    #[track_caller]
    pub(crate) fn lock_nested<'a>(&self, node: &'a Arc<Node>, depth: u8) -> Locked<'a> {
        Locked { node, state: node.state.lock_nested(depth) }
    }

    /// Writes a node's indirect blocks and inode, if they changed.
    pub(crate) fn write_node(&self, locked: &mut Locked<'_>) -> Result<(), Error> {
        if locked.is_deleted || !locked.node.is_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let result = self.write_map(&mut locked.map).and_then(|()| self.write_inode(locked));
        if result.is_err() {
            locked.node.mark_dirty();
        }
        result
    }

    fn write_inode(&self, locked: &Locked<'_>) -> Result<(), Error> {
        let has_names = locked.inode.links() > 0;
        let delete_time = if has_names { 0 } else { locked.node.next_orphan.load(Ordering::Acquire) };
        with_buffer(locked.inode.bytes_to_write(&self.geometry), |bytes| {
            locked.inode.encode(delete_time, bytes);
            Ok(self.io.write(self.geometry.inode_offset(locked.ino()), bytes)?)
        })
    }

    /// Writes all nodes that changed. The first failure is returned, after the rest was tried.
    pub(crate) fn write_nodes(&self) -> Result<(), Error> {
        let _writing = self.dirty_nodes.writing.lock();
        let numbers = self.dirty_nodes.take();
        let dirty: Vec<_> = {
            let table = self.nodes.lock();
            numbers.iter().filter_map(|ino| table.nodes.get(ino).cloned()).collect()
        };
        let mut result = Ok(());
        for node in &dirty {
            result = result.and(self.write_node(&mut self.lock(node)));
        }
        result
    }

    /// Whether so many nodes are in memory that writing them would help.
    pub(crate) fn has_too_many_nodes(&self) -> bool {
        self.nodes.lock().nodes.len() > 2 * NODES_MAX
    }

    /// The inode was given back: the next user of its number gets another node.
    pub(crate) fn discard_node(&self, locked: &mut Locked<'_>) {
        locked.is_deleted = true;
        let mut table = self.nodes.lock();
        table.nodes.remove(&locked.ino());
        table.removals += 1;
    }

    /// Lets a node go: nobody outside uses the inode any more.
    pub(crate) fn forget_node(&self, node: Arc<Node>) {
        let ino = node.ino;
        drop(node);
        self.nodes.lock().remove_unused(ino);
    }
}

/// Lends a buffer of zeros; the usual sizes of inodes fit the stack.
fn with_buffer<T>(size: usize, action: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut small = [0; 256];
    match small.get_mut(..size) {
        Some(buffer) => action(buffer),
        None => action(&mut vec![0; size]),
    }
}
