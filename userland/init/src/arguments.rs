//! What the command line asks for, in both roles: process 1 and a program started by hand.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::say::say;

pub(crate) const USAGE: &str = "\
usage: init                       as process 1: run the system
       init --check-config FILE   check a list of consoles, as in /etc/consoles
       init --on TTY COMMAND...   run COMMAND as a new session on TTY
       init --help | --version

Words for process 1 stand on the kernel command line after `--`:
       single                     one shell on the console, without /etc/rc
       -c 'COMMAND'               run a shell command, then power off
       PROGRAM ARGUMENT...        run a program, then power off";

/// What process 1 is to do once the system is up.
#[derive(Debug, PartialEq)]
pub(crate) enum Plan {
    /// `/etc/rc`, then a shell on each console.
    Consoles,
    /// One shell on the main console.
    Single,
    /// One command on the main console, then power off.
    Command(Vec<String>),
}

/// What a call by hand asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Help,
    Version,
    CheckConfig(String),
    On { tty: String, command: Vec<String> },
}

/// Reads the words of a process that is not process 1.
pub(crate) fn parse(words: &[String]) -> Result<Request, String> {
    match words {
        [word] if word == "--help" || word == "-h" => Ok(Request::Help),
        [word] if word == "--version" => Ok(Request::Version),
        [word, path] if word == "--check-config" => Ok(Request::CheckConfig(path.clone())),
        [word, tty, command @ ..] if word == "--on" && !command.is_empty() => {
            Ok(Request::On { tty: tty.clone(), command: command.to_vec() })
        }
        [] => Err(format!("this is process {}, only process 1 runs the system\n{USAGE}", std::process::id())),
        [word, ..] => Err(format!("`{word}`: wrong word or wrong number of words\n{USAGE}")),
    }
}

/// Reads the words that the kernel handed to process 1. Unknown words are named and passed over:
/// the kernel also hands over words that were meant for itself and that it does not know.
pub(crate) fn plan(words: &[String]) -> Plan {
    let mut rest = words;
    while let [word, after @ ..] = rest {
        match word.as_str() {
            "single" | "s" | "S" | "1" | "emergency" => return Plan::Single,
            "-c" => match after {
                [command, ..] => {
                    return Plan::Command(vec!["/bin/sh".to_owned(), "-c".to_owned(), command.clone()]);
                }
                [] => say!("`-c` wants a command"),
            },
            "--" | "auto" => {}
            _ if is_program(word) => return Plan::Command(rest.to_vec()),
            _ => say!("`{word}` is neither a word of mine nor a program: passed over"),
        }
        rest = after;
    }
    Plan::Consoles
}

/// Whether a word names an executable file: by a path, or by a name in the directories of [`crate::session::PATH`].
fn is_program(word: &str) -> bool {
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if word.contains('/') {
        return executable(Path::new(word));
    }
    crate::session::PATH.split(':').any(|folder| executable(&Path::new(folder).join(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn without_words_the_consoles_run() {
        assert_eq!(plan(&[]), Plan::Consoles);
        assert_eq!(plan(&words(&["auto"])), Plan::Consoles);
    }

    #[test]
    fn unknown_words_are_passed_over() {
        assert_eq!(plan(&words(&["nosuchword"])), Plan::Consoles);
        assert_eq!(plan(&words(&["nosuchword", "single"])), Plan::Single);
        assert_eq!(plan(&words(&["-c"])), Plan::Consoles);
    }

    #[test]
    fn a_program_takes_all_words_after_it() {
        let command = words(&["sh", "-c", "single"]);
        assert_eq!(plan(&command), Plan::Command(command.clone()));
        assert_eq!(plan(&words(&["--", "/bin/sh"])), Plan::Command(words(&["/bin/sh"])));
    }

    #[test]
    fn dash_c_is_a_shell_command() {
        assert_eq!(plan(&words(&["-c", "exit 3"])), Plan::Command(words(&["/bin/sh", "-c", "exit 3"])));
    }

    #[test]
    fn calls_by_hand_are_checked() {
        assert_eq!(parse(&words(&["--version"])), Ok(Request::Version));
        assert_eq!(parse(&words(&["--check-config", "x"])), Ok(Request::CheckConfig("x".to_owned())));
        assert!(parse(&words(&["--on", "ttyS0"])).is_err());
        assert!(parse(&[]).unwrap_err().contains("only process 1"));
        assert!(parse(&words(&["6"])).unwrap_err().contains("`6`"));
    }
}
