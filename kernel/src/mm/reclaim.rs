//! Frames for programs: when there are none, the page cache gives some back first.

use crate::fs::page_cache;
use machine::mm::{Frame, OutOfMemory};

/// How many pages are asked back at a time.
const BATCH: usize = 64;

/// Calls `allocate` until it succeeds or nothing can be given back any more. May sleep.
pub(crate) fn retry<T>(mut allocate: impl FnMut() -> Result<T, OutOfMemory>) -> Result<T, OutOfMemory> {
    loop {
        match allocate() {
            Ok(value) => return Ok(value),
            Err(error) if release(BATCH) == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// A frame with unspecified contents. May sleep.
pub(crate) fn allocate() -> Result<Frame, OutOfMemory> {
    retry(Frame::allocate)
}

/// A frame of zeros. May sleep.
pub(crate) fn allocate_zeroed() -> Result<Frame, OutOfMemory> {
    retry(Frame::allocate_zeroed)
}

/// Asks the page cache for frames; tells how many came.
fn release(frames: usize) -> usize {
    page_cache::reclaim(frames)
}
