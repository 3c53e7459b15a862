//! The session with a server: requests and their answers, and the fids that files have there.
//!
//! A fid is given back to the server when its [`Fid`] is dropped, by whoever asks for something next: drops happen
//! anywhere, also where one cannot wait for a server.

use crate::{
    device::virtio::ninep::{self, ANSWER_MAX, Answer, Claim, DATA_FRAMES, Data},
    error::{Error, Result},
    fs::inode::FileKind,
};
use abi::errno::Errno;
use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use machine::{addr::PAGE_SIZE, mm::Frame, sync::SpinLock};
use p9::{Attributes, Fids, Request};

pub(super) use ninep::broken;

/// Messages without data are at least so long; a server with shorter ones is of no use.
const MESSAGE_MIN: u32 = 8 * 1024;
/// The longest message that can be sent.
const MESSAGE_MAX: u32 = (DATA_FRAMES * PAGE_SIZE + p9::WRITE_HEADER) as u32;

/// A session.
pub(super) struct Client {
    channel: Claim,
    fids: SpinLock<Fids>,
    /// Fids that nobody uses any more, and that the server still knows.
    unused: SpinLock<Vec<u32>>,
    message_size: u32,
    has_complained: AtomicBool,
}

/// A file at the server.
pub(super) struct Fid {
    client: Arc<Client>,
    number: u32,
}

impl Fid {
    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        self.client.unused.lock().push(self.number);
    }
}

impl Client {
    /// Begins a session with the server that has a tag.
    pub(super) fn new(tag: &[u8], message_size: Option<u32>) -> Result<Arc<Self>> {
        let channel = ninep::claim(tag)?;
        let mut client = Self {
            channel,
            fids: SpinLock::new("9p-fids", Fids::new()),
            unused: SpinLock::new("9p-unused", Vec::new()),
            message_size: message_size.unwrap_or(MESSAGE_MAX).min(MESSAGE_MAX),
            has_complained: AtomicBool::new(false),
        };
        let body = client.call(&Request::Version { message_size: client.message_size })?;
        let version = p9::version(&body).map_err(broken)?;
        if !version.is_known || !(MESSAGE_MIN..=client.message_size).contains(&version.message_size) {
            return Err(Error::new(Errno::EIO, "the server does not speak 9P2000.L"));
        }
        client.message_size = version.message_size;
        Ok(Arc::new(client))
    }

    /// The longest message.
    pub(super) fn message_size(&self) -> u32 {
        self.message_size
    }

    /// Frames of data that fit into a message, one at least.
    pub(super) fn data_frames(&self) -> usize {
        (self.message_size as usize - p9::WRITE_HEADER) / PAGE_SIZE
    }

    /// Bytes of names that fit into an answer.
    pub(super) fn listing_length(&self) -> usize {
        ANSWER_MAX.min(self.message_size as usize) - p9::READ_HEADER
    }

    /// Has the server do something; the body of its answer.
    pub(super) fn call(&self, request: &Request<'_>) -> Result<Vec<u8>> {
        self.call_with(request, &Data::None).map(|answer| answer.body)
    }

    fn call_with(&self, request: &Request<'_>, data: &Data<'_>) -> Result<Answer> {
        self.clunk_unused();
        self.exchange(request, data)
    }

    fn exchange(&self, request: &Request<'_>, data: &Data<'_>) -> Result<Answer> {
        let bytes = request.encode().map_err(broken)?;
        let answer = self.channel.exchange(bytes, data)?;
        if answer.kind == p9::FAILURE && answer.received == 0 {
            let number = p9::failure(&answer.body).map_err(broken)?;
            let errno = Errno::from_number(number).unwrap_or(Errno::EIO);
            return Err(Error::new(errno, "the server says so"));
        }
        if answer.kind != request.kind() + 1 {
            if !self.has_complained.swap(true, Ordering::Relaxed) {
                log::warn!("9p: the server answers {} to {}", answer.kind, request.kind());
            }
            return Err(broken(p9::Error::Broken("an answer to another type of request")));
        }
        Ok(answer)
    }

    /// Gives back the fids that nobody uses.
    fn clunk_unused(&self) {
        loop {
            let unused = self.unused.lock().pop();
            let Some(fid) = unused else { return };
            // A server that does not even do this has the number for ever. Linux's word on a failure: it is gone all the same.
            match self.exchange(&Request::Clunk { fid }, &Data::None) {
                Ok(_) => self.fids.lock().give_back(fid),
                Err(error) => log::debug!("9p: fid {fid} stays: {error}"),
            }
        }
    }

