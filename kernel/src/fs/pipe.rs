//! Pipes and FIFOs. Source: pipe(7), fifo(7).
//!
//! A [`Pipe`] is a ring of bytes between its readers and its writers. The bytes are guarded by a sleeping lock,
//! held over the copy from or to the program; who waits looks only at the counters, which are atomic. A write of
//! up to PIPE_BUF bytes is not mixed with others; a longer one may be.
//!
//! A writer that waits is woken when all that it has left fits, or half of the pipe is free: woken for every page that
//! is read, it and the reader would spend their time changing places. It ends no later than it would otherwise.

use super::{
    anonymous,
    dentry::Path,
    file::{File, FileOperations, OpenFlags, Seeking},
    inode::{AttributeChange, FileKind, Inode, InodeState, Metadata},
    io::{Destination, Source},
    poll::PollTable,
    signals::send_to_current,
    time,
};
use crate::{
    error::{Error, Result},
    process,
    sched::wait::WaitQueue,
    sync::Mutex,
};
use abi::{errno::Errno, poll::PollEvents, signal::Signal, time::Timespec};
use alloc::{format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, fence};
use machine::sync::SpinLock;

/// Longest write that is never split.
const PIPE_BUF: usize = abi::misc::PIPE_BUF as usize;
/// Capacity of a new pipe.
const DEFAULT_CAPACITY: usize = 65536;
/// The largest capacity that F_SETPIPE_SZ gives to users (/proc/sys/fs/pipe-max-size).
pub(crate) const MAXIMUM_CAPACITY: usize = 1 << 20;

/// A ring of bytes that grows as needed, up to the capacity of its pipe.
#[derive(Default)]
struct Ring {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Ring {
    /// The bytes at the start that lie in one piece.
    fn readable(&self) -> &[u8] {
        let end = (self.start + self.length).min(self.bytes.len());
        &self.bytes[self.start..end]
    }

    fn consume(&mut self, count: usize) {
        self.start = (self.start + count) % self.bytes.len().max(1);
        self.length -= count;
        if self.length == 0 {
            self.start = 0;
        }
    }

    /// Free space in one piece.
    fn writable(&mut self) -> &mut [u8] {
        let size = self.bytes.len();
        let from = (self.start + self.length) % size.max(1);
        let to = if from < self.start { self.start } else { size };
        &mut self.bytes[from..to]
    }

    /// Makes space for `wanted` more bytes, or as many as `capacity` allows.
    fn grow(&mut self, wanted: usize, capacity: usize) -> Result<()> {
        let needed = (self.length + wanted).min(capacity).max(1).next_power_of_two().clamp(256, capacity);
        if needed > self.bytes.len() {
            self.resize(needed)?;
        }
        Ok(())
    }

