//! `/etc/consoles`: which shell runs on which console.
//!
//! One line a console, `DEVICE: PROGRAM ARGUMENT...`; `#` starts a comment line. DEVICE is a name
//! below `/dev`; the name `console` stands for every console of the kernel command line
//! (`console=`), or for the devices that its `shells=` lists instead (`shells=ttyS0,hvc0`). A `?` before it means: if there is such a device. Words are divided by blanks, without quotes: for more, write a script.

use std::fmt;
use std::io::ErrorKind;

use crate::say::say;

const PATH: &str = "/etc/consoles";

/// One line: a device name below `/dev` and the words of the command that runs on it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) device: String,
    /// Its absence is no fault.
    pub(crate) is_optional: bool,
    pub(crate) command: Vec<String>,
}

/// The consoles in file order.
#[derive(Debug, PartialEq)]
pub(crate) struct Consoles {
    pub(crate) lines: Vec<Line>,
}

/// A line that is not used, and why.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    /// Counted from 1.
    line: usize,
    why: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}: {}", self.line, self.why)
    }
}

impl Default for Consoles {
    /// A login shell on each console of the kernel command line.
    fn default() -> Self {
        let command = vec!["/bin/sh".to_owned(), "-l".to_owned()];
        Consoles { lines: vec![Line { device: "console".to_owned(), is_optional: false, command }] }
    }
}

impl Consoles {
    /// Reads the file. Faulty lines are reported and left out; without a usable line the default serves.
    pub(crate) fn load() -> Self {
        let text = match std::fs::read_to_string(PATH) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    say!("cannot read {PATH}: {error}");
                }
                return Consoles::default();
            }
        };
        let (consoles, faults) = Consoles::parse(&text);
        for fault in faults {
            say!("{PATH}: {fault}");
        }
        if consoles.lines.is_empty() { Consoles::default() } else { consoles }
    }

    /// The good lines and the faults of the others.
    pub(crate) fn parse(text: &str) -> (Self, Vec<Fault>) {
        let mut lines: Vec<Line> = Vec::new();
        let mut faults = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let raw = raw.trim();
            if raw.is_empty() || raw.starts_with('#') {
                continue;
            }
            match parse_line(raw) {
                Ok(line) if lines.iter().any(|other| other.device == line.device) => {
                    faults.push(Fault { line: index + 1, why: "this console has a line already" });
                }
                Ok(line) => lines.push(line),
                Err(why) => faults.push(Fault { line: index + 1, why }),
            }
        }
        (Consoles { lines }, faults)
    }
}

fn parse_line(raw: &str) -> Result<Line, &'static str> {
    let (device, command) = raw.split_once(':').ok_or("expected `DEVICE: PROGRAM ARGUMENT...`")?;
    let (device, is_optional) = match device.trim().strip_prefix('?') {
        Some(device) => (device.trim(), true),
        None => (device.trim(), false),
    };
    let device = device.strip_prefix("/dev/").unwrap_or(device);
    if device.is_empty() || device.contains(char::is_whitespace) || device.contains("..") {
        return Err("expected one device name before the colon");
    }
    let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    match command.first() {
        None => Err("expected a program after the colon"),
        Some(program) if !program.starts_with('/') => Err("the program must be an absolute path"),
        Some(_) => Ok(Line { device: device.to_owned(), is_optional, command }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        let (consoles, faults) = Consoles::parse("# a\n\n   \n#b: /c\n");
        assert!(consoles.lines.is_empty() && faults.is_empty());
    }

    #[test]
    fn a_line_is_a_device_and_words() {
        let (consoles, faults) = Consoles::parse("/dev/ttyS0:  /bin/sh   -l\nconsole: /bin/login");
        assert!(faults.is_empty());
        assert_eq!(consoles.lines[0].device, "ttyS0");
        assert_eq!(consoles.lines[0].command, ["/bin/sh", "-l"]);
        assert_eq!(consoles.lines[1].device, "console");
    }

    #[test]
    fn faulty_lines_are_named_and_the_others_kept() {
        let text =
            "ttyS0\n: /bin/sh\ntty1:\ntty2: sh\ntty3: /bin/sh\ntty3: /bin/ash\n../x: /bin/sh\na b: /c\n";
        let (consoles, faults) = Consoles::parse(text);
        assert_eq!(consoles.lines.len(), 1);
        assert_eq!(consoles.lines[0].device, "tty3");
        let at: Vec<usize> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(at, [1, 2, 3, 4, 6, 7, 8]);
        assert!(faults[0].to_string().starts_with("line 1: "));
    }
}
