//! Random operations, against a model that is a map.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;

use common::*;
use ext2::{Error, FileKind, NewKind, RenameMode, Unlinked};

/// What the tree should be: kind and contents by path; hard links share an index into `files`.
#[derive(Default)]
struct Model {
    names: BTreeMap<String, Node>,
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq)]
enum Node {
    Directory,
    File(usize),
    Symlink(Vec<u8>),
}

impl Model {
    fn pick(&self, random: &mut Random, wanted: impl Fn(&Node) -> bool) -> Option<String> {
        let names: Vec<&String> =
            self.names.iter().filter(|(_, node)| wanted(node)).map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names[random.below(names.len() as u64) as usize].clone())
    }

    fn directory(&self, random: &mut Random) -> String {
        match random.below(3) {
            0 => String::new(),
            _ => self.pick(random, |node| *node == Node::Directory).unwrap_or_default(),
        }
    }

    fn new_name(&self, random: &mut Random) -> String {
        let length = if random.below(8) == 0 { random.below(200) as usize + 1 } else { 3 };
        let word = "abcdefgh".chars().nth(random.below(8) as usize).unwrap();
        format!("{}/{}{}", self.directory(random), String::from(word).repeat(length), random.below(12))
    }

    fn is_empty(&self, dir: &str) -> bool {
        !self.names.keys().any(|name| name.starts_with(&format!("{dir}/")))
    }

    fn tree(&self) -> BTreeMap<String, (FileKind, Vec<u8>)> {
        let entry = |node: &Node| match node {
            Node::Directory => (FileKind::Directory, Vec::new()),
            Node::File(index) => (FileKind::Regular, self.files[*index].clone()),
            Node::Symlink(target) => (FileKind::Symlink, target.clone()),
        };
        let mut tree: BTreeMap<_, _> =
            self.names.iter().map(|(name, node)| (name.clone(), entry(node))).collect();
        tree.insert("/lost+found".into(), (FileKind::Directory, Vec::new()));
        tree
    }
}

fn drop_if_last(fs: &Ext2, unlinked: Unlinked) {
    if unlinked.is_last {
        fs.drop_inode(unlinked.ino).unwrap();
    }
}

fn make(fs: &Ext2, model: &mut Model, random: &mut Random) {
    let name = model.new_name(random);
    let length = random.below(70) as usize + 1;
    let target = random.bytes(length).iter().map(|byte| byte | 1).collect::<Vec<_>>();
    let (kind, node) = match random.below(6) {
        0 | 1 => (NewKind::Directory, Node::Directory),
        2 => (NewKind::Symlink(&target), Node::Symlink(target.clone())),
        _ => (NewKind::Regular, Node::File(model.files.len())),
    };
    let result = fs.make(&name, kind);
    if model.names.contains_key(&name) {
        assert_eq!(result, Err(Error::Exists), "{name}");
    } else {
        result.unwrap();
        if kind == NewKind::Regular {
            model.files.push(Vec::new());
        }
        model.names.insert(name, node);
    }
}

fn change_file(fs: &Ext2, model: &mut Model, random: &mut Random) {
    let Some(name) = model.pick(random, |node| matches!(node, Node::File(_))) else { return };
    let Node::File(index) = model.names[&name] else { unreachable!() };
    let ino = fs.walk(&name).unwrap().ino;
    let contents = &mut model.files[index];
    let at = match random.below(4) {
        0 => contents.len(),
        1 => random.below(400_000) as usize,
        _ => random.below(contents.len() as u64 + 5000) as usize,
    };
    if random.below(4) == 0 {
        fs.truncate(ino, at as u64).unwrap();
        contents.resize(at, 0);
    } else {
        let length = random.below(20_000) as usize;
        let data = random.bytes(length);
        assert_eq!(fs.write_at(ino, at as u64, &data).unwrap(), data.len());
        if !data.is_empty() {
            contents.resize(contents.len().max(at + data.len()), 0);
            contents[at..at + data.len()].copy_from_slice(&data);
        }
    }
    let attributes = fs.read_inode(ino).unwrap();
    assert_eq!(attributes.size, contents.len() as u64);
    let (from, to) = (random.below(contents.len() as u64 + 1), random.below(contents.len() as u64 + 1));
    let range = from.min(to) as usize..from.max(to) as usize;
    let mut buffer = vec![0xaa; range.len()];
    assert_eq!(fs.read_at(ino, range.start as u64, &mut buffer).unwrap(), range.len());
    assert!(buffer == contents[range.clone()], "{name} {range:?}");
}

fn remove(fs: &Ext2, model: &mut Model, random: &mut Random) {
    let Some(name) = model.pick(random, |_| true) else { return };
    let (dir, last) = split(&name);
    let dir = fs.walk(dir).unwrap().ino;
    if model.names[&name] == Node::Directory {
        assert_eq!(fs.unlink(dir, last), Err(Error::IsDirectory));
        if !model.is_empty(&name) {
            assert_eq!(fs.rmdir(dir, last), Err(Error::NotEmpty));
            return;
        }
        drop_if_last(fs, fs.rmdir(dir, last).unwrap());
    } else {
        assert_eq!(fs.rmdir(dir, last), Err(Error::NotDirectory));
        drop_if_last(fs, fs.unlink(dir, last).unwrap());
    }
    model.names.remove(&name);
}

