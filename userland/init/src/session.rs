//! The second role of this program: open a session on a terminal, then become the command.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::{env, io};

use rustix::process::{ioctl_tiocsctty, setsid};

use crate::console;
use crate::say::say;

/// Where programs are looked for.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const HOME: &str = "/root";

/// Replaces this process by `command`, as leader of a new session with the terminal `/dev/TTY` as controlling
/// terminal. Returns only on failure, with the status that a shell would give.
pub(crate) fn become_on(tty: &str, command: &[String]) -> ExitCode {
    if let Err(error) = setsid() {
        say!("no session of its own for {tty}: {error}");
    }
    if let Err(error) = console::connect(tty) {
        say!("cannot use /dev/{tty}: {error}");
        return ExitCode::from(126);
    }
    if let Err(error) = ioctl_tiocsctty(rustix::stdio::stdin()) {
        say!("no job control on {tty}: {error}");
    }
    fail(command, &replace(tty, command))
}

/// When process 1 cannot do its work: it becomes a shell, which is better than a kernel panic.
pub(crate) fn last_resort() -> ! {
    let shell = ["/bin/sh".to_owned()];
    let _ = fail(&shell, &replace("console", &shell));
    loop {
        std::thread::park();
    }
}

fn replace(tty: &str, command: &[String]) -> io::Error {
    let Some((program, arguments)) = command.split_first() else {
        return io::Error::from(io::ErrorKind::NotFound);
    };
    let _ = env::set_current_dir(HOME).or_else(|_| env::set_current_dir("/"));
    Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .env("HOME", HOME)
        .env("USER", "root")
        .env("LOGNAME", "root")
        .env("SHELL", "/bin/sh")
        .env("TERM", terminal_type(tty, env::var("TERM").ok()))
        .exec()
}

fn fail(command: &[String], error: &io::Error) -> ExitCode {
    say!("cannot run {}: {error}", command.first().map_or("nothing", String::as_str));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
}

/// The kernel hands over `TERM=linux`, as programs expect of one. Its own screens are like xterm, of a serial line
/// nothing is known. Any other value was chosen by somebody and stays.
fn terminal_type(tty: &str, given: Option<String>) -> String {
    let is_screen =
        tty.strip_prefix("tty").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match given {
        Some(given) if given != "linux" && !given.is_empty() => given,
        _ if is_screen => "xterm-256color".to_owned(),
        _ => "vt100".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_type_follows_the_device_unless_chosen() {
        assert_eq!(terminal_type("tty1", Some("linux".to_owned())), "xterm-256color");
        assert_eq!(terminal_type("ttyS0", Some("linux".to_owned())), "vt100");
        assert_eq!(terminal_type("ttyS0", Some("xterm".to_owned())), "xterm");
        assert_eq!(terminal_type("console", None), "vt100");
    }
}
