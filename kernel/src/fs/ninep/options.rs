//! Mount options of 9P, named as Linux names them: `trans=virtio`, `version=9p2000.L`, `msize=N`, `cache=none|mmap|loose`,
//! `uname=`, `aname=`, `access=`. A program's rights are checked here, by what the server tells of owners and modes, whatever
//! `access` says; the server is asked by one user for all.

use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{format, string::String, vec::Vec};

/// The shortest message with which everything can be asked.
const MESSAGE_MIN: u32 = 8 * 1024;

/// Mount options.
pub(super) struct Options {
    /// The longest message that is offered; `None`: as long as messages get.
    pub(super) message_size: Option<u32>,
    /// Names and attributes are believed.
    pub(super) is_loose: bool,
    /// Who the server is told that asks.
    pub(super) user: Vec<u8>,
    /// The tree that is asked for; empty: the one that there is.
    pub(super) tree: Vec<u8>,
}

impl Options {
    /// From the text of mount(2).
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let mut options =
            Self { message_size: None, is_loose: false, user: b"nobody".to_vec(), tree: Vec::new() };
        let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let is_known = match name {
                "trans" => value == "virtio",
                "version" => value.eq_ignore_ascii_case("9p2000.L"),
                "msize" => {
                    let size = value.parse().ok().filter(|&size| size >= MESSAGE_MIN);
                    options.message_size = size;
                    size.is_some()
                }
                "cache" => {
                    options.is_loose = value == "loose";
                    matches!(value, "none" | "mmap" | "loose")
                }
                "uname" => {
                    options.user = value.into();
                    true
                }
                "aname" => {
                    options.tree = value.into();
                    true
                }
                "access" => matches!(value, "any" | "client" | "user"),
                "ro" | "rw" => value.is_empty(),
                _ => false,
            };
            if !is_known {
                return Err(Error::new(Errno::EINVAL, "unknown option of 9p"));
            }
        }
        Ok(options)
    }

    /// For /proc/mounts.
    pub(super) fn show(&self, message_size: u32) -> String {
        let cache = if self.is_loose { "loose" } else { "none" };
        let text = |name: &str, value: &[u8], usual: &[u8]| match value == usual {
            true => String::new(),
            false => format!(",{name}={}", String::from_utf8_lossy(value)),
        };
        let user = text("uname", &self.user, b"nobody");
        let tree = text("aname", &self.tree, b"");
        format!(",trans=virtio,version=9p2000.L,msize={message_size},cache={cache},access=any{user}{tree}")
    }
}