fn link(fs: &Ext2, model: &mut Model, random: &mut Random) {
    let Some(name) = model.pick(random, |_| true) else { return };
    let new = model.new_name(random);
    let (dir, last) = split(&new);
    let result = fs.link(fs.walk(&name).unwrap().ino, fs.walk(dir).unwrap().ino, last);
    if model.names[&name] == Node::Directory {
        assert_eq!(result, Err(Error::NotPermitted));
    } else if model.names.contains_key(&new) {
        assert_eq!(result, Err(Error::Exists));
    } else {
        result.unwrap();
        model.names.insert(new, model.names[&name].clone());
    }
}

fn rename(fs: &Ext2, model: &mut Model, random: &mut Random) {
    let Some(old) = model.pick(random, |_| true) else { return };
    let new = match random.below(2) {
        0 => model.new_name(random),
        _ => model.pick(random, |_| true).unwrap(),
    };
    let mode =
        [RenameMode::Replace, RenameMode::KeepExisting, RenameMode::Exchange][random.below(3) as usize];
    let (old_dir, old_last) = split(&old);
    let (new_dir, new_last) = split(&new);
    let (old_ino, new_ino) = (fs.walk(old_dir).unwrap().ino, fs.walk(new_dir).unwrap().ino);
    let result = fs.rename(old_ino, old_last, new_ino, new_last, mode);
    let expected = expect_rename(model, &old, &new, mode);
    match expected {
        Err(error) => assert_eq!(result, Err(error), "{old} {new} {mode:?}"),
        Ok(()) => {
            let replaced = result.unwrap_or_else(|error| panic!("{old} {new} {mode:?}: {error:?}"));
            if let Some(unlinked) = replaced {
                drop_if_last(fs, unlinked);
            }
            apply_rename(model, &old, &new, mode);
        }
    }
}

fn is_below(name: &str, dir: &str) -> bool {
    name.starts_with(&format!("{dir}/"))
}

fn expect_rename(model: &Model, old: &str, new: &str, mode: RenameMode) -> Result<(), Error> {
    let source = &model.names[old];
    let target = model.names.get(new);
    if is_below(new, old) {
        return Err(Error::InvalidArgument);
    }
    let Some(target) = target else {
        return if mode == RenameMode::Exchange { Err(Error::NotFound) } else { Ok(()) };
    };
    if mode == RenameMode::KeepExisting {
        return Err(Error::Exists);
    }
    if mode == RenameMode::Exchange {
        return if is_below(old, new) { Err(Error::InvalidArgument) } else { Ok(()) };
    }
    if is_below(old, new) {
        return Err(Error::NotEmpty);
    }
    if old == new {
        return Ok(());
    }
    match (*source == Node::Directory, *target == Node::Directory) {
        (true, false) => Err(Error::NotDirectory),
        (false, true) => Err(Error::IsDirectory),
        (true, true) if !model.is_empty(new) => Err(Error::NotEmpty),
        _ => Ok(()),
    }
}

fn apply_rename(model: &mut Model, old: &str, new: &str, mode: RenameMode) {
    let (source, target) = (model.names[old].clone(), model.names.get(new).cloned());
    let same_file = matches!((&source, &target), (Node::File(a), Some(Node::File(b))) if a == b);
    if old == new || same_file {
        return;
    }
    let prefix_swap = |name: &str| match mode {
        _ if name == old || is_below(name, old) => format!("{new}{}", &name[old.len()..]),
        RenameMode::Exchange if name == new || is_below(name, new) => format!("{old}{}", &name[new.len()..]),
        _ => name.to_string(),
    };
    if mode != RenameMode::Exchange {
        model.names.remove(new);
    }
    model.names = core::mem::take(&mut model.names)
        .into_iter()
        .map(|(name, node)| (prefix_swap(&name), node))
        .collect();
}

fn run(seed: u64, options: &[&str], steps: usize) {
    let disk = make_disk(24 << 10, options);
    let mut fs = mount(&disk);
    let before = fs.statistics();
    let mut model = Model::default();
    let mut random = Random(seed);
    for step in 0..steps {
        match random.below(12) {
            0..=3 => make(&fs, &mut model, &mut random),
            4..=6 => change_file(&fs, &mut model, &mut random),
            7 | 8 => remove(&fs, &mut model, &mut random),
            9 => link(&fs, &mut model, &mut random),
            _ => rename(&fs, &mut model, &mut random),
        }
        if step % 50 == 17 {
            fs.sync().unwrap();
        }
        if step % 250 == 249 {
            assert!(fs.tree() == model.tree(), "seed {seed} step {step}");
            assert_eq!(fs.fault(), None);
            fs.unmount().unwrap();
            check(&disk);
            fs = mount(&disk);
            assert!(fs.was_clean());
        }
    }
    assert!(fs.tree() == model.tree());
    while let Some(name) = model.names.keys().next_back().cloned() {
        fs.remove(&name).unwrap();
        model.names.remove(&name);
    }
    assert_eq!(fs.statistics().free_inodes, before.free_inodes);
    fs.unmount().unwrap();
    check(&disk);
}

#[test]
fn random_operations_agree_with_a_model() {
    for (seed, options) in VARIANTS.iter().enumerate() {
        run(seed as u64, options, 1000);
    }
}
