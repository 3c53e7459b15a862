//! One file, several processes: each owns every n-th record, writes it by `write` or through a shared mapping, and all
//! records are there in the end. Names in one directory are made and removed by all.

use std::fs::{self, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::mm::MapFlags;

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, ensure, ensure_eq, same_bytes};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process;
use crate::worker::Context;

/// Bytes of a record: no divisor of a page, so records cross pages and share them.
const RECORD: usize = 100;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    fs::create_dir(&context.directory)?;
    mark!(context);
    let path = context.directory.join("records");
    let writers = context.random.within(2..=4);
    let records = context.random.within(1..=40) * writers;
    let length = records * RECORD;
    fs::write(&path, vec![0xff; length])?;
    let seed = context.random.fork();
    let mut children = Vec::new();
    for me in 0..writers {
        let mut random = context.random.fork();
        let (path, directory, seed) = (&path, &context.directory, &seed);
        children.push(process::spawn(move || {
            write_records(&mut random, path, (me..records).step_by(writers), length, seed)?;
            names(&mut random, directory, me)
        })?);
    }
    children.iter().try_for_each(process::Child::join)?;
    let seen = fs::read(&path)?;
    ensure_eq!(seen.len(), length, "the file's length");
    for (index, record) in seen.chunks(RECORD).enumerate() {
        same_bytes(&format!("record {index}"), record, &content(&seed, index))?;
    }
    let names = fs::read_dir(&context.directory)?.count();
    ensure_eq!(names, 1, "names that are left");
    fs::remove_file(&path)?;
    Ok(fs::remove_dir(&context.directory)?)
}

/// What a record holds in the end.
fn content(seed: &Random, index: usize) -> Vec<u8> {
    Random::new(&[seed.clone().next(), index as u64]).bytes(RECORD)
}

fn write_records(
    random: &mut Random,
    path: &Path,
    records: impl Iterator<Item = usize>,
    length: usize,
    seed: &Random,
) -> Outcome {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mapping = Mapping::of_file(file.as_fd(), length.next_multiple_of(PAGE), MapFlags::SHARED)?;
    for index in records {
        let bytes = content(seed, index);
        let mut seen = vec![0; RECORD];
        if random.once_in(2) {
            mapping.write(index * RECORD, &bytes);
            file.read_exact_at(&mut seen, (index * RECORD) as u64)?;
        } else {
            file.write_all_at(&bytes, (index * RECORD) as u64)?;
            mapping.read(index * RECORD, &mut seen);
        }
        same_bytes("a record on the other way", &seen, &bytes)?;
        if random.once_in(30) {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Makes, renames and removes names beside those of the others.
fn names(random: &mut Random, directory: &Path, me: usize) -> Outcome {
    for round in 0..random.within(1..=10) {
        let (old, new) = (directory.join(format!("{me}.{round}")), directory.join(format!("{me}")));
        fs::write(&old, [me as u8; 10])?;
        if random.once_in(2) {
            fs::rename(&old, &new)?;
        } else {
            fs::hard_link(&old, &new)?;
            fs::remove_file(&old)?;
        }
        ensure!(!old.exists(), "a name that was renamed is there");
        ensure_eq!(fs::read(&new)?, vec![me as u8; 10], "the file under its new name");
        fs::remove_file(&new)?;
    }
    Ok(())
}