    /// Moves the contents into a buffer of `size` bytes, which must have room for them.
    fn resize(&mut self, size: usize) -> Result<()> {
        crate::fault_injection::slab(size)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
        let first = self.readable().len();
        bytes.extend_from_slice(self.readable());
        bytes.extend_from_slice(&self.bytes[..self.length - first]);
        bytes.resize(size, 0);
        self.bytes = bytes;
        self.start = 0;
        Ok(())
    }
}

/// A pipe.
pub(crate) struct Pipe {
    ring: Mutex<Ring>,
    used: AtomicUsize,
    capacity: AtomicUsize,
    /// The least room for which somebody at `writable` wants to be woken. Who looks there asks for it again each time.
    wanted_room: AtomicUsize,
    readers: AtomicU32,
    writers: AtomicU32,
    /// How often it was opened for reading and for writing: lets an open of a FIFO see a partner that has
    /// gone again already.
    reader_opens: AtomicU32,
    writer_opens: AtomicU32,
    readable: WaitQueue,
    writable: WaitQueue,
}

impl Pipe {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            ring: Mutex::new("pipe", Ring::default()),
            used: AtomicUsize::new(0),
            capacity: AtomicUsize::new(DEFAULT_CAPACITY),
            wanted_room: AtomicUsize::new(usize::MAX),
            readers: AtomicU32::new(0),
            writers: AtomicU32::new(0),
            reader_opens: AtomicU32::new(0),
            writer_opens: AtomicU32::new(0),
            readable: WaitQueue::named("pipe read"),
            writable: WaitQueue::named("pipe write"),
        })
    }

    /// Bytes that wait to be read.
    fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// The most bytes that fit.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Acquire)
    }

    fn free(&self) -> usize {
        self.capacity().saturating_sub(self.used())
    }

    /// Has the readers wake `writable` when there is this much room: to be called before the room is looked at, by one
    /// who is woken by that queue already.
    fn ask_for_room(&self, room: usize) {
        self.wanted_room.fetch_min(room, Ordering::AcqRel);
        // Either the reader sees what is asked for, or who asks sees what was read.
        fence(Ordering::SeqCst);
    }

    /// Something was read: wakes those who wait for room, once there is enough for one of them.
    fn tell_of_room(&self) {
        fence(Ordering::SeqCst);
        if self.free() >= self.wanted_room.load(Ordering::Relaxed) {
            self.wanted_room.swap(usize::MAX, Ordering::AcqRel);
            self.writable.hand_over();
        }
    }

    fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    fn has_writers(&self) -> bool {
        self.writers.load(Ordering::Acquire) > 0
    }

    fn read(&self, file: &File, to: &mut Destination<'_>) -> Result<usize> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        loop {
            let done = self.take(to)?;
            if done > 0 {
                self.tell_of_room();
                return Ok(done);
            }
            if !self.has_writers() && self.used() == 0 {
                return Ok(0);
            }
            if file.is_nonblocking() {
                return Err(Errno::EAGAIN.into());
            }
            self.readable
                .wait_interruptible(|| (self.used() > 0 || !self.has_writers()).then_some(()), None)?;
        }
    }

    fn take(&self, to: &mut Destination<'_>) -> Result<usize> {
        let mut ring = self.ring.lock();
        let mut done = 0;
        while to.remaining() > 0 && ring.length > 0 {
            match to.write(ring.readable()) {
                Ok(moved) => {
                    ring.consume(moved);
                    done += moved;
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.used.store(ring.length, Ordering::Release);
        Ok(done)
    }

    fn write(&self, file: &File, from: &mut Source<'_>) -> Result<usize> {
        let mut done = 0;
        if from.remaining() == 0 {
            return Ok(0);
        }
        // A short write waits until all of it fits.
        let needed = if from.remaining() <= PIPE_BUF { from.remaining() } else { 1 };
        loop {
            if !self.has_readers() {
                if done > 0 {
                    return Ok(done);
                }
                send_to_current(Signal::SIGPIPE);
                return Err(Errno::EPIPE.into());
            }
            match self.put(from, needed) {
                Ok(moved) => {
                    done += moved;
                    if moved > 0 {
                        self.readable.hand_over();
                    }
                }
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
            if from.remaining() == 0 {
                return Ok(done);
            }
            if file.is_nonblocking() {
                return if done > 0 { Ok(done) } else { Err(Errno::EAGAIN.into()) };
            }
            match self.wait_for_room(from.remaining()) {
                Err(_) if done > 0 => return Ok(done),
                outcome => outcome?,
            }
        }
    }

    /// Waits until there is room for a part of `length` bytes, or no reader.
    fn wait_for_room(&self, length: usize) -> Result<()> {
        let has_room = || {
            self.ask_for_room(length.min(PIPE_BUF.max(self.capacity() / 2)));
            // Who looks when others were woken takes what is there, so that nobody has to wait for them.
            (self.free() >= length.min(PIPE_BUF) || !self.has_readers()).then_some(())
        };
        self.writable.wait_interruptible(has_room, None)
    }

    /// Moves what fits, if at least `needed` bytes do.
    fn put(&self, from: &mut Source<'_>, needed: usize) -> Result<usize> {
        let mut ring = self.ring.lock();
        let capacity = self.capacity();
        let mut done = 0;
        if capacity.saturating_sub(ring.length) < needed {
            return Ok(0);
        }
        while from.remaining() > 0 && ring.length < capacity {
            let step = from.remaining().min(capacity - ring.length);
            ring.grow(step, capacity)?;
            let space = ring.writable();
            let step = step.min(space.len());
            match from.read(&mut space[..step]) {
                Ok(moved) => {
                    ring.length += moved;
                    done += moved;
                }
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.used.store(ring.length, Ordering::Release);
        Ok(done)
    }

    /// F_SETPIPE_SZ: a power of two of at least a page. EBUSY if what is in it does not fit.
    pub(crate) fn set_capacity(&self, wanted: usize) -> Result<usize> {
        let size = wanted.max(PIPE_BUF).checked_next_power_of_two().ok_or(Errno::EINVAL)?;
        if size > 1 << 30 {
            return Err(Errno::EINVAL.into());
        }
        let mut ring = self.ring.lock();
        if ring.length > size {
            return Err(Errno::EBUSY.into());
        }
        if ring.bytes.len() > size {
            ring.resize(size)?;
        }
        self.capacity.store(size, Ordering::Release);
        drop(ring);
        self.writable.wake_all();
        Ok(size)
    }

    fn poll(&self, end: &PipeEnd, table: &mut PollTable<'_>) -> PollEvents {
        let mut events = PollEvents::empty();
        if end.reads {
            table.watch(&self.readable);
            if self.used() > 0 {
                events |= PollEvents::POLLIN | PollEvents::POLLRDNORM;
            }
            if !self.has_writers() && self.writer_opens.load(Ordering::Acquire) > 0 {
                events |= PollEvents::POLLHUP;
            }
        }
        if end.writes {
            table.watch(&self.writable);
            self.ask_for_room(PIPE_BUF);
            if self.free() >= PIPE_BUF || self.used() == 0 {
                events |= PollEvents::POLLOUT | PollEvents::POLLWRNORM;
            }
            if !self.has_readers() {
                events |= PollEvents::POLLERR;
            }
        }
        events
    }
}

/// One end of a pipe, or both (a FIFO opened for reading and writing).
pub(crate) struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
}

impl PipeEnd {
    fn new(pipe: Arc<Pipe>, flags: OpenFlags) -> Self {
        let (reads, writes) = (flags.access().can_read(), flags.access().can_write());
        if reads {
            pipe.readers.fetch_add(1, Ordering::AcqRel);
            pipe.reader_opens.fetch_add(1, Ordering::AcqRel);
            pipe.writable.wake_all();
        }
        if writes {
            pipe.writers.fetch_add(1, Ordering::AcqRel);
            pipe.writer_opens.fetch_add(1, Ordering::AcqRel);
            pipe.readable.wake_all();
        }
        Self { pipe, reads, writes }
    }

    /// The pipe.
    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        if self.reads && self.pipe.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pipe.writable.wake_all();
        }
        if self.writes && self.pipe.writers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.pipe.readable.wake_all();
        }
    }
}

impl FileOperations for PipeEnd {
    fn read(&self, file: &File, _offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        self.pipe.read(file, to)
    }

    fn write(&self, file: &File, _offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.pipe.write(file, from)
    }

    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }

    fn poll(&self, _file: &File, table: &mut PollTable<'_>) -> PollEvents {
        self.pipe.poll(self, table)
    }

    fn available(&self, _file: &File) -> Option<usize> {
        Some(self.pipe.used())
    }

    fn memory(&self) -> usize {
        self.pipe.used()
    }
}

