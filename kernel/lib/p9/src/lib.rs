//! The client's side of 9P2000.L, the protocol by which a folder of the host is used: requests to bytes, bytes to answers.
//!
//! | file | what |
//! |---|---|
//! | `wire.rs` | numbers and strings, little-endian, each read checked |
//! | `frame.rs` | what stands around each message: length, type, tag |
//! | `request.rs` | requests |
//! | `answer.rs` | answers, and the names of a directory |
//! | `fids.rs` | which fids are free |
//!
//! A *fid* is a number that the client gives to a file at the server; a *qid* is what the server says a file is: two files
//! are the same if their qids have the same path. The server may lie: whatever it answers, the functions here return a
//! value within its bounds or [`Error`], and take no more memory than the answer is long.
//!
//! Sources: intro(5) of Plan 9's manual; "9P2000.L protocol" of the diod project; include/net/9p/9p.h of Linux for the
//! numbers.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod error;
mod fids;
mod frame;
mod request;
mod wire;

pub use answer::{
    Attributes, DirectoryEntry, Entries, Qid, Space, Version, attributes, count, failure, link_target,
    nothing, opened, qid, size, space, version, walked,
};
pub use error::Error;
pub use fids::Fids;
pub use frame::{FAILURE, FAILURE_LENGTH, HEADER_LENGTH, Header, NO_TAG, READ_HEADER, WRITE_HEADER, seal};
pub use request::{
    ATTRIBUTES_BASIC, Change, NO_FID, NO_USER, OPEN_DIRECTORY, OPEN_EXCLUSIVE, OPEN_READ, OPEN_READ_WRITE,
    OPEN_WRITE, REMOVE_DIRECTORY, Request, TimeChange, VERSION,
};

/// Longest name in a directory, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest target of a symbolic link.
pub const TARGET_MAX: usize = 4095;
