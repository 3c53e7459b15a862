//! Images that the crate has changed: `fsck.fat` finds nothing, mtools read what was written, and a model agrees.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use fat::{Disk, Error, Item, Medium, Place, Timestamp, Volume};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk in memory.
struct Image(RefCell<Vec<u8>>);

impl Disk for &Image {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let image = self.0.borrow();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| image.get(start..end));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
    }
}

impl Medium for &Image {
    fn write(&self, offset: u64, bytes: &[u8]) -> bool {
        let mut image = self.0.borrow_mut();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = start.checked_add(bytes.len()).and_then(|end| image.get_mut(start..end));
        place.map(|place| place.copy_from_slice(bytes)).is_some()
    }
}

fn output(command: &mut Command) -> (bool, String) {
    let output = command.env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?} (dosfstools, mtools): {error}"));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// An empty file system of so many KiB.
fn image(name: &str, kibibytes: usize, options: &[&str]) -> (PathBuf, Image) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fat-{name}"));
    std::fs::File::create(&path).unwrap().set_len(kibibytes as u64 * 1024).unwrap();
    let (is_made, text) = output(Command::new("mkfs.fat").args(options).arg(&path));
    assert!(is_made, "{text}");
    let bytes = std::fs::read(&path).unwrap();
    (path, Image(RefCell::new(bytes)))
}

/// One of each kind, for a test of that name.
fn kinds(test: &str) -> [(PathBuf, Image); 3] {
    [
        image(&format!("{test}12"), 8000, &["-F", "12", "-s", "4", "-r", "2048"]),
        image(&format!("{test}16"), 20_000, &["-F", "16", "-s", "4", "-r", "2048"]),
        image(&format!("{test}32"), 40_000, &["-F", "32", "-s", "1"]),
    ]
}

/// Puts the image back into its file, and has `fsck.fat` look at it.
fn check(path: &Path, image: &Image) {
    std::fs::write(path, &*image.0.borrow()).unwrap();
    let (is_clean, text) = output(Command::new("fsck.fat").args(["-n", "-v"]).arg(path));
    assert!(is_clean, "{text}");
    for complaint in ["differ", "wrong", "Dirty", "Reclaim", "Free cluster"] {
        assert!(!text.contains(complaint), "{text}");
    }
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

const NOW: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };

/// Replaces the contents of a file.
fn fill(volume: &mut Volume<&Image>, item: &mut Item, contents: &[u8]) -> Result<(), Error> {
    let mut from = Place::default();
    let size = contents.len() as u32;
    volume.reserve(item, &mut from, size)?;
    volume.shrink(item, size)?;
    item.size = size;
    volume.update(item)?;
    let mut from = Place::default();
    let mut done = 0;
    while done < contents.len() {
        let (place, length) = volume.locate(item, &mut from, done as u32, size - done as u32)?;
        let end = done + length as usize;
        assert!(length > 0 && volume.disk().write(place, &contents[done..end]));
        done = end;
    }
    Ok(())
}

fn read(volume: &mut Volume<&Image>, item: &Item) -> Vec<u8> {
    let (mut from, mut contents) = (Place::default(), vec![0; item.size as usize]);
    let mut done = 0;
    while done < contents.len() {
        let left = item.size - done as u32;
        let (place, length) = volume.locate(item, &mut from, done as u32, left).unwrap();
        let end = done + length as usize;
        assert!(volume.disk().read(place, &mut contents[done..end]));
        done = end;
    }
    contents
}

/// The directory of a path, and the name in it.
fn place<'a>(volume: &mut Volume<&Image>, path: &'a str) -> (Item, &'a str) {
    let mut directory = volume.root();
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in above.split('/').filter(|part| !part.is_empty()) {
        directory = volume.lookup(&directory, part).unwrap().item;
    }
    (directory, name)
}

fn unmount(volume: &mut Volume<&Image>) {
    volume.write_information().unwrap();
    volume.mark(false).unwrap();
}

