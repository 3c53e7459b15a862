//! Copying a lower file to the upper layer, with all that belongs to it, before it is changed.
//!
//! The copy is made in the work directory and moved to its place when it is whole, so that nobody ever sees half of it.
//! Its directories go first.

use super::{inode::Node, layers};
use crate::{
    error::{Error, Result},
    fs::{
        dentry::Path,
        inode::{AttributeChange, FileKind, Inode, Metadata, NewInode, NewKind},
        io::{Destination, Source},
        names,
        page_cache::WritePlace,
        permission::Caller,
        xattr::Presence,
    },
};
use abi::{errno::Errno, misc::RenameFlags};
use alloc::{sync::Arc, vec, vec::Vec};

/// Bytes that are copied at once.
const PIECE: usize = 64 * 1024;

impl Node {
    /// The file on the upper layer, which is copied there if it is not. EROFS if there is no such layer.
    pub(super) fn copy_up(&self) -> Result<&Path> {
        if let Some(upper) = self.upper() {
            return Ok(upper);
        }
        self.volume().upper()?;
        let mut above: Vec<Arc<Node>> = Vec::new();
        let mut next = self.parent();
        while let Some(node) = next.filter(|node| node.upper().is_none()) {
            next = node.parent();
            above.push(node);
        }
        for node in above.iter().rev() {
            node.copy_one()?;
        }
        self.copy_one()
    }

    /// The same, when the directory that it is in is on the upper layer.
    fn copy_one(&self) -> Result<&Path> {
        let volume = self.volume().clone();
        let _copying = volume.copying.lock();
        if let Some(upper) = self.upper() {
            return Ok(upper);
        }
        let caller = Caller::kernel()?;
        let lower = self.real();
        let metadata = lower.inode().metadata();
        let new = NewInode {
            kind: new_kind(lower.inode(), &metadata)?,
            mode: metadata.mode,
            user: metadata.user,
            group: metadata.group,
        };
        let (name, made) = volume.make(&caller, &new)?;
        let work = &volume.upper()?.work;
        let copied =
            fill(lower.inode(), &made, &metadata).and_then(|()| self.move_up(&caller, work, name.as_bytes()));
        if let Err(error) = copied {
            layers::remove(&caller, work, name.as_bytes())?;
            return Err(error);
        }
        Ok(self.set_upper(made))
    }

    /// Moves the copy to its place; if the file has lost its name, the copy loses it too.
    fn move_up(&self, caller: &Caller, work: &Path, name: &[u8]) -> Result<()> {
        let place = self.place().filter(|_| !self.is_removed());
        let Some((parent, own_name)) = place else { return layers::remove(caller, work, name) };
        let directory = parent.upper().ok_or(Error::new(Errno::EIO, "its directory was not copied up"))?;
        let before = directory.inode().metadata();
        names::rename_at(caller, (work, name), (directory, &own_name), RenameFlags::empty())?;
        // Nothing has changed in the directory, as far as anybody can see.
        let times = AttributeChange {
            accessed: Some(before.accessed),
            modified: Some(before.modified),
            ..AttributeChange::default()
        };
        directory.inode().set_attributes(&times)
    }
}

fn new_kind(lower: &Arc<dyn Inode>, metadata: &Metadata) -> Result<NewKind> {
    Ok(match metadata.kind {
        FileKind::Regular => NewKind::Regular,
        FileKind::Directory => NewKind::Directory,
        FileKind::Link => NewKind::Link(lower.read_link()?),
        FileKind::Fifo => NewKind::Fifo,
        FileKind::Socket => NewKind::Socket,
        FileKind::Character => NewKind::Character(metadata.special),
        FileKind::Block => NewKind::Block(metadata.special),
        FileKind::Anonymous => return Err(Errno::EIO.into()),
    })
}

/// Contents, attributes and times.
fn fill(lower: &Arc<dyn Inode>, made: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.kind == FileKind::Regular {
        copy_contents(lower, made.inode())?;
    }
    copy_attributes(lower, made.inode())?;
    let times = AttributeChange {
        accessed: Some(metadata.accessed),
        modified: Some(metadata.modified),
        ..AttributeChange::default()
    };
    made.inode().set_attributes(&times)
}

fn copy_contents(from: &Arc<dyn Inode>, to: &Arc<dyn Inode>) -> Result<()> {
    let pages = |inode: &Arc<dyn Inode>| inode.pages().cloned().ok_or(Errno::EIO);
    let (from, to) = (pages(from)?, pages(to)?);
    let mut buffer = vec![0; PIECE];
    let (mut read, mut written) = (0, 0);
    loop {
        let count = from.read(&mut read, &mut Destination::kernel(&mut buffer))?;
        if count == 0 {
            return Ok(());
        }
        let mut rest = Source::kernel(&buffer[..count]);
        while rest.remaining() > 0 {
            if to.write(&mut written, &mut rest, WritePlace::Offset, i64::MAX as u64)? == 0 {
                return Err(Error::new(Errno::EIO, "nothing was written"));
            }
        }
    }
}

/// Extended attributes, but those of overlays; what the upper layer cannot have stays behind, as on Linux.
fn copy_attributes(from: &Arc<dyn Inode>, to: &Arc<dyn Inode>) -> Result<()> {
    let (Some(from), Some(to)) = (from.extended(), to.extended()) else { return Ok(()) };
    for name in from.names()?.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(layers::PRIVATE) {
            continue;
        }
        match to.set(name, &from.value(name)?, Presence::Any) {
            Err(error) if error.errno != Errno::EOPNOTSUPP => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
