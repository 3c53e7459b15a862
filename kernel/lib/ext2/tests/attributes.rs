//! Extended attributes: set here and read by debugfs, the other way round, and e2fsck has nothing to say.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use std::collections::BTreeMap;

use common::*;
use ext2::{Error, Ino, NewKind, XattrMode};

/// With attributes behind the inode and without.
const SIZES: [&[&str]; 4] = [VARIANTS[0], VARIANTS[3], VARIANTS[5], VARIANTS[6]];

/// An access control list as user space has it: owner 7, user 1000 6, group 5, mask 7, others 0.
fn acl() -> Vec<u8> {
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    [
        2u32.to_le_bytes().to_vec(),
        entry(1, 7, none),
        entry(2, 6, 1000),
        entry(4, 5, none),
        entry(0x10, 7, none),
        entry(0x20, 0, none),
    ]
    .concat()
}

fn names(fs: &Ext2, ino: Ino) -> Vec<String> {
    let names = fs.xattr_names(ino).unwrap();
    let mut names: Vec<String> =
        names.split(|&byte| byte == 0).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names.pop().as_deref(), Some(""), "each name ends in a zero byte");
    names.sort();
    names
}

#[test]
fn attributes_survive_a_remount_and_the_hosts_tools_read_them() {
    for options in SIZES {
        let disk = make_disk(8192, options);
        let fs = mount(&disk);
        let ino = fs.put("/file", b"contents").unwrap();
        let dir = fs.make("/dir", NewKind::Directory).unwrap();
        let link = fs.make("/link", NewKind::Symlink(b"file")).unwrap();
        fs.set_xattr(ino, b"user.short", b"value", XattrMode::Any).unwrap();
        fs.set_xattr(ino, b"user.empty", b"", XattrMode::Create).unwrap();
        fs.set_xattr(ino, b"security.label", &[0, 1, 2, 255], XattrMode::Any).unwrap();
        fs.set_xattr(ino, b"system.posix_acl_access", &acl(), XattrMode::Any).unwrap();
        fs.set_xattr(dir, b"system.posix_acl_default", &acl(), XattrMode::Any).unwrap();
        fs.set_xattr(link, b"trusted.link", b"on a link", XattrMode::Any).unwrap();
        fs.unmount().unwrap();
        check(&disk);
        assert!(debugfs(&disk, "ea_get /file user.short\n").contains("value"), "{options:?}");
        let list = debugfs(&disk, "ea_list /file\n");
        for name in ["user.short", "user.empty", "security.label", "system.posix_acl_access"] {
            assert!(list.contains(name), "{list}");
        }
        let fs = mount(&disk);
        assert_eq!(fs.xattr(ino, b"user.short").unwrap(), b"value");
        assert_eq!(fs.xattr(ino, b"user.empty").unwrap(), b"");
        assert_eq!(fs.xattr(ino, b"security.label").unwrap(), [0, 1, 2, 255]);
        assert_eq!(fs.xattr(ino, b"system.posix_acl_access").unwrap(), acl());
        assert_eq!(fs.xattr(dir, b"system.posix_acl_default").unwrap(), acl());
        assert_eq!(fs.xattr(link, b"trusted.link").unwrap(), b"on a link");
        assert_eq!(fs.readlink(link).unwrap(), b"file");
        assert_eq!(
            names(&fs, ino),
            ["security.label", "system.posix_acl_access", "user.empty", "user.short"]
        );
    }
}

#[test]
fn modes_and_names_are_checked() {
    let disk = make_disk(8192, VARIANTS[1]);
    let fs = mount(&disk);
    let ino = fs.put("/file", b"").unwrap();
    let set = |name: &[u8], mode| fs.set_xattr(ino, name, b"x", mode);
    assert_eq!(set(b"user.a", XattrMode::Replace), Err(Error::NoAttribute));
    assert_eq!(set(b"user.a", XattrMode::Create), Ok(()));
    assert_eq!(set(b"user.a", XattrMode::Create), Err(Error::Exists));
    assert_eq!(set(b"user.a", XattrMode::Replace), Ok(()));
    assert_eq!(set(b"other.a", XattrMode::Any), Err(Error::NotSupported));
    assert_eq!(set(b"user.", XattrMode::Any), Err(Error::InvalidArgument));
    assert_eq!(set(b"system.posix_acl_access", XattrMode::Any), Err(Error::InvalidArgument));
    assert_eq!(fs.set_xattr(ino, b"user.big", &[1; 1000], XattrMode::Any), Err(Error::NoSpace));
    assert_eq!(fs.xattr(ino, b"user.a").unwrap(), b"x", "a failure changes nothing");
    assert_eq!(fs.xattr(ino, b"user.b"), Err(Error::NoAttribute));
    assert_eq!(fs.remove_xattr(ino, b"user.b"), Err(Error::NoAttribute));
    assert_eq!(fs.remove_xattr(ino, b"user.a"), Ok(()));
    assert_eq!(fs.xattr_names(ino).unwrap(), b"");
    fs.unmount().unwrap();
    check(&disk);
    assert_eq!(fs.set_xattr(ino, b"user.a", b"", XattrMode::Any), Err(Error::ReadOnly));
    let old = mount(&make_disk(8192, VARIANTS[4]));
    let ino = old.put("/file", b"").unwrap();
    assert_eq!(old.set_xattr(ino, b"user.a", b"", XattrMode::Any), Err(Error::NotSupported), "revision 0");
    assert_eq!(old.xattr(ino, b"user.a"), Err(Error::NoAttribute));
}

