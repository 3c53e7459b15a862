//! Shared folders whose server a test plays.
//!
//! The server here answers by the protocol; a test [bends](Bend) its answers. It has a root with a file, a symbolic link and a
//! directory, and nothing can be changed but the file's contents.

mod lies;
mod silence;

use super::{MountRequest, mount};
use crate::{
    device::virtio::{
        ninep::playing,
        played::{Act, Chain, Played, Script},
    },
    error::Result,
    fs::{
        file_system::{Access, FileSystem, SuperBlock},
        inode::DirectoryEntry,
        mount::{Mount, MountFlags},
        permission::Caller,
    },
    process::credentials::Credentials,
};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering};
use id_map::IdMap;
use machine::sync::IrqSpinLock;

/// Types of requests.
mod request {
    pub(super) const SPACE: u8 = 8;
    pub(super) const OPEN: u8 = 12;
    pub(super) const READ_LINK: u8 = 22;
    pub(super) const ATTRIBUTES: u8 = 24;
    pub(super) const LIST: u8 = 40;
    pub(super) const UNLINK: u8 = 76;
    pub(super) const VERSION: u8 = 100;
    pub(super) const ATTACH: u8 = 104;
    pub(super) const WALK: u8 = 110;
    pub(super) const READ: u8 = 116;
    pub(super) const WRITE: u8 = 118;
    pub(super) const CLUNK: u8 = 120;
}

/// Files of the tree.
const ROOT: u64 = 1;
const FILE: u64 = 2;
const DIRECTORY: u64 = 3;
const LINK: u64 = 4;

/// Bytes of the file.
const SIZE: usize = 300_000;

fn byte_at(offset: usize) -> u8 {
    (offset % 251) as u8
}

/// Changes the body of an answer to a request of some type; the whole message is put around what comes out.
type Bend = Box<dyn FnMut(u8, &[u8], &mut Vec<u8>) + Send>;

/// The server's state.
struct Server {
    /// The file of each fid.
    fids: IdMap<u64, u64>,
    contents: Vec<u8>,
    bend: Bend,
}

/// The body of a request, taken from the front.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn number(&mut self, length: usize) -> u64 {
        self.take(length).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn string(&mut self) -> &'a [u8] {
        let length = self.number(2) as usize;
        self.take(length)
    }
}

fn qid(file: u64) -> Vec<u8> {
    let kind = match file {
        ROOT | DIRECTORY => 0x80,
        LINK => 0x02,
        _ => 0,
    };
    let mut bytes = vec![kind, 0, 0, 0, 0];
    bytes.extend(file.to_le_bytes());
    bytes
}

fn mode(file: u64) -> u32 {
    match file {
        ROOT | DIRECTORY => 0o040755,
        LINK => 0o120777,
        _ => 0o100644,
    }
}

fn entry(file: u64, next: u64, name: &[u8]) -> Vec<u8> {
    let mut bytes = qid(file);
    bytes.extend(next.to_le_bytes());
    bytes.push((mode(file) >> 12) as u8);
    bytes.extend((name.len() as u16).to_le_bytes());
    bytes.extend(name);
    bytes
}

/// A list of names, as an answer has it.
fn listing(entries: &[Vec<u8>]) -> Vec<u8> {
    let names = entries.concat();
    let mut bytes = (names.len() as u32).to_le_bytes().to_vec();
    bytes.extend(names);
    bytes
}

/// What stat(2) tells of a file of this size.
fn attributes(file: u64, size: u64) -> Vec<u8> {
    let mut bytes = p9::ATTRIBUTES_BASIC.to_le_bytes().to_vec();
    bytes.extend(qid(file));
    bytes.extend(mode(file).to_le_bytes());
    // Owner and group, links, device, size, size and number of blocks.
    bytes.extend([0; 8]);
    for number in [1, 0, size, 4096, size.div_ceil(512)] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(8 + 13 + 12 + 15 * 8, 0);
    bytes
}

