//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::board::MAX_JOBS;
use crate::operations;

pub(crate) const USAGE: &str = "\
usage: stress [OPTION...]
  --seed N          where the random numbers begin (default 1)
  --seconds N       how long to work (default 10)
  --steps N         end each worker after so many steps
  --jobs N          workers, 1 to 64 (default 4)
  --only NAME,...   only these operations (--list names them)
  --without NAME,...  all but these
  --dir DIRECTORY   where files are made; may be repeated, workers take turns (default /tmp)
  --limit SECONDS   a worker that takes longer for one step is reported as hanging (default 60)
  --refusals        the system may refuse memory and processes; such an operation ends without a fault
  --inject          have the kernel refuse memory to the workers at random (/proc/self/make-it-fail)
  --leaks           compare counts of tasks, files and memory before and after
  --replay W:S      do step S of worker W, and no other
  --list            name the operations and end";

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) duration: Duration,
    pub(crate) steps: u64,
    pub(crate) jobs: usize,
    /// Indices of operations.
    pub(crate) operations: Vec<usize>,
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) limit: Duration,
    pub(crate) has_refusals: bool,
    pub(crate) injects: bool,
    pub(crate) counts_leaks: bool,
    /// Worker and step.
    pub(crate) replay: Option<(usize, u64)>,
    pub(crate) lists: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            duration: Duration::from_secs(10),
            steps: u64::MAX,
            jobs: 4,
            operations: (0..operations::ALL.len()).collect(),
            directories: Vec::new(),
            limit: Duration::from_secs(60),
            has_refusals: false,
            injects: false,
            counts_leaks: false,
            replay: None,
            lists: false,
        }
    }
}

impl Options {
    /// Reads the words behind the program's name.
    pub(crate) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--seed" => options.seed = number(word, value()?)?,
                "--seconds" => options.duration = Duration::from_secs(number(word, value()?)?),
                "--steps" => options.steps = number(word, value()?)?,
                "--jobs" => options.jobs = number(word, value()?)? as usize,
                "--only" => options.operations = indices(value()?)?,
                "--without" => {
                    let without = indices(value()?)?;
                    options.operations.retain(|index| !without.contains(index));
                }
                "--dir" => options.directories.push(value()?.into()),
                "--limit" => options.limit = Duration::from_secs(number(word, value()?)?),
                "--refusals" => options.has_refusals = true,
                "--inject" => (options.injects, options.has_refusals) = (true, true),
                "--leaks" => options.counts_leaks = true,
                "--replay" => {
                    let value = value()?;
                    let (worker, step) = value.split_once(':').ok_or("--replay wants WORKER:STEP")?;
                    options.replay = Some((number(word, worker)? as usize, number(word, step)?));
                }
                "--list" => options.lists = true,
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        if !(1..=MAX_JOBS).contains(&options.jobs) {
            return Err(format!("--jobs is 1 to {MAX_JOBS}"));
        }
        if options.operations.is_empty() {
            return Err("no operation is left".into());
        }
        if options.directories.is_empty() {
            options.directories.push("/tmp".into());
        }
        Ok(options)
    }
}

fn number(option: &str, word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{option} wants a number, not `{word}`"))
}

fn indices(names: &str) -> Result<Vec<usize>, String> {
    let find = |name: &str| {
        let found = operations::ALL.iter().position(|operation| operation.name == name);
        found.ok_or(format!("no operation is called `{name}`; --list names them"))
    };
    names.split(',').map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options = parse("--seed 7 --jobs 3 --only fork,map --replay 2:40 --inject").expect("a good line");
        assert_eq!((options.seed, options.jobs, options.operations.len()), (7, 3, 2));
        assert_eq!(options.replay, Some((2, 40)));
        assert!(options.has_refusals);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--jobs 0", "--jobs 65", "--only nothing", "--seed", "--seed x", "--replay 3", "more"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
