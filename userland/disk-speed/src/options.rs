//! The command line.

use std::path::PathBuf;

use crate::measurements::{ALL, Measurement};

pub(crate) const USAGE: &str = "\
usage: disk-speed [OPTION...]
  --dir FOLDER     on the file system to measure (default .)
  --mib N          size of the file for transfers and random reads, 1 to 1048576 (default 64)
  --percent N      of the usual number of operations, 1 to 10000 (default 100)
  --only NAME,...  only these measurements
  --list           name the measurements and end";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Help,
    List,
    Measure(Options),
}

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) folder: PathBuf,
    pub(crate) mib: usize,
    pub(crate) percent: usize,
    pub(crate) chosen: Vec<Measurement>,
}

impl Options {
    /// Reads the words behind the program's name.
    pub(crate) fn parse(words: &[String]) -> Result<Request, String> {
        let mut options = Options { folder: ".".into(), mib: 64, percent: 100, chosen: ALL.to_vec() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--dir" => options.folder = value()?.into(),
                "--mib" => options.mib = number(word, value()?, 1 << 20)?,
                "--percent" => options.percent = number(word, value()?, 10_000)?,
                "--only" => options.chosen = value()?.split(',').map(named).collect::<Result<_, _>>()?,
                "--list" => return Ok(Request::List),
                "--help" | "-h" => return Ok(Request::Help),
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        Ok(Request::Measure(options))
    }
}

fn number(option: &str, word: &str, most: usize) -> Result<usize, String> {
    match word.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("{option} wants a number from 1 to {most}, not `{word}`")),
    }
}

fn named(name: &str) -> Result<Measurement, String> {
    let found = ALL.iter().find(|one| one.name == name);
    found.copied().ok_or(format!("no measurement is called `{name}`; --list names them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let Ok(Request::Measure(options)) = parse("--dir /mnt --mib 3 --percent 5 --only stat,write") else {
            panic!("a good line is refused");
        };
        assert_eq!((options.folder, options.mib, options.percent), ("/mnt".into(), 3, 5));
        assert_eq!(options.chosen.iter().map(|one| one.name).collect::<Vec<_>>(), ["stat", "write"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--mib 0", "--mib x", "--percent 10001", "--only nothing", "--dir", "more"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