impl Server {
    /// The body of the answer by the protocol; an errno if it is a failure.
    fn answer(&mut self, kind: u8, body: &[u8]) -> core::result::Result<Vec<u8>, u32> {
        const ENOENT: u32 = 2;
        const EBADF: u32 = 9;
        const EPERM: u32 = 1;
        const EFBIG: u32 = 27;
        let mut body = Body(body);
        if kind == request::VERSION {
            let mut answer = body.take(4).to_vec();
            answer.extend([8, 0]);
            answer.extend(p9::VERSION);
            return Ok(answer);
        }
        let fid = body.number(4);
        if kind == request::ATTACH {
            self.fids.insert(fid, ROOT);
            return Ok(qid(ROOT));
        }
        let file = *self.fids.get(fid).ok_or(EBADF)?;
        match kind {
            request::WALK => {
                let (new, count) = (body.number(4), body.number(2));
                let mut found = file;
                let mut answer = (count as u16).to_le_bytes().to_vec();
                for _ in 0..count {
                    found = match body.string() {
                        b"file" if found == ROOT => FILE,
                        b"directory" if found == ROOT => DIRECTORY,
                        b"link" if found == ROOT => LINK,
                        _ => return Err(ENOENT),
                    };
                    answer.extend(qid(found));
                }
                self.fids.insert(new, found);
                Ok(answer)
            }
            request::ATTRIBUTES => {
                Ok(attributes(file, if file == FILE { self.contents.len() as u64 } else { 0 }))
            }
            request::OPEN => {
                let mut answer = qid(file);
                answer.extend([0; 4]);
                Ok(answer)
            }
            request::LIST => {
                let names: [(u64, &[u8]); 3] = [(FILE, b"file"), (DIRECTORY, b"directory"), (LINK, b"link")];
                let from = body.number(8) as usize;
                let all = names.iter().zip(1..).skip(from);
                let all: Vec<_> = all.map(|((file, name), next)| entry(*file, next, name)).collect();
                Ok(listing(if file == ROOT { &all } else { &[] }))
            }
            request::READ => {
                let (offset, count) = (body.number(8) as usize, body.number(4) as usize);
                let start = offset.min(self.contents.len());
                let data = &self.contents[start..(start + count).min(self.contents.len())];
                let mut answer = (data.len() as u32).to_le_bytes().to_vec();
                answer.extend(data);
                Ok(answer)
            }
            request::WRITE => {
                let (offset, count) = (body.number(8) as usize, body.number(4) as usize);
                let end = offset.checked_add(count).filter(|end| *end <= 2 * SIZE).ok_or(EFBIG)?;
                self.contents.resize(self.contents.len().max(end), 0);
                self.contents[offset..end].copy_from_slice(body.take(count));
                Ok((count as u32).to_le_bytes().to_vec())
            }
            request::READ_LINK => Ok(b"\x04\0file".to_vec()),
            request::SPACE => Ok([0; 60].to_vec()),
            request::CLUNK => {
                self.fids.remove(fid);
                Ok(Vec::new())
            }
            request::UNLINK => Ok(Vec::new()),
            _ => Err(EPERM),
        }
    }

    fn serve(&mut self, chain: &Chain) -> Act {
        let message = chain.read();
        let (header, body) = message.split_at(p9::HEADER_LENGTH);
        let kind = header[4];
        let (answer_kind, mut answer) = match self.answer(kind, body) {
            Ok(answer) => (kind + 1, answer),
            Err(errno) => (p9::FAILURE, errno.to_le_bytes().to_vec()),
        };
        let tag = [header[5], header[6]];
        let mut whole = Vec::new();
        whole.extend(((answer.len() + p9::HEADER_LENGTH) as u32).to_le_bytes());
        whole.push(answer_kind);
        whole.extend(tag);
        whole.append(&mut answer);
        (self.bend)(kind, body, &mut whole);
        assert!(chain.write(&whole), "there is room for an answer");
        Act::Done(whole.len().min(chain.room()) as u32)
    }
}

fn new_server(bend: Bend) -> Arc<IrqSpinLock<Server>> {
    let contents = (0..SIZE).map(byte_at).collect();
    Arc::new(IrqSpinLock::new("played server", Server { fids: IdMap::new(), contents, bend }))
}

fn script(server: &Arc<IrqSpinLock<Server>>) -> Script {
    let server = server.clone();
    Box::new(move |chain| server.lock().serve(chain))
}

/// A folder of this server.
struct Share {
    tag: String,
    device: Arc<Played>,
    server: Arc<IrqSpinLock<Server>>,
}

impl Drop for Share {
    fn drop(&mut self) {
        playing::forget(&self.tag);
    }
}

impl Share {
    /// One whose server bends its answers so.
    fn new(bend: Bend) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let tag = format!("played-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = new_server(bend);
        let device = playing::share(&tag, script(&server));
        Self { tag, device, server }
    }

    /// One whose server is honest.
    fn honest() -> Self {
        Self::new(Box::new(|_, _, _| {}))
    }

    /// Bends answers from now on.
    fn bend(&self, bend: Bend) {
        let old = core::mem::replace(&mut self.server.lock().bend, bend);
        drop(old);
    }

    /// Changes the body of each answer to requests of one type.
    fn bend_body(&self, kind: u8, mut change: impl FnMut(Vec<u8>) -> Vec<u8> + Send + 'static) {
        self.bend(Box::new(move |of, _, whole| {
            if of == kind && whole[4] == kind + 1 {
                let body = change(whole[p9::HEADER_LENGTH..].to_vec());
                replace(whole, kind, &body);
            }
        }));
    }

    fn mount(&self) -> Result<Arc<dyn FileSystem>> {
        let request = MountRequest {
            device: None,
            source: self.tag.as_bytes(),
            options: b"trans=virtio",
            access: Access::ReadWrite,
        };
        mount(&request)
    }

    /// Mounts it, as the root of who looks at it.
    fn caller(&self) -> Caller {
        let super_block =
            SuperBlock::new(self.mount().expect("the server is honest so far"), Access::ReadWrite);
        let root = super_block.root.clone();
        let mount = Mount::new(super_block, root, MountFlags::empty(), String::from("test"));
        let root = mount.root_path();
        Caller { credentials: Credentials::root(), directory: root.clone(), root, umask: 0 }
    }
}

/// Makes another answer of one.
fn replace(whole: &mut Vec<u8>, kind: u8, body: &[u8]) {
    whole[4] = kind + 1;
    whole.truncate(p9::HEADER_LENGTH);
    whole.extend(body);
    let length = whole.len() as u32;
    whole[..4].copy_from_slice(&length.to_le_bytes());
}

/// The names in the root, `most` of them.
fn names(caller: &Caller, most: usize) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut visit = |entry: &DirectoryEntry<'_>| {
        names.push(entry.name.to_vec());
        names.len() < most
    };
    caller.root.inode().read_directory(0, &mut visit)?;
    Ok(names)
}
