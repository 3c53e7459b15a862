//! Images made by mtools: what is put in is read back, and a broken one does no harm.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

use fat::{Disk, Error, FileSystem, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// A disk in memory.
struct Image(Vec<u8>);

impl Disk for &Image {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        bytes.map(|bytes| buffer.copy_from_slice(bytes)).is_some()
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).env("MTOOLS_SKIP_CHECK", "1").output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed (package mtools): {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
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
    files.insert("SHORT.TXT".into(), b"Rust is cool!\n".to_vec());
    files.insert("empty".into(), Vec::new());
    files.insert("A rather long name, with blanks & dots.in.it.text".into(), noise(1, 5000));
    files.insert("Größe-ñ-€.dat".into(), noise(2, 700));
    files.insert("sub/deep/exact.bin".into(), noise(3, 4096));
    for number in 0..100 {
        files.insert(format!("sub/many/file number {number}.x"), noise(number, number as usize * 37));
    }
    files.insert("large.bin".into(), noise(4, 300_000));
    files
}

/// An image of so many sectors.
fn image(name: &str, sectors: usize, options: &[&str]) -> Image {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let tree = folder.join("tree");
    for (path, contents) in files() {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    let path = folder.join("image");
    std::fs::File::create(&path).unwrap().set_len(sectors as u64 * 512).unwrap();
    let path = path.to_str().unwrap();
    let sectors = sectors.to_string();
    run(
        "mformat",
        &[&["-i", path, "-T", &sectors, "-h", "16", "-s", "32", "-v", "LABEL"], options, &["::"]].concat(),
    );
    let mut entries: Vec<_> = std::fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        // The names are UTF-8, whatever the locale is.
        let mut command = Command::new("mcopy");
        command.args(["-s", "-i", path, entry.to_str().unwrap(), "::"]).env("LC_ALL", "C.UTF-8");
        assert!(command.env("MTOOLS_SKIP_CHECK", "1").status().unwrap().success());
    }
    Image(std::fs::read(path).unwrap())
}

/// One of each kind, for a test of that name.
fn kinds(test: &str) -> [(Kind, Image); 3] {
    [
        (Kind::Fat12, image(&format!("{test}12"), 4000, &[])),
        (Kind::Fat16, image(&format!("{test}16"), 40_000, &["-c", "4"])),
        (Kind::Fat32, image(&format!("{test}32"), 80_000, &["-F", "-c", "1"])),
    ]
}

/// All files below a directory, with their contents.
fn walk(
    system: &mut FileSystem<&Image>,
    path: &str,
    found: &mut BTreeMap<String, Vec<u8>>,
    patience: &mut usize,
) -> Result<(), Error> {
    let directory = system.find(path)?;
    let mut entries = Vec::new();
    system.list(&directory, &mut |entry| {
        entries.push(entry.clone());
        entries.len() < 500
    })?;
    for entry in entries {
        if *patience == 0 {
            return Ok(());
        }
        *patience -= 1;
        let path = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
        if entry.is_directory {
            // One that is broken does not keep the others from being read.
            if path.matches('/').count() < 6 {
                let _ = walk(system, &path, found, patience);
            }
        } else {
            let mut contents = vec![0; (entry.size as usize).min(1 << 20)];
            let mut reader = system.open(&entry)?;
            if let Ok(count) = system.read(&mut reader, &mut contents) {
                contents.truncate(count);
                found.insert(path, contents);
            }
        }
    }
    Ok(())
}

#[test]
fn what_was_put_in_is_read_back() {
    for (kind, image) in kinds("whole") {
        let mut system = FileSystem::new(&image).unwrap();
        assert_eq!(system.parameters().kind, kind);
        assert_eq!(system.parameters().volume.unwrap().1, *b"LABEL      ");
        let mut found = BTreeMap::new();
        walk(&mut system, "", &mut found, &mut 10_000).unwrap();
        let wanted = files();
        assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{kind:?}");
        for (path, contents) in &wanted {
            assert_eq!(&found[path], contents, "{kind:?} {path}");
        }
    }
}

#[test]
fn files_are_read_in_pieces_of_any_size() {
    for (kind, image) in kinds("pieces") {
        let mut system = FileSystem::new(&image).unwrap();
        let wanted = &files()["large.bin"];
        for piece in [1000, 512, 4096, 70_001] {
            let file = system.find("/LARGE.bin").unwrap();
            let mut reader = system.open(&file).unwrap();
            let mut contents = Vec::new();
            let mut buffer = vec![0; piece];
            loop {
                let count = system.read(&mut reader, &mut buffer).unwrap();
                contents.extend_from_slice(&buffer[..count]);
                if count < piece {
                    break;
                }
            }
            assert_eq!(&contents, wanted, "{kind:?} {piece}");
        }
    }
}

#[test]
fn paths_are_walked_as_they_should_be() {
    let image = image("paths", 4000, &[]);
    let mut system = FileSystem::new(&image).unwrap();
    let mut error = |path: &str| system.find(path).unwrap_err();
    assert_eq!(error("none"), Error::NotFound);
    assert_eq!(error("sub/none/exact.bin"), Error::NotFound);
    assert_eq!(error("short.txt/x"), Error::NotADirectory);
    assert_eq!(error(&"sub/".repeat(1000)), Error::NotFound);
    assert!(system.find("//sub/./DEEP//exact.BIN").is_ok_and(|file| file.size == 4096));
    let directory = system.find("").unwrap();
    assert_eq!(system.open(&directory).unwrap_err(), Error::IsADirectory);
    let file = system.find("short.txt").unwrap();
    assert_eq!(system.list(&file, &mut |_| true), Err(Error::NotADirectory));
}

#[test]
fn broken_images_do_no_harm() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (_, image) in kinds("broken") {
        let parameters = FileSystem::new(&image).unwrap().parameters().clone();
        let table = (parameters.reserved_sectors * 512) as usize;
        let used = table + (parameters.tables * parameters.sectors_per_table * 512) as usize + 64 * 1024;
        let Image(bytes) = image;
        let mut broken = Image(bytes.clone());
        for _ in 0..300 {
            // Boot sector, beginning of the table, directories.
            for _ in 0..=random(8) {
                let at = match random(3) {
                    0 => random(90),
                    1 => table + random(3000),
                    _ => used - random(96 * 1024).min(used),
                };
                broken.0[at] = random(256) as u8;
            }
            if let Ok(mut system) = FileSystem::new(&broken) {
                let mut found = BTreeMap::new();
                // Errors are what is expected, and some files.
                let _ = walk(&mut system, "", &mut found, &mut 300);
            }
            broken.0[..used].copy_from_slice(&bytes[..used]);
        }
        // A short disk.
        broken.0.truncate(table + 100);
        if let Ok(mut system) = FileSystem::new(&broken) {
            assert!(system.find("large.bin").is_err());
        }
    }
}