#[test]
fn equal_attributes_share_a_block() {
    let disk = make_disk(8192, VARIANTS[1]);
    let fs = mount(&disk);
    let before = fs.statistics().free_blocks;
    let inos: Vec<Ino> = (0..1500).map(|index| fs.put(&format!("/{index}"), b"").unwrap()).collect();
    fs.sync().unwrap();
    let with_files = fs.statistics().free_blocks;
    for &ino in &inos {
        fs.set_xattr(ino, b"user.same", b"for all of them", XattrMode::Any).unwrap();
    }
    assert_eq!(with_files - fs.statistics().free_blocks, 2, "1024 inodes share a block");
    fs.set_xattr(inos[3], b"user.own", b"this one has more", XattrMode::Any).unwrap();
    assert_eq!(names(&fs, inos[3]), ["user.own", "user.same"]);
    assert_eq!(names(&fs, inos[4]), ["user.same"]);
    fs.sync().unwrap();
    fs.unmount().unwrap();
    check(&disk);
    let fs = mount(&disk);
    for index in 0..1500 {
        fs.remove(&format!("/{index}")).unwrap();
    }
    fs.unmount().unwrap();
    check(&disk);
    assert!(before - fs.statistics().free_blocks < 100, "only the root directory has grown");
}

#[test]
fn attributes_behind_the_inode_are_read_replaced_and_removed() {
    let disk = make_disk(8192, VARIANTS[3]);
    let fs = mount(&disk);
    let ino = fs.put("/file", b"contents").unwrap();
    fs.unmount().unwrap();
    debugfs(
        &disk,
        "ea_set /file user.first one\nea_set /file user.second two\nea_set /file user.third three\n",
    );
    check(&disk);
    let fs = mount(&disk);
    assert_eq!(fs.statistics(), fs.statistics());
    assert_eq!(names(&fs, ino), ["user.first", "user.second", "user.third"]);
    assert_eq!(fs.xattr(ino, b"user.second").unwrap(), b"two");
    fs.remove_xattr(ino, b"user.first").unwrap();
    fs.set_xattr(ino, b"user.second", b"in the block now", XattrMode::Replace).unwrap();
    fs.unmount().unwrap();
    check(&disk);
    let list = debugfs(&disk, "ea_list /file\n");
    assert!(list.contains("user.third") && !list.contains("user.first"), "{list}");
    assert!(debugfs(&disk, "ea_get /file user.second\n").contains("in the block now"));
    let fs = mount(&disk);
    assert_eq!(names(&fs, ino), ["user.second", "user.third"]);
    fs.remove_xattr(ino, b"user.second").unwrap();
    fs.remove_xattr(ino, b"user.third").unwrap();
    fs.unmount().unwrap();
    check(&disk);
    assert!(!debugfs(&disk, "ea_list /file\n").contains("user."));
}

#[test]
fn random_changes_agree_with_a_model() {
    for (seed, options) in SIZES.iter().enumerate() {
        let disk = make_disk(8192, options);
        let mut fs = mount(&disk);
        let inos: Vec<Ino> = (0..6).map(|index| fs.put(&format!("/{index}"), b"x").unwrap()).collect();
        let mut model: BTreeMap<(usize, Vec<u8>), Vec<u8>> = BTreeMap::new();
        let mut random = Random(seed as u64);
        for step in 0..600 {
            let file = random.below(6) as usize;
            let name = format!("user.{}", "n".repeat(random.below(6) as usize + 1)).into_bytes();
            let key = (file, name.clone());
            if random.below(3) == 0 {
                let expected = model.remove(&key).map(drop).ok_or(Error::NoAttribute);
                assert_eq!(fs.remove_xattr(inos[file], &name), expected);
            } else {
                let length = random.below(120) as usize;
                let value = vec![random.below(3) as u8; length];
                match fs.set_xattr(inos[file], &name, &value, XattrMode::Any) {
                    Ok(()) => drop(model.insert(key, value)),
                    Err(error) => assert_eq!(error, Error::NoSpace),
                }
            }
            if step % 150 == 149 {
                fs.unmount().unwrap();
                check(&disk);
                fs = mount(&disk);
            }
            for ((file, name), value) in &model {
                assert_eq!(fs.xattr(inos[*file], name).as_ref(), Ok(value), "step {step}");
            }
        }
    }
}
