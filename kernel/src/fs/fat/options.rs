//! Mount options of FAT.

use crate::{
    error::{Error, Result},
    process,
};
use abi::errno::Errno;
use alloc::{format, string::String};

/// Mount options.
pub(super) struct Options {
    pub(super) user: u32,
    pub(super) group: u32,
    /// Permissions that files do not have, and directories.
    pub(super) file_mask: u32,
    pub(super) directory_mask: u32,
    /// What owners cannot be given to is no error.
    pub(super) is_quiet: bool,
    /// Something broken does not make it read-only.
    pub(super) continues: bool,
}

impl Options {
    /// Those of the process that mounts, where nothing else is said.
    fn for_current() -> Self {
        let (user, group, umask) = match process::try_current() {
            Some(process) => {
                let credentials = process.credentials();
                (credentials.uid, credentials.gid, process.fs_context().umask())
            }
            None => (0, 0, 0o022),
        };
        Self { user, group, file_mask: umask, directory_mask: umask, is_quiet: false, continues: false }
    }

    /// From the text of mount(2).
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let mut options = Self::for_current();
        let text = core::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let mask = || u32::from_str_radix(value, 8).map(|mask| mask & 0o777).map_err(|_| Errno::EINVAL);
            let is_known = match name {
                "uid" => {
                    options.user = value.parse().map_err(|_| Errno::EINVAL)?;
                    true
                }
                "gid" => {
                    options.group = value.parse().map_err(|_| Errno::EINVAL)?;
                    true
                }
                "umask" => {
                    options.file_mask = mask()?;
                    options.directory_mask = options.file_mask;
                    true
                }
                "fmask" => {
                    options.file_mask = mask()?;
                    true
                }
                "dmask" => {
                    options.directory_mask = mask()?;
                    true
                }
                "quiet" => {
                    options.is_quiet = true;
                    true
                }
                "errors" => {
                    options.continues = value == "continue";
                    matches!(value, "continue" | "remount-ro")
                }
                "shortname" => matches!(value, "lower" | "win95" | "winnt" | "mixed"),
                "tz" => value == "UTC",
                "codepage" | "iocharset" | "check" => !value.is_empty(),
                "utf8" | "ro" | "rw" | "flush" => true,
                _ => false,
            };
            if !is_known {
                return Err(Error::new(Errno::EINVAL, "unknown option of vfat"));
            }
        }
        Ok(options)
    }

    /// For /proc/mounts.
    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        for (name, number) in [("uid", self.user), ("gid", self.group)] {
            if number != 0 {
                text.push_str(&format!(",{name}={number}"));
            }
        }
        let errors = if self.continues { "continue" } else { "remount-ro" };
        let quiet = if self.is_quiet { ",quiet" } else { "" };
        let masks = format!(",fmask={:04o},dmask={:04o}", self.file_mask, self.directory_mask);
        text + &masks + ",codepage=437,iocharset=utf8,shortname=mixed" + quiet + ",errors=" + errors
    }
}
