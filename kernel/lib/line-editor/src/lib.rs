//! Editing a line on a terminal: keys, cursor, history, completion, paging, and how a line falls into commands and words.
//!
//! For a monitor that must also work after a panic: nothing here allocates, everything has a fixed size, and text is
//! written through `core::fmt::Write`. The terminal is one that knows `ESC [ K` (erase to the end of the line) and
//! `ESC [ n C` (go right): VT100 and all that came after it.
//!
//! | file | what |
//! |---|---|
//! | `keys.rs` | from bytes to keys |
//! | `line.rs` | the text and the cursor |
//! | `history.rs` | the lines before |
//! | `completion.rs` | what Tab does |
//! | `editor.rs` | all of that on a terminal: [`Editor`] |
//! | `pager.rs` | output page by page |
//! | `words.rs` | commands between semicolons, words between blanks |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod completion;
mod editor;
mod history;
mod keys;
mod line;
mod pager;
mod words;

pub use completion::Candidates;
pub use editor::{Editor, Event};
pub use history::History;
pub use keys::{Key, Keys};
pub use line::{LINE_BYTES, Line};
pub use pager::{Answer, Pager};
pub use words::{Words, commands};
