//! Images made by xorriso: what is put in is read back with each kind of names, and a broken one does no harm.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use iso9660::{Disk, Error, Extensions, Kind, Names, Node, Volume};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk in memory.
struct Image<'a>(&'a [u8]);

impl Disk for Image<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
    }
}

/// Bytes that look random, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What is put in: paths, and contents.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("short.txt".into(), b"Rust is cool!\n".to_vec());
    files.insert("empty".into(), Vec::new());
    files.insert("A rather long name, with blanks & dots.in.it.text".into(), noise(1, 5000));
    files.insert("Größe-ñ-€.dat".into(), noise(2, 700));
    files.insert("1/2/3/4/5/6/7/8/9/10/deep".into(), noise(5, 10));
    for number in 0..200 {
        files.insert(format!("many/file number {number}.x"), noise(number, number as usize * 17));
    }
    files.insert("large.bin".into(), noise(4, 300_000));
    files
}

/// Makes the tree once for a test of that name, and an image of it.
fn image(test: &str, options: &[&str]) -> (PathBuf, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    let tree = folder.join("tree");
    for (path, contents) in files() {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    std::fs::set_permissions(tree.join("short.txt"), PermissionsExt::from_mode(0o1751)).unwrap();
    std::fs::hard_link(tree.join("short.txt"), tree.join("second")).unwrap();
    symlink("../A/./b//c", tree.join("link")).unwrap();
    symlink(format!("/{}end", "long/".repeat(150)), tree.join("long-link")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.join("fifo")).status().unwrap().success());
    let path = folder.join("image");
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-V", "LABEL"]).args(options).arg("-o").arg(&path).arg(&tree);
    let output = command.env("LC_ALL", "C.UTF-8").output();
    let output = output.unwrap_or_else(|error| panic!("xorriso is needed (package xorriso): {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (tree, std::fs::read(path).unwrap())
}

const ALL: Extensions = Extensions { rock_ridge: true, joliet: true };

/// All that is below a directory, by path.
fn walk(
    volume: &Volume<Image<'_>>,
    directory: &Node,
    path: &str,
    found: &mut BTreeMap<String, Node>,
    patience: &mut usize,
) -> Result<(), Error> {
    let mut names = Vec::new();
    volume.list(directory, 0, &mut |entry| {
        names.push(entry);
        names.len() < 500
    })?;
    for entry in names {
        if *patience == 0 {
            return Ok(());
        }
        *patience -= 1;
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        let Ok(looked_up) = volume.lookup(directory, &entry.name) else { continue };
        if looked_up.node.kind == Kind::Directory && path.matches('/').count() < 12 {
            // One that is broken does not keep the others from being read.
            let _ = walk(volume, &looked_up.node, &path, found, patience);
        }
        found.insert(path, looked_up.node);
    }
    Ok(())
}

fn contents(volume: &Volume<Image<'_>>, node: &Node) -> Vec<u8> {
    let mut bytes = vec![0; node.size as usize + 10];
    let length = volume.read(node, 0, &mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

fn check_files(volume: &Volume<Image<'_>>, found: &BTreeMap<String, Node>) {
    for (path, wanted) in files() {
        let node = found.get(&path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(contents(volume, node), wanted, "{path}");
    }
}

fn check_attributes(tree: &Path, found: &BTreeMap<String, Node>) {
    for (path, node) in found.iter().filter(|(path, _)| *path != "rr_moved") {
        let metadata = std::fs::symlink_metadata(tree.join(path)).unwrap();
        assert_eq!(node.mode, Some(metadata.mode() & 0o7777), "{path}");
        assert_eq!(node.owner, Some((metadata.uid(), metadata.gid())), "{path}");
        assert_eq!(node.modified, metadata.mtime(), "{path}");
    }
}

#[test]
fn rock_ridge_has_everything() {
    for options in
        [&["-R"][..], &["-R", "-J", "-joliet-long"], &["-R", "-disallow_dir_id_ext", "-iso-level", "1"]]
    {
        let (tree, image) = image("rock-ridge", options);
        let volume = Volume::new(Image(&image), ALL).unwrap();
        assert_eq!((volume.names(), volume.label()), (Names::RockRidge, &b"LABEL"[..]));
        let mut found = BTreeMap::new();
        walk(&volume, &volume.root().unwrap(), "", &mut found, &mut 10_000).unwrap();
        check_files(&volume, &found);
        check_attributes(&tree, &found);
        assert_eq!(found["link"].target, b"../A/./b//c".map(|byte| byte));
        assert_eq!((found["link"].kind, found["fifo"].kind), (Kind::Link, Kind::Fifo));
        assert_eq!(found["long-link"].target, format!("/{}end", "long/".repeat(150)).as_bytes());
        assert_eq!(found["long-link"].size, 754);
        let mut numbers: Vec<u64> = found.values().map(|node| node.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), found.len(), "each file has a number of its own");
    }
}

#[test]
fn joliet_has_long_names() {
    let (_, image) = image("joliet", &["-J", "-joliet-long", "-R"]);
    let volume = Volume::new(Image(&image), Extensions { rock_ridge: false, joliet: true }).unwrap();
    assert_eq!(volume.names(), Names::Joliet);
    let mut found = BTreeMap::new();
    walk(&volume, &volume.root().unwrap(), "", &mut found, &mut 10_000).unwrap();
    check_files(&volume, &found);
    let upper = volume.lookup(&volume.root().unwrap(), b"SHORT.TXT").unwrap();
    assert_eq!((upper.name, upper.node.mode), (b"short.txt".to_vec(), None));
}

#[test]
fn plain_names_are_found() {
    let (_, image) = image("plain", &["-R", "-J"]);
    let volume = Volume::new(Image(&image), Extensions { rock_ridge: false, joliet: false }).unwrap();
    assert_eq!(volume.names(), Names::Plain);
    let root = volume.root().unwrap();
    let short = volume.lookup(&root, b"short.txt").unwrap();
    assert_eq!(contents(&volume, &short.node), files()["short.txt"]);
    assert_eq!(volume.lookup(&root, b"SHORT.TXT").unwrap_err(), Error::NotFound);
    assert_eq!(volume.lookup(&short.node, b"x").unwrap_err(), Error::NotADirectory);
}

#[test]
fn listings_go_on_where_they_stopped() {
    let (_, image) = image("cursors", &["-R"]);
    let volume = Volume::new(Image(&image), ALL).unwrap();
    let many = volume.lookup(&volume.root().unwrap(), b"many").unwrap().node;
    let (mut names, mut cursor) = (Vec::new(), 0);
    loop {
        let before = names.len();
        volume
            .list(&many, cursor, &mut |entry| {
                cursor = entry.next;
                names.push(entry.name);
                names.len() < before + 7
            })
            .unwrap();
        if names.len() == before {
            break;
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 200);
}

#[test]
fn files_are_read_from_any_place() {
    let (_, image) = image("places", &["-R"]);
    let volume = Volume::new(Image(&image), ALL).unwrap();
    let file = volume.lookup(&volume.root().unwrap(), b"large.bin").unwrap().node;
    let wanted = &files()["large.bin"];
    for (start, length) in [(0, 10), (2047, 3), (4096, 4096), (299_990, 100), (300_000, 5), (u64::MAX, 5)] {
        let mut bytes = vec![0; length];
        let count = volume.read(&file, start, &mut bytes).unwrap();
        let from = (start as usize).min(wanted.len());
        assert_eq!(bytes[..count], wanted[from..wanted.len().min(from + length)], "{start}");
    }
}

#[test]
fn a_file_may_have_several_parts() {
    let (_, mut image) = image("parts", &["-R", "-iso-level", "3"]);
    // The record of large.bin becomes two: what was one extent is cut in the middle.
    let name = b"LARGE.BIN;1";
    let at = image.windows(name.len()).position(|bytes| bytes == name).unwrap() - 33;
    let length = usize::from(image[at]);
    let (first, second) = (at, at + length);
    let record = image[at..at + length].to_vec();
    let end = (at / 2048 + 1) * 2048;
    // What follows in the directory makes room.
    image.copy_within(second..end - length, second + length);
    image[second..second + length].copy_from_slice(&record);
    image[first + 25] |= 0x80;
    let number = |value: u32| [value.to_le_bytes(), value.to_be_bytes()].concat();
    let block = u32::from_le_bytes(record[2..6].try_into().unwrap());
    image[first + 10..first + 18].copy_from_slice(&number(100 * 2048));
    image[second + 2..second + 10].copy_from_slice(&number(block + 100));
    image[second + 10..second + 18].copy_from_slice(&number(300_000 - 100 * 2048));
    let volume = Volume::new(Image(&image), ALL).unwrap();
    let file = volume.lookup(&volume.root().unwrap(), b"large.bin").unwrap().node;
    assert_eq!((file.extents.len(), file.size), (2, 300_000));
    assert_eq!(contents(&volume, &file), files()["large.bin"]);
}

#[test]
fn ten_thousand_broken_images_do_no_harm() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (_, whole) = image("broken", &["-R", "-J"]);
    // Descriptors, path tables and directories come first.
    let used = whole.len() - 300_000 - 200_000;
    let mut broken = whole.clone();
    let mut readable = 0;
    for round in 0..10_000 {
        let mut changed = Vec::new();
        for _ in 0..=random(20) {
            let at =
                if random(4) == 0 { 16 * 2048 + random(4096) } else { 16 * 2048 + random(used - 16 * 2048) };
            changed.push(at);
            broken[at] = random(256) as u8;
        }
        let length = if round % 50 == 0 { random(broken.len()) } else { broken.len() };
        let wanted = Extensions { rock_ridge: round % 3 != 0, joliet: round % 2 == 0 };
        if let Ok(volume) = Volume::new(Image(&broken[..length]), wanted)
            && let Ok(root) = volume.root()
        {
            let mut found = BTreeMap::new();
            // Errors are what is expected, and some files.
            let _ = walk(&volume, &root, "", &mut found, &mut 60);
            readable += usize::from(!found.is_empty());
            let mut bytes = [0; 100];
            for node in found.values().take(20) {
                let _ = volume.read(node, node.size / 2, &mut bytes);
            }
        }
        for at in changed {
            broken[at] = whole[at];
        }
    }
    assert!(readable > 5000, "{readable}");
}