    /// Gives a fid back now, and tells how that went: for those whose end does something.
    pub(super) fn clunk(&self, fid: Fid) -> Result<()> {
        let number = fid.number;
        drop(fid);
        let mut unused = self.unused.lock();
        let Some(at) = unused.iter().position(|&other| other == number) else { return Ok(()) };
        unused.swap_remove(at);
        drop(unused);
        let outcome = self.exchange(&Request::Clunk { fid: number }, &Data::None);
        self.fids.lock().give_back(number);
        outcome.map(|_| ())
    }

    /// Has the server give a fid a meaning.
    fn with_new_fid(self: &Arc<Self>, give: impl FnOnce(u32) -> Result<()>) -> Result<Fid> {
        let number = self.fids.lock().take();
        let number = number.ok_or(Error::new(Errno::ENFILE, "all fids are in use"))?;
        match give(number) {
            Ok(()) => Ok(Fid { client: self.clone(), number }),
            Err(error) => {
                self.fids.lock().give_back(number);
                Err(error)
            }
        }
    }

    /// The root of the tree.
    pub(super) fn attach(self: &Arc<Self>, user: &[u8], tree: &[u8]) -> Result<Fid> {
        self.with_new_fid(|fid| {
            let body = self.call(&Request::Attach { fid, user, tree, user_number: 0 })?;
            p9::qid(&body).map(|_| ()).map_err(broken)
        })
    }

    /// What a name in a directory stands for; ENOENT.
    pub(super) fn walk(self: &Arc<Self>, directory: &Fid, name: &[u8]) -> Result<Fid> {
        self.walk_names(directory, &[name])
    }

    /// Another fid of the same file.
    pub(super) fn another(self: &Arc<Self>, fid: &Fid) -> Result<Fid> {
        self.walk_names(fid, &[])
    }

    fn walk_names(self: &Arc<Self>, from: &Fid, names: &[&[u8]]) -> Result<Fid> {
        self.with_new_fid(|new_fid| {
            let body = self.call(&Request::Walk { fid: from.number, new_fid, names })?;
            let (found, _) = p9::walked(&body, names.len()).map_err(broken)?;
            if found == names.len() { Ok(()) } else { Err(Errno::ENOENT.into()) }
        })
    }

    /// Opens a fid.
    pub(super) fn open(&self, fid: &Fid, flags: u32) -> Result<()> {
        let body = self.call(&Request::Open { fid: fid.number, flags })?;
        p9::opened(&body).map(|_| ()).map_err(broken)
    }

    /// What stat(2) tells.
    pub(super) fn attributes(&self, fid: &Fid) -> Result<Attributes> {
        let body = self.call(&Request::GetAttributes { fid: fid.number, mask: p9::ATTRIBUTES_BASIC })?;
        let attributes = p9::attributes(&body).map_err(broken)?;
        let kind = FileKind::from_mode(attributes.mode);
        let is_directory = kind == Some(FileKind::Directory);
        if attributes.mode & 0o170000 == 0 || kind.is_none() || is_directory != attributes.qid.is_directory()
        {
            return Err(broken(p9::Error::Broken("a file of a type that is none")));
        }
        Ok(attributes)
    }

    /// Reads into whole frames, [`data_frames`](Self::data_frames) at most; tells how many bytes came.
    pub(super) fn read(&self, fid: &Fid, offset: u64, frames: &[Frame]) -> Result<usize> {
        let count = frames.len() * PAGE_SIZE;
        let request = Request::Read { fid: fid.number, offset, count: count as u32 };
        let answer = self.call_with(&request, &Data::Received(frames))?;
        let said = p9::count(&answer.body, count).map_err(broken)?;
        if said != answer.received {
            return Err(broken(p9::Error::Broken("other data than it says")));
        }
        Ok(said)
    }

    /// Writes bytes that lie in frames, [`data_frames`](Self::data_frames) at most; tells how many were written.
    pub(super) fn write(&self, fid: &Fid, offset: u64, frames: &[Frame], length: usize) -> Result<usize> {
        let request = Request::Write { fid: fid.number, offset, count: length as u32 };
        let answer = self.call_with(&request, &Data::Sent(frames, length))?;
        p9::count(&answer.body, length).map_err(broken)
    }

    /// Makes an extended attribute readable: its fid, and its length.
    pub(super) fn walk_attribute(self: &Arc<Self>, file: &Fid, name: &[u8]) -> Result<(Fid, u64)> {
        let mut size = 0;
        let fid = self.with_new_fid(|new_fid| {
            let body = self.call(&Request::AttributeWalk { fid: file.number, new_fid, name })?;
            size = p9::size(&body).map_err(broken)?;
            Ok(())
        })?;
        Ok((fid, size))
    }
}
