//! Mount options of overlay.

use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{string::String, vec::Vec};

/// Lower layers that an overlay may have, as on Linux.
const LAYERS: usize = 500;

/// Mount options.
pub(super) struct Options {
    /// The lower layers, the uppermost first.
    pub(super) lower: Vec<Vec<u8>>,
    pub(super) upper: Option<Vec<u8>>,
    pub(super) work: Option<Vec<u8>>,
    /// As they were given, for /proc/mounts.
    text: String,
}

impl Options {
    /// From the text of mount(2).
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self { lower: Vec::new(), upper: None, work: None, text: String::new() };
        for option in text.split(|&byte| byte == b',').filter(|option| !option.is_empty()) {
            let at = option.iter().position(|&byte| byte == b'=').unwrap_or(option.len());
            let (name, value) = (&option[..at], option.get(at + 1..).unwrap_or_default());
            match (name, value) {
                (b"lowerdir", value) => options.lower = layers(value),
                (b"upperdir", value) => options.upper = Some(value.to_vec()),
                (b"workdir", value) => options.work = Some(value.to_vec()),
                // What is here has neither of these, and numbers as `xino` makes them.
                (b"index" | b"metacopy" | b"nfs_export", b"off")
                | (b"redirect_dir", b"off" | b"nofollow")
                | (b"xino", b"on" | b"auto") => continue,
                _ => return Err(Error::new(Errno::EINVAL, "unknown option of overlay")),
            }
            options.text.push(',');
            options.text.push_str(&String::from_utf8_lossy(option));
        }
        if options.lower.is_empty() || options.lower.len() > LAYERS {
            return Err(Error::new(Errno::EINVAL, "1 to 500 lower layers"));
        }
        Ok(options)
    }

    /// For /proc/mounts.
    pub(super) fn show(&self) -> String {
        self.text.clone()
    }
}

/// Paths with colons between them; a backslash before one makes it a part of the path.
fn layers(text: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = Vec::from([Vec::new()]);
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let last = layers.last_mut().expect("it begins with one");
        match byte {
            b'\\' => last.extend(bytes.next()),
            b':' => layers.push(Vec::new()),
            byte => last.push(byte),
        }
    }
    layers.retain(|layer| !layer.is_empty());
    layers
}
