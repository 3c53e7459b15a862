//! Listing directories in steps.

use super::{create_file, empty_tree, make_directory, open_file};
use crate::fs::{
    file::{File, OpenFlags},
    names::{self, Removal},
    permission::Caller,
};
use alloc::{format, string::String, vec::Vec};
use test_macro::kernel_test;

/// Lists `count` names at most from a cursor on; the cursor behind them.
fn list(file: &File, cursor: u64, count: usize) -> (Vec<String>, u64) {
    let (mut names, mut next) = (Vec::new(), cursor);
    let mut visit = |entry: &crate::fs::inode::DirectoryEntry<'_>| {
        if names.len() == count {
            return false;
        }
        names.push(String::from_utf8_lossy(entry.name).into_owned());
        next = entry.next;
        true
    };
    file.operations().read_directory(file, cursor, &mut visit).expect("a directory can be listed");
    (names, next)
}

fn remove(caller: &Caller, path: &str) {
    names::remove_at(caller, &caller.root, path.as_bytes(), Removal::File).expect(path);
}

#[kernel_test]
fn what_stays_is_listed_once_however_small_the_steps() {
    const COUNT: usize = 300;
    let caller = empty_tree();
    make_directory(&caller, "d");
    for number in 0..COUNT {
        create_file(&caller, &format!("d/{number}"));
    }
    let file = open_file(&caller, "d", OpenFlags::O_DIRECTORY).expect("it is there");
    for step in [1, 7, 127, 128, 129, 1000] {
        let (mut found, mut cursor) = (Vec::new(), 0);
        loop {
            let (names, next) = list(&file, cursor, step);
            if names.is_empty() {
                break;
            }
            found.extend(names);
            cursor = next;
            // Something else comes and goes in between.
            create_file(&caller, "d/passing");
            remove(&caller, "d/passing");
        }
        found.retain(|name| name != "passing");
        found.sort_unstable();
        let mut expected: Vec<String> = (0..COUNT).map(|number| format!("{number}")).collect();
        expected.extend([".".into(), "..".into()]);
        expected.sort_unstable();
        assert_eq!(found, expected, "{step} at a time");
    }
}

#[kernel_test]
fn who_begins_anew_or_goes_back_sees_what_is_there() {
    let caller = empty_tree();
    make_directory(&caller, "d");
    for name in ["d/1", "d/2", "d/3"] {
        create_file(&caller, name);
    }
    let file = open_file(&caller, "d", OpenFlags::O_DIRECTORY).expect("it is there");
    let (dots, first) = list(&file, 0, 2);
    assert_eq!(dots, [".", ".."]);
    let (one, second) = list(&file, first, 1);
    remove(&caller, &format!("d/{}", one[0]));
    create_file(&caller, "d/4");
    for cursor in [0, first] {
        let (names, _) = list(&file, cursor, 100);
        assert!(!names.contains(&one[0]) && names.contains(&"4".into()), "{names:?}");
    }
    let (rest, end) = list(&file, second, 100);
    assert_eq!(rest.len(), 3);
    create_file(&caller, "d/5");
    assert_eq!(list(&file, end, 100).0, ["5"], "behind the end as it was");
}
