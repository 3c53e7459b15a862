//! The consoles: which devices the kernel was told to use, and making one of them standard input and output.

use std::env;
use std::fs;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::say::say;

/// What the kernel's command line hands over in the environment: the devices that get the shells of the line `console`,
/// instead of the consoles: `shells=ttyS0,hvc0`.
const SHELLS: &str = "shells";

/// Names below `/dev` of the devices that get shells; `None` if nobody has asked for other ones than the consoles. Those
/// that are missing are named, too: whoever starts the shells says so.
pub(crate) fn for_shells() -> Option<Vec<String>> {
    env::var(SHELLS).ok().map(|list| from_list(&list)).filter(|names| !names.is_empty())
}

fn from_list(list: &str) -> Vec<String> {
    let names = list.split(',').map(|name| name.strip_prefix("/dev/").unwrap_or(name).to_owned());
    names.filter(|name| !name.is_empty() && !name.contains("..")).collect()
}

/// Names below `/dev` of the consoles, in the order of the kernel command line; never empty.
pub(crate) fn names() -> Vec<String> {
    let asked = fs::read_to_string("/proc/cmdline").map(|text| from_cmdline(&text)).unwrap_or_default();
    let active = || {
        let text = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let named = if asked.is_empty() { active() } else { asked };
    let mut present: Vec<String> =
        named.into_iter().filter(|name| Path::new("/dev").join(name).exists()).collect();
    if present.is_empty() {
        present.push("console".to_owned());
    }
    present
}

/// The console that `/dev/console` stands for: the last one, as on Linux.
pub(crate) fn main() -> String {
    names().pop().unwrap_or_else(|| "console".to_owned())
}

/// The values of `console=`, without options such as the speed, each once.
fn from_cmdline(cmdline: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for word in cmdline.split_whitespace().take_while(|word| *word != "--") {
        let Some(value) = word.strip_prefix("console=") else { continue };
        let name = match value.split(',').next().unwrap_or_default() {
            // The screen that is shown, whichever that is later: at boot it is the first.
            "tty0" => "tty1",
            name => name,
        };
        if !name.is_empty() && !name.contains("..") && !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Makes `/dev/console` the standard input, output and error of process 1, without getting it as controlling terminal.
pub(crate) fn adopt() {
    if let Err(error) = connect("console") {
        say!("cannot use /dev/console: {error}");
    }
}

/// Opens a terminal and makes it descriptors 0, 1 and 2.
pub(crate) fn connect(name: &str) -> Result<(), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(Path::new("/dev").join(name), flags, Mode::empty())?;
    rustix::stdio::dup2_stdin(&terminal)?;
    rustix::stdio::dup2_stdout(&terminal)?;
    rustix::stdio::dup2_stderr(&terminal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_are_read_in_order_and_once() {
        let cmdline = "root=/dev/vda console=tty0 quiet console=ttyS0,115200n8 console=tty0 -- console=no";
        assert_eq!(from_cmdline(cmdline), ["tty1", "ttyS0"]);
    }

    #[test]
    fn shells_are_asked_for_by_a_list() {
        assert_eq!(from_list("ttyS0,/dev/hvc0,,../x"), ["ttyS0", "hvc0"]);
        assert!(from_list("").is_empty());
    }

    #[test]
    fn odd_values_name_no_console() {
        assert!(from_cmdline("console= console=,9600 xconsole=ttyS0 console=../../etc").is_empty());
    }
}