#[test]
fn random_changes_are_those_of_a_model() {
    const PLACES: [&str; 4] = ["", "sub/", "sub/deeper/", "Another directory with a long name/"];
    const NAMES: [&str; 6] =
        ["README.TXT", "lower.txt", "A rather long name, with blanks & dots.in.it", "Größe €", ".x", "X.Y.Z"];
    for (path, image) in kinds("model") {
        let mut volume = Volume::new(&image).unwrap();
        let mut random = Random(42);
        assert!(!volume.is_in_use().unwrap());
        volume.mark(true).unwrap();
        for directory in &PLACES[1..] {
            let (parent, name) = place(&mut volume, directory.trim_end_matches('/'));
            volume.create(&parent, name, true, NOW).unwrap();
        }
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for round in 0..3000 {
            let any = |random: &mut Random| {
                let name = format!("{}{}", PLACES[random.below(4)], NAMES[random.below(6)]);
                if random.below(2) == 0 { name } else { format!("{name}{}", random.below(30)) }
            };
            let name = any(&mut random);
            let (directory, last) = place(&mut volume, &name);
            let found = volume.lookup(&directory, last);
            assert_eq!(found.is_ok(), model.contains_key(&name), "{round} {name}");
            match (random.below(4), found) {
                (0, Ok(found)) => {
                    volume.remove(&found).unwrap();
                    volume.free(&found.item).unwrap();
                    model.remove(&name);
                }
                (1, Ok(found)) => {
                    let target = any(&mut random);
                    let (directory, last) = place(&mut volume, &target);
                    if !model.contains_key(&target) {
                        volume.rename(&found, &found.item, &directory, last).unwrap();
                        let contents = model.remove(&name).unwrap();
                        model.insert(target, contents);
                    }
                }
                (_, Ok(found)) => {
                    assert_eq!(read(&mut volume, &found.item), model[&name]);
                    let length = random.below(6000);
                    let contents = random.bytes(length);
                    fill(&mut volume, &mut { found.item }, &contents).unwrap();
                    model.insert(name, contents);
                }
                (_, Err(_)) => {
                    let mut found = volume.create(&directory, last, false, NOW).unwrap();
                    let length = random.below(5000);
                    let contents = random.bytes(length);
                    fill(&mut volume, &mut found.item, &contents).unwrap();
                    model.insert(name, contents);
                }
            }
        }
        unmount(&mut volume);
        check(&path, &image);
        let mut again = Volume::new(&image).unwrap();
        assert_eq!(again.free_clusters(), volume.free_clusters());
        let folder = path.with_extension("out");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let (is_copied, text) =
            output(Command::new("mcopy").arg("-s").arg("-i").arg(&path).arg("::*").arg(&folder));
        assert!(is_copied, "{text}");
        for (name, contents) in &model {
            assert_eq!(&std::fs::read(folder.join(name)).unwrap(), contents, "{name}");
        }
    }
}

#[test]
fn a_directory_grows_and_is_emptied() {
    for (path, image) in kinds("grow") {
        let mut volume = Volume::new(&image).unwrap();
        let root = volume.root();
        let before = volume.free_clusters().unwrap();
        let directory = volume.create(&root, "directory", true, NOW).unwrap();
        for number in 0..300 {
            volume.create(&directory.item, &format!("file with a long name {number}"), false, NOW).unwrap();
        }
        let mut names = 0;
        volume
            .list(&directory.item, 0, &mut |_| {
                names += 1;
                true
            })
            .unwrap();
        assert_eq!((names, volume.is_empty(&directory.item)), (300, Ok(false)));
        unmount(&mut volume);
        check(&path, &image);
        for number in 0..300 {
            let name = format!("FILE with a long name {number}.");
            let found = volume.lookup(&directory.item, &name).unwrap();
            volume.remove(&found).unwrap();
        }
        assert_eq!(volume.is_empty(&directory.item), Ok(true));
        volume.remove(&directory).unwrap();
        volume.free(&directory.item).unwrap();
        assert_eq!(volume.free_clusters(), Ok(before));
        unmount(&mut volume);
        check(&path, &image);
    }
}

#[test]
fn a_full_file_system_stays_whole() {
    for (path, image) in kinds("full") {
        let mut volume = Volume::new(&image).unwrap();
        let root = volume.root();
        let mut file = volume.create(&root, "all", false, NOW).unwrap().item;
        let free = volume.free_clusters().unwrap();
        let bytes = u64::from(free) * volume.parameters().cluster_bytes();
        let all = u32::try_from(bytes).unwrap();
        assert_eq!(volume.reserve(&mut file, &mut Place::default(), all + 1), Err(Error::Full));
        assert_eq!((file.cluster, volume.free_clusters()), (0, Ok(free)));
        volume.reserve(&mut file, &mut Place::default(), all).unwrap();
        file.size = all;
        volume.update(&file).unwrap();
        assert_eq!(volume.create(&root, "directory", true, NOW), Err(Error::Full));
        unmount(&mut volume);
        check(&path, &image);
        volume.shrink(&mut file, 1).unwrap();
        file.size = 1;
        volume.update(&file).unwrap();
        assert_eq!(volume.free_clusters(), Ok(free - 1));
        unmount(&mut volume);
        check(&path, &image);
    }
}

