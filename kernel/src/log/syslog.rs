//! The log as text, for syslog(2) and /proc/kmsg: each line of a message as `<6>[    1.234567] text`.
//!
//! There are two ways to read: all from the last "clear" on, as dmesg(1) did for decades, and what nobody has taken
//! yet, as klogd does; the place of the latter is one for the whole system, and whoever reads takes. Source:
//! syslog(2), proc_kmsg(5).

use super::{Line, MAX_MESSAGE, NEWS, RING, Reader, Seconds};
use crate::error::Result;
use alloc::vec::Vec;
use core::fmt::Write;
use machine::sync::IrqSpinLock;
use message_ring::{Cursor, Record};

/// Where "read all" begins after a "clear".
static CLEARED: IrqSpinLock<Option<Cursor>> = IrqSpinLock::new("log cleared", None);
/// What nobody has taken yet.
static TAKEN: IrqSpinLock<Place> = IrqSpinLock::new("log taken", Place { cursor: None, skip: 0 });

/// A place in the text: a message, and bytes of it that were taken already.
#[derive(Clone, Copy)]
struct Place {
    /// `None`: the oldest.
    cursor: Option<Cursor>,
    skip: usize,
}

impl Reader {
    /// One that begins where the log was last cleared.
    pub(crate) fn at_cleared() -> Self {
        let cleared = *CLEARED.lock();
        cleared.map_or_else(Self::at_oldest, Self)
    }
}

/// A message as lines.
fn format(record: &Record, text: &[u8], out: &mut Vec<u8>) {
    for line in text.split(|byte| *byte == b'\n') {
        let mut head = Line::<64>::new();
        // 64 bytes hold any priority and time.
        let _ = write!(head, "<{}>[{}] ", record.header.priority, Seconds(record.header.time_ns));
        out.extend_from_slice(head.bytes());
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

/// The newest messages since the last clear that fit into `limit` bytes.
pub(crate) fn newest(limit: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut starts = Vec::new();
    let mut reader = Reader::at_cleared();
    let mut buffer = [0; MAX_MESSAGE];
    while let Some((record, text)) = reader.next(&mut buffer) {
        starts.push(all.len());
        format(&record, text, &mut all);
    }
    let fits = |start: &&usize| all.len() - **start <= limit;
    let start = starts.iter().find(fits).copied().unwrap_or(all.len());
    all.split_off(start)
}

/// [`newest`] begins here from now on.
pub(crate) fn clear() {
    let newest = RING.lock().newest();
    *CLEARED.lock() = Some(newest);
}

/// The text from a place on, at most `limit` bytes, and the place behind it. A message that is gone is skipped.
fn text_from(place: Place, limit: usize) -> (Vec<u8>, Place) {
    let Place { cursor, mut skip } = place;
    let mut reader = cursor.map_or_else(Reader::at_oldest, Reader);
    let mut all = Vec::new();
    let mut buffer = [0; MAX_MESSAGE];
    loop {
        let (before, start) = (reader.clone(), all.len());
        let Some((record, text)) = reader.next(&mut buffer) else {
            return (all, Place { cursor: Some(reader.0), skip: 0 });
        };
        format(&record, text, &mut all);
        if record.sequence != before.sequence() {
            skip = 0;
        }
        all.drain(start..all.len().min(start + skip));
        if all.len() > limit {
            let left = all.len() - limit;
            let size = skip + all.len() - start;
            all.truncate(limit);
            return (all, Place { cursor: Some(before.0), skip: size - left });
        }
        skip = 0;
    }
}

/// Takes up to `limit` bytes of what nobody has taken; waits for some if there is none.
///
/// # Errors
/// A signal ended the wait.
pub(crate) fn take(limit: usize) -> Result<Vec<u8>> {
    NEWS.wait_interruptible(|| Some(try_take(limit)).filter(|text| !text.is_empty()), None)
}

/// The same without waiting: maybe nothing.
pub(crate) fn try_take(limit: usize) -> Vec<u8> {
    loop {
        let before = *TAKEN.lock();
        let (text, after) = text_from(before, limit);
        let mut taken = TAKEN.lock();
        // Somebody else may have taken the same meanwhile.
        if (taken.cursor, taken.skip) == (before.cursor, before.skip) {
            *taken = after;
            return text;
        }
    }
}

/// Whether there is something that nobody has taken yet.
pub(crate) fn has_untaken() -> bool {
    let place = *TAKEN.lock();
    place.cursor.map_or_else(Reader::at_oldest, Reader).has_next()
}

/// Bytes that nobody has taken yet.
pub(crate) fn untaken() -> usize {
    let place = *TAKEN.lock();
    text_from(place, usize::MAX).0.len()
}

#[cfg(feature = "tests")]
mod tests {
    use super::*;
    use test_macro::kernel_test;

    #[kernel_test]
    fn what_is_taken_in_pieces_is_the_whole() {
        let start = Place { cursor: Some(Reader::at_newest().0), skip: 0 };
        log::debug!("log: a message\nin two lines");
        log::debug!("log: another");
        let (whole, _) = text_from(start, usize::MAX);
        let wanted: &[u8] = b"] log: a message\n<7>[";
        assert!(whole.windows(wanted.len()).any(|part| part == wanted));
        for limit in [1, 2, 7, 40, 1000] {
            let (mut pieces, mut place) = (Vec::new(), start);
            while pieces.len() < whole.len() {
                let (piece, next) = text_from(place, limit);
                assert!(!piece.is_empty() && piece.len() <= limit);
                pieces.extend(piece);
                place = next;
            }
            assert_eq!(pieces[..whole.len()], whole);
        }
    }
}