/// pipe2(2): the end to read from and the one to write to.
pub(crate) fn create(flags: OpenFlags) -> (Arc<File>, Arc<File>) {
    let number = anonymous::next_number();
    let inode = Arc::new(PipeInode {
        state: InodeState::new(),
        number,
        pipe: Pipe::new(),
        created: time::now(),
        owner: SpinLock::new("pipe-owner", current_owner()),
    });
    let pipe = inode.pipe.clone();
    let path: Path = anonymous::path_of(inode, &format!("pipe:[{number}]"));
    let kept = flags & OpenFlags::O_NONBLOCK;
    let end = |path, access| File::new(path, Arc::new(PipeEnd::new(pipe.clone(), access)), kept | access);
    (end(path.clone(), OpenFlags::empty()), end(path, OpenFlags::O_WRONLY))
}

fn current_owner() -> (u32, u32, u32) {
    let owner = process::try_current().map(|process| process.credentials());
    owner.map_or((0o600, 0, 0), |owner| (0o600, owner.fsuid, owner.fsgid))
}

/// Opens a FIFO: waits for a partner, unless O_NONBLOCK (fifo(7)).
pub(super) fn open_fifo(inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    let pipe = {
        let mut known = inode.state().fifo.lock();
        match known.upgrade() {
            Some(pipe) => pipe,
            None => {
                let pipe = Pipe::new();
                *known = Arc::downgrade(&pipe);
                pipe
            }
        }
    };
    meet_partner(pipe, flags)
}

