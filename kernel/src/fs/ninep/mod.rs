//! 9P: folders that the host shares, by 9P2000.L over virtio (`mount -t 9p -o trans=virtio TAG DIRECTORY`).
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | mounting, and what all inodes share |
//! | `options.rs` | mount options |
//! | `client.rs` | requests and their answers; fids |
//! | `handle.rs` | the fids by which one file is reached |
//! | `inode.rs` | an inode: names and attributes |
//! | `contents.rs` | the contents of regular files, between the server and the page cache |
//! | `file.rs` | open files |
//! | `attributes.rs` | extended attributes |
//!
//! The host and others change the folder at any time, so nothing is taken on trust (`cache=none`, the default): each name
//! of a path is asked for again, what stat(2) tells is as the server tells it now, each write(2) is at the server
//! when it returns, and its errors are the writer's. Pages that were read are kept until the server tells another
//! time of modification or another size, which is looked at when a file is opened, when stat(2) is asked, and when a read comes
//! to the end. So what the host has written before a file is opened here is read here, and the other way round. What
//! programs store through mappings is written back by msync, fsync, the last close, and by the flusher after a few
//! seconds. With `cache=loose` names and attributes are believed as long as they are remembered, which is right for a
//! folder that nobody else changes. Locks are local.
//!
//! The server is QEMU or something like it: a fid that is not open is a path, and asking for its attributes tells what
//! has that path now. (Of a server whose fids are files, the name of a file that the host moved is known here until it
//! is forgotten.)
//!
//! Whatever the server answers is checked by the crate `p9`; what it breaks is answered with EIO. A wait for the server
//! cannot be ended by a signal; a server that does not answer for five minutes is given up: its
//! device is reset before anything that it could write to is used again, and all requests fail until the folder is mounted
//! anew.

mod attributes;
mod client;
mod contents;
mod file;
mod handle;
mod inode;
mod options;
#[cfg(feature = "tests")]
mod tests;

use super::{
    file_system::{FileSystem, NameCaching, Statistics},
    filesystems::{self, MountRequest},
    inode::{Inode, SyncScope},
};
use crate::error::{Error, Result};
use abi::{
    errno::Errno,
    stat::{DeviceNumber, V9FS_MAGIC},
};
use alloc::{
    string::String,
    sync::{Arc, Weak},
    vec::Vec,
};
use client::{Client, Fid};
use id_map::IdMap;
use inode::Node;
use machine::sync::SpinLock;
use options::Options;
use p9::{Attributes, Request};

/// What the inodes of a folder share.
struct Volume {
    client: Arc<Client>,
    device: DeviceNumber,
    options: Options,
    /// The inodes that somebody holds, by number.
    nodes: SpinLock<IdMap<u64, Weak<Node>>>,
}

/// The file system, as the VFS holds it; inodes hold the volume.
struct Ninep {
    volume: Arc<Volume>,
    root: Arc<Node>,
}

/// Mounts the folder whose tag is the source.
///
/// # Errors
/// ENOENT if there is none, EBUSY if it is mounted, EINVAL for options that are none, EIO if the server is none, and what
/// the server says.
pub(super) fn mount(request: &MountRequest<'_>) -> Result<Arc<dyn FileSystem>> {
    let options = Options::parse(request.options)?;
    let client = Client::new(request.source, options.message_size)?;
    let root = client.attach(&options.user, &options.tree)?;
    let attributes = client.attributes(&root)?;
    let nodes = SpinLock::new("9p-nodes", IdMap::new());
    let volume = Arc::new(Volume { client, device: filesystems::new_device(), options, nodes });
    let root = volume.node(root, attributes)?;
    if !root.is_directory() {
        return Err(Error::new(Errno::ENOTDIR, "what is shared is no folder"));
    }
    Ok(Arc::new(Ninep { volume, root }))
}

impl Volume {
    /// The inode of a file that was just walked to: the one that somebody holds, which is reached by `fid` from now on, or
    /// a new one.
    fn node(self: &Arc<Self>, fid: Fid, attributes: Attributes) -> Result<Arc<Node>> {
        let number = attributes.qid.path;
        let known = self.nodes.lock().get(number).and_then(Weak::upgrade);
        if let Some(known) = known
            && known.is_of(&attributes)
        {
            known.adopt(fid);
            known.refresh();
            return Ok(known);
        }
        let node = Node::new(self.clone(), fid, &attributes)?;
        // Somebody else may have been faster; what is replaced is dropped without the lock.
        let mut nodes = self.nodes.lock();
        let faster = nodes.get(number).and_then(Weak::upgrade).filter(|known| known.is_of(&attributes));
        let replaced = match &faster {
            Some(_) => None,
            None => nodes.insert(number, Arc::downgrade(&node)),
        };
        drop(nodes);
        drop(replaced);
        Ok(faster.unwrap_or(node))
    }

    /// Nobody holds the inode any more.
    fn forget(&self, number: u64, node: &Node) {
        let mut nodes = self.nodes.lock();
        if nodes.get(number).is_some_and(|known| core::ptr::eq(known.as_ptr(), node)) {
            nodes.remove(number);
        }
    }
}

impl FileSystem for Ninep {
    fn kind(&self) -> &'static str {
        "9p"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn device(&self) -> DeviceNumber {
        self.volume.device
    }

    fn name_caching(&self) -> NameCaching {
        if self.volume.options.is_loose { NameCaching::Full } else { NameCaching::Shared }
    }

    fn has_own_access_times(&self) -> bool {
        true
    }

    fn statistics(&self) -> Result<Statistics> {
        let fid = self.root.path_fid();
        let body = self.volume.client.call(&Request::Space { fid: fid.number() })?;
        let space = p9::space(&body).map_err(client::broken)?;
        Ok(Statistics {
            magic: V9FS_MAGIC as u64,
            block_size: space.block_size.into(),
            blocks: space.blocks,
            blocks_free: space.blocks_free,
            blocks_available: space.blocks_available,
            files: space.files,
            files_free: space.files_free,
            name_length: space.name_length.into(),
            id: space.id,
        })
    }

    fn sync(&self) -> Result<()> {
        let nodes: Vec<Arc<Node>> = self.volume.nodes.lock().values().filter_map(Weak::upgrade).collect();
        let mut outcome = Ok(());
        for node in nodes.iter().filter(|node| node.pages().is_some_and(|pages| pages.has_dirty())) {
            outcome = outcome.and(node.sync(SyncScope::Data));
        }
        outcome
    }

    fn options(&self) -> String {
        self.volume.options.show(self.volume.client.message_size())
    }
}