#[test]
fn directories_move_and_change_places() {
    for (path, image) in kinds("move") {
        let mut volume = Volume::new(&image).unwrap();
        let root = volume.root();
        let one = volume.create(&root, "one", true, NOW).unwrap();
        let two = volume.create(&root, "two", true, NOW).unwrap();
        let inner = volume.create(&one.item, "inner", true, NOW).unwrap();
        let inner = volume.rename(&inner, &inner.item, &two.item, "moved").unwrap();
        unmount(&mut volume);
        check(&path, &image);
        let file = volume.create(&one.item, "file", false, NOW).unwrap();
        volume.exchange((&inner.item, &two.item), (&file.item, &one.item)).unwrap();
        unmount(&mut volume);
        check(&path, &image);
        let moved = volume.lookup(&two.item, "moved").unwrap();
        assert!(!moved.item.is_directory && volume.lookup(&one.item, "FILE").unwrap().item.is_directory);
        let inner = volume.lookup(&one.item, "file").unwrap();
        volume.rename(&inner, &inner.item, &root, "up").unwrap();
        unmount(&mut volume);
        check(&path, &image);
    }
}

#[test]
fn short_names_and_times_are_kept() {
    let (path, image) = image("names", 2000, &[]);
    let mut volume = Volume::new(&image).unwrap();
    let root = volume.root();
    let time = Timestamp { seconds: 1_600_000_001, nanoseconds: 500_000_000 };
    let found = volume.create(&root, "A long name", false, time).unwrap();
    assert_eq!(found.item.created, time);
    let by_short = volume.lookup(&root, "alongn~1").unwrap();
    assert_eq!((by_short.name.as_str(), by_short.item.created), ("A long name", time));
    assert_eq!(by_short.item.modified.seconds, 1_600_000_000);
    volume.update(&Item { is_read_only: true, ..by_short.item }).unwrap();
    assert!(volume.lookup(&root, "a LONG name").unwrap().item.is_read_only);
    assert_eq!(volume.lookup(&root, "a long"), Err(Error::NotFound));
    assert_eq!(volume.create(&root, "what?", false, NOW), Err(Error::BadName));
    assert_eq!(volume.create(&root, &"x".repeat(256), false, NOW), Err(Error::LongName));
    volume.create(&root, &"x".repeat(255), false, NOW).unwrap();
    unmount(&mut volume);
    check(&path, &image);
}

#[test]
fn dots_at_the_end_of_a_name_do_not_count() {
    let (path, image) = image("dots", 2000, &[]);
    let mut volume = Volume::new(&image).unwrap();
    let root = volume.root();
    let found = volume.create(&root, "A name of dots...", false, NOW).unwrap();
    assert_eq!(found.name, "A name of dots");
    let found = volume.lookup(&root, "a name of dots.").unwrap();
    assert_eq!(found.name, "A name of dots");
    let moved = volume.rename(&found, &found.item, &root, "b.c..").unwrap();
    assert_eq!((moved.name.as_str(), volume.lookup(&root, "b.c").unwrap().name.as_str()), ("b.c", "b.c"));
    assert_eq!(volume.create(&root, "...", false, NOW), Err(Error::NotFound));
    assert_eq!(volume.rename(&moved, &moved.item, &root, "..."), Err(Error::NotFound));
    assert_eq!(volume.create(&root, "blank .", false, NOW), Err(Error::BadName));
    unmount(&mut volume);
    check(&path, &image);
}

#[test]
fn broken_images_do_no_harm() {
    let mut random = Random(7);
    for (_, image) in kinds("broken") {
        let mut volume = Volume::new(&image).unwrap();
        let root = volume.root();
        for number in 0..20 {
            let directory = volume.create(&root, &format!("directory {number}"), true, NOW).unwrap().item;
            for number in 0..10 {
                let mut file = volume.create(&directory, &format!("file {number}"), false, NOW).unwrap().item;
                fill(&mut volume, &mut file, &random.bytes(3000)).unwrap();
            }
        }
        let parameters = volume.parameters().clone();
        let table = (parameters.reserved_sectors * 512) as usize;
        let size = (parameters.tables * parameters.sectors_per_table * 512) as usize;
        let whole = image.0.borrow().clone();
        for _ in 0..400 {
            for _ in 0..=random.below(30) {
                let at = match random.below(4) {
                    0 => random.below(90),
                    1 => table + random.below(1000),
                    _ => table + size + random.below(100_000),
                };
                let value = random.below(256) as u8;
                image.0.borrow_mut()[at] = value;
            }
            if let Ok(mut volume) = Volume::new(&image) {
                let root = volume.root();
                let mut found = Vec::new();
                let _ = volume.list(&root, 0, &mut |entry| {
                    found.push(entry);
                    found.len() < 50
                });
                // Errors are what is expected.
                for entry in found.iter().take(10) {
                    let _ = volume.create(&entry.item, "a new file", false, NOW);
                    let _ = volume.reserve(&mut { entry.item }, &mut Place::default(), 10_000);
                    let _ = volume.locate(&entry.item, &mut Place::default(), 5000, 5000);
                    let _ = volume.rename(entry, &entry.item, &root, "a new name");
                    let _ = volume.shrink(&mut { entry.item }, 1);
                    let _ = volume.free(&entry.item);
                }
                let _ = volume.free_clusters();
            }
            image.0.borrow_mut().copy_from_slice(&whole);
        }
    }
}