fn meet_partner(pipe: Arc<Pipe>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
    let is_nonblocking = flags.contains(OpenFlags::O_NONBLOCK);
    let (reads, writes) = (flags.access().can_read(), flags.access().can_write());
    if writes && !reads && is_nonblocking && !pipe.has_readers() {
        return Err(Error::new(Errno::ENXIO, "nobody reads from the FIFO"));
    }
    let (reader_opens, writer_opens) =
        (pipe.reader_opens.load(Ordering::Acquire), pipe.writer_opens.load(Ordering::Acquire));
    // Looked at before the partner can see this end: one that was waiting for it may write and be gone at once.
    let (had_readers, had_writers) = (pipe.has_readers(), pipe.has_writers());
    let end = Arc::new(PipeEnd::new(pipe, flags));
    let pipe = &end.pipe;
    if reads && !writes && !is_nonblocking && !had_writers {
        let has_partner = || pipe.has_writers() || pipe.writer_opens.load(Ordering::Acquire) != writer_opens;
        pipe.readable.wait_interruptible(|| has_partner().then_some(()), None)?;
    }
    if writes && !reads && !had_readers {
        let has_partner = || pipe.has_readers() || pipe.reader_opens.load(Ordering::Acquire) != reader_opens;
        pipe.writable.wait_interruptible(|| has_partner().then_some(()), None)?;
    }
    Ok(end)
}

/// The inode of a pipe without a name.
struct PipeInode {
    state: InodeState,
    number: u64,
    pipe: Arc<Pipe>,
    created: Timespec,
    /// Mode, user, group.
    owner: SpinLock<(u32, u32, u32)>,
}

impl Inode for PipeInode {
    fn metadata(&self) -> Metadata {
        let (mode, user, group) = *self.owner.lock();
        Metadata { mode, user, group, ..anonymous::metadata(self.number, FileKind::Fifo, self.created) }
    }

    fn kind(&self) -> FileKind {
        FileKind::Fifo
    }

    fn state(&self) -> &InodeState {
        &self.state
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<()> {
        let mut owner = self.owner.lock();
        owner.0 = change.mode.unwrap_or(owner.0);
        owner.1 = change.user.unwrap_or(owner.1);
        owner.2 = change.group.unwrap_or(owner.2);
        Ok(())
    }

    /// By way of /proc/PID/fd. Unlike a FIFO's, this open waits for nobody: the other end may have gone already.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        Ok(Some(Arc::new(PipeEnd::new(self.pipe.clone(), flags))))
    }
}
