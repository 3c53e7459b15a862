//! Files: written, cut, renamed, linked, removed, mapped and synced; each against a copy in memory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::mm::MapFlags;

use super::mark;
use crate::random::Random;
use crate::report::{Outcome, ensure, ensure_eq, same_bytes};
use crate::sys::memory::{Mapping, PAGE};
use crate::worker::Context;

/// Bytes of the longest file.
const LONGEST: usize = 40_000;

type Model = BTreeMap<String, Vec<u8>>;

pub(crate) fn run(context: &mut Context<'_>) -> Outcome {
    fs::create_dir(&context.directory)?;
    let mut model = Model::new();
    for _ in 0..context.random.within(3..=40) {
        mark!(context);
        step(&mut context.random, &context.directory, &mut model)?;
    }
    mark!(context);
    check_all(&context.directory, &model)?;
    for name in model.keys() {
        fs::remove_file(context.directory.join(name))?;
    }
    fs::remove_dir(&context.directory)?;
    ensure!(!context.directory.exists(), "a removed directory is there");
    Ok(())
}

fn any_name(random: &mut Random, model: &Model) -> Option<String> {
    let index = random.below(model.len().max(1));
    model.keys().nth(index).cloned()
}

fn step(random: &mut Random, directory: &Path, model: &mut Model) -> Outcome {
    let kind = random.below(12);
    let Some(name) = any_name(random, model).filter(|_| kind > 1) else {
        return create(random, directory, model);
    };
    let path = directory.join(&name);
    let content = model.get_mut(&name).expect("the name was taken from the model");
    match kind {
        2 | 3 => {
            let at = random.below(LONGEST / 2);
            let length = random.within(1..=9000);
            let bytes = random.bytes(length);
            OpenOptions::new().write(true).open(&path)?.write_all_at(&bytes, at as u64)?;
            let end = at + bytes.len();
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(&bytes);
        }
        4 => {
            let length = random.below(LONGEST);
            OpenOptions::new().write(true).open(&path)?.set_len(length as u64)?;
            content.resize(length, 0);
        }
        5 => {
            let new_name = format!("f{}", random.below(12));
            fs::rename(&path, directory.join(&new_name))?;
            let content = model.remove(&name).expect("it is in the model");
            model.insert(new_name, content);
        }
        6 => {
            fs::remove_file(&path)?;
            model.remove(&name);
            ensure!(!path.exists(), "a removed file is there");
        }
        7 | 8 => change_mapped(random, &path, content)?,
        9 => {
            let length = random.below(3000);
            let bytes = random.bytes(length);
            let mut file = OpenOptions::new().append(true).open(&path)?;
            file.write_all(&bytes)?;
            content.extend_from_slice(&bytes);
            ensure_eq!(file.seek(SeekFrom::End(0))?, content.len() as u64, "the length after appending");
        }
        10 => {
            let file = File::open(&path)?;
            if random.once_in(2) { file.sync_all()? } else { file.sync_data()? }
        }
        _ => same_bytes(&name, &fs::read(&path)?, content)?,
    }
    Ok(())
}

fn create(random: &mut Random, directory: &Path, model: &mut Model) -> Outcome {
    let name = format!("f{}", random.below(12));
    let length = random.below(6000);
    let bytes = random.bytes(length);
    let mut file = File::create(directory.join(&name))?;
    model.insert(name.clone(), Vec::new());
    file.write_all(&bytes)?;
    ensure_eq!(file.metadata()?.len(), bytes.len() as u64, "the length of a new file");
    model.insert(name, bytes);
    Ok(())
}

/// Changes a file through a mapping; what a read shows afterwards must agree, and the other way round.
fn change_mapped(random: &mut Random, path: &Path, content: &mut [u8]) -> Outcome {
    if content.is_empty() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let is_shared = !random.once_in(3);
    let flags = if is_shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
    let mapping = Mapping::of_file(file.as_fd(), content.len().next_multiple_of(PAGE), flags)?;
    let mut seen = vec![0; content.len()];
    mapping.read(0, &mut seen);
    same_bytes("a mapped file", &seen, content)?;
    let mut private = content.to_vec();
    for _ in 0..random.within(1..=6) {
        let at = random.below(content.len());
        let end = (at + random.within(1..=500)).min(content.len());
        random.fill(&mut private[at..end]);
        mapping.write(at, &private[at..end]);
    }
    if is_shared {
        content.copy_from_slice(&private);
        if random.once_in(4) {
            mapping.sync()?;
        }
    }
    file.read_exact_at(&mut seen, 0)?;
    same_bytes("a file that was changed through a mapping", &seen, content)?;
    mapping.read(0, &mut seen);
    same_bytes("the mapping", &seen, &private)?;
    // Beyond the end of the file the rest of the page is zero, or what this mapping wrote.
    let rest = mapping.length() - content.len();
    ensure!((0..rest).all(|offset| mapping.get(content.len() + offset) == 0), "the rest of the page");
    Ok(())
}

fn check_all(directory: &Path, model: &Model) -> Outcome {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    ensure_eq!(names, model.keys().cloned().collect::<Vec<_>>(), "names in the directory");
    for (name, content) in model {
        same_bytes(name, &fs::read(directory.join(name))?, content)?;
        ensure_eq!(fs::metadata(directory.join(name))?.len(), content.len() as u64, "the length of {name}");
    }
    Ok(())
}
