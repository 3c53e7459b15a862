//! Open files and directories. A file is open at the server as long as it is open or mapped here.

use super::inode::Node;
use crate::{
    error::Result,
    fs::{
        directory::OpenDirectory,
        file::{Extent, File, FileOperations, OpenFlags, SeekLimits},
        inode::{AttributeChange, Inode, SyncScope},
        io::{Destination, Source},
        names,
        page_cache::{PageCache, WritePlace},
        permission::Caller,
        regular::{RegularFile, size_limit},
    },
    mm::PageSource,
};
use alloc::sync::Arc;

/// Somebody who uses a file. When the last one has gone, what programs stored through mappings is written and the file is
/// closed at the server.
pub(super) struct Use(Arc<Node>);

impl Use {
    fn new(node: Arc<Node>) -> Self {
        node.handle().add_user();
        Self(node)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if self.0.handle().remove_user() {
            if let Some(pages) = self.0.pages() {
                // An error stays with the pages: they are tried again, and fsync tells.
                let _ = pages.write_back();
            }
            self.0.handle().close();
        }
    }
}

/// Opens a regular file or a directory, at the server too.
pub(super) fn open(node: Arc<Node>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    let user = Arc::new(Use::new(node.clone()));
    let Some(pages) = node.pages().cloned() else {
        return Ok(Arc::new(OpenDirectory::holding(user)));
    };
    if flags.access().can_read() {
        node.handle().reader()?;
    }
    if flags.access().can_write() {
        node.handle().writer()?;
    }
    let regular = RegularFile::holding(pages.clone(), user);
    Ok(Arc::new(SharedFile { regular, pages, node }))
}

/// An open regular file.
struct SharedFile {
    regular: RegularFile,
    pages: Arc<PageCache>,
    node: Arc<Node>,
}

impl FileOperations for SharedFile {
    fn read(&self, file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        if *offset >= self.pages.size() {
            // Others may have added something.
            self.node.refresh();
        }
        self.regular.read(file, offset, to)
    }

    fn write(&self, file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        let place = if file.is_appending() { WritePlace::End } else { WritePlace::Offset };
        if place == WritePlace::End {
            self.node.refresh();
        }
        let start = if place == WritePlace::End { self.pages.size() } else { *offset };
        let limit = if from.remaining() == 0 { u64::MAX } else { size_limit(start)?.min(i64::MAX as u64) };
        let (handle, client) = (self.node.handle(), self.node.handle().client());
        let writer = handle.writer()?;
        let mut send = |at: u64, frames: &[machine::mm::Frame], length: usize| {
            let sent = client.write(&writer, at, frames, length)?;
            handle.grow(at + sent as u64);
            Ok(sent)
        };
        let done = self.pages.write_through(offset, from, (place, limit), client.data_frames(), &mut send)?;
        if done > 0
            && file.inode().metadata().mode & 0o6000 != 0
            && let Some(mode) = names::mode_without_set_id(&Caller::current(), file.inode())
        {
            let change = AttributeChange { mode: Some(mode), ..AttributeChange::default() };
            file.inode().set_attributes(&change)?;
        }
        Ok(done)
    }

    fn seek_limits(&self, file: &File) -> SeekLimits {
        self.node.refresh();
        self.regular.seek_limits(file)
    }

    fn seek_extent(&self, file: &File, offset: u64, wanted: Extent) -> Result<u64> {
        self.node.refresh();
        self.regular.seek_extent(file, offset, wanted)
    }

    fn map(&self, file: &File) -> Result<Arc<dyn PageSource>> {
        self.regular.map(file)
    }

    fn sync(&self, file: &File, scope: SyncScope) -> Result<()> {
        self.regular.sync(file, scope)
    }
}
