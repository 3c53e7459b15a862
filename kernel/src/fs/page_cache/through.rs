//! Files that others change too (a folder of the host): what is written goes to the other side at once, and what others
//! changed is noticed when one looks.
//!
//! The other side has the truth, the cache holds copies. So a write does not make pages dirty: it is sent, and its errors
//! are the writer's; pages that are here are changed alike. Only what programs store through mappings is dirty until it is
//! written back.

use super::{PAGE, PageCache, WritePlace, reclaim};
use crate::{
    error::{Error, Result},
    fs::io::Source,
    mm,
};
use abi::errno::Errno;
use alloc::vec::Vec;
use machine::{
    addr::{PAGE_SIZE, PhysAddr},
    mm::Frame,
};

/// What the other side says of a file's contents.
#[derive(Clone, Copy, Debug)]
pub(in crate::fs) struct Seen {
    /// The size.
    pub(in crate::fs) size: u64,
    /// Whether they are other ones than when the pages here were read.
    pub(in crate::fs) is_changed: bool,
}

/// Sends what lies in frames, so many bytes, to an offset; tells how many were taken.
type Send<'a> = &'a mut dyn FnMut(u64, &[Frame], usize) -> Result<usize>;

impl PageCache {
    /// Whether a page is newer than what is on the disk, or on the other side.
    pub(in crate::fs) fn has_dirty(&self) -> bool {
        self.pages.lock().are_newer()
    }

    /// Takes over what `look` says; clean pages go if the contents have changed. While somebody writes to the file or
    /// changes its size nothing is done, and `false` returned: what is here is newer.
    pub(in crate::fs) fn follow(&self, look: &mut dyn FnMut() -> Result<Seen>) -> Result<bool> {
        let Some(_writing) = self.writing.try_lock() else { return Ok(false) };
        let seen = look()?;
        let old_size = self.size();
        if seen.is_changed {
            let clean = self.take_clean();
            self.take_away(&clean);
        }
        if seen.size != old_size {
            let _settled = self.settle();
            self.size.store(seen.size, core::sync::atomic::Ordering::Release);
            if seen.size < old_size {
                self.remove_pages(seen.size.div_ceil(PAGE)..u64::MAX);
            }
        }
        if seen.size < old_size && self.is_mapped() {
            mm::forget_pages(self.identity(), seen.size.div_ceil(PAGE)..u64::MAX);
        }
        Ok(true)
    }

    /// Removes all clean pages: their indices, ascending, and frames.
    fn take_clean(&self) -> Vec<(u64, Frame)> {
        let _settled = self.settle();
        let mut pages = self.pages.lock();
        let clean = pages.map.iter().filter(|(_, page)| !page.is_dirty);
        let indices: Vec<u64> = clean.map(|(index, _)| index).collect();
        let taken: Vec<(u64, Frame)> = indices
            .into_iter()
            .filter_map(|index| pages.map.remove(index).map(|page| (index, page.frame)))
            .collect();
        drop(pages);
        reclaim::uncount(self.store.backing(), taken.len(), 0);
        taken
    }

    /// Takes pages that the cache has no more from the programs that map them; they get what is there now.
    fn take_away(&self, pages: &[(u64, Frame)]) {
        let (Some((first, _)), Some((last, _))) = (pages.first(), pages.last()) else { return };
        if !self.is_mapped() {
            return;
        }
        let address_of = |index: u64| -> Option<PhysAddr> {
            let at = pages.binary_search_by_key(&index, |&(index, _)| index).ok()?;
            Some(pages[at].1.address())
        };
        let is_page = |index: u64, frame: &Frame| address_of(index) == Some(frame.address());
        mm::release_pages(self.identity(), *first..last + 1, &is_page);
    }

    /// Writes as [`write`](Self::write) does, but straight to the other side: `send` gets an offset, frames with `length`
    /// bytes, and tells how many of them were written there. `frames` are sent at once, one at least.
    pub(in crate::fs) fn write_through(
        &self,
        offset: &mut u64,
        from: &mut Source<'_>,
        (place, limit): (WritePlace, u64),
        most_frames: usize,
        send: Send<'_>,
    ) -> Result<usize> {
        let _writing = self.writing.lock();
        if !self.place_write(offset, from, place, limit)? {
            return Ok(0);
        }
        let wanted = from.remaining().div_ceil(PAGE_SIZE).clamp(1, most_frames);
        let frames = (0..wanted).map(|_| mm::allocate());
        let frames: Vec<Frame> = frames.collect::<core::result::Result<_, _>>()?;
        let mut done = 0;
        while from.remaining() > 0 {
            // Filled without `transfer`: the program's memory may be pages of this very file.
            let (filled, outcome) = fill(&frames, from);
            let sent = if filled > 0 { self.send_part(*offset, &frames, filled, send) } else { Ok(0) };
            let sent = match sent {
                Ok(sent) => sent,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += sent;
            *offset += sent as u64;
            match outcome {
                Ok(()) if sent == filled && sent > 0 => {}
                Err(error) if done == 0 => return Err(error),
                _ => break,
            }
        }
        Ok(done)
    }

    fn send_part(&self, offset: u64, frames: &[Frame], length: usize, send: Send<'_>) -> Result<usize> {
        // Held so that no page comes in as it was before.
        let _transfer = self.transfer.write();
        if offset > self.size() {
            self.clear_behind_end();
        }
        let sent = send(offset, frames, length)?.min(length);
        self.change_cached(offset, frames, sent);
        self.grow_to(offset + sent as u64);
        Ok(sent)
    }

    /// Does to the pages that are here what was done to the file. `transfer` is held.
    fn change_cached(&self, offset: u64, frames: &[Frame], length: usize) {
        let mut bytes = [0; 512];
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let (within, start) = ((at % PAGE) as usize, done % PAGE_SIZE);
            let Some(page) = self.cached(at / PAGE) else {
                done += PAGE_SIZE - within;
                continue;
            };
            let part = bytes.len().min(PAGE_SIZE - within).min(PAGE_SIZE - start).min(length - done);
            frames[done / PAGE_SIZE].read(start, &mut bytes[..part]);
            page.write(within, &bytes[..part]);
            done += part;
        }
    }
}

/// Moves as much as there is from a program into frames, and tells how much that was and what ended it.
fn fill(frames: &[Frame], from: &mut Source<'_>) -> (usize, Result<()>) {
    let mut filled = 0;
    for frame in frames {
        let wanted = from.remaining().min(PAGE_SIZE);
        if wanted == 0 {
            break;
        }
        match from.read_frame(frame, 0, wanted) {
            Ok(moved) => {
                filled += moved;
                if moved < wanted {
                    return (filled, Err(Error::new(Errno::EFAULT, "bad user address")));
                }
            }
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}
