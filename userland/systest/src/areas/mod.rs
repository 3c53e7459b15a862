//! The areas and their tests.

mod attributes;
mod children;
mod clocks;
mod consoles;
mod copies;
mod deadlines;
mod descriptors;
mod devices;
mod directories;
mod errors;
mod exhaustion;
mod faults;
mod files;
mod groups;
mod huge_pages;
mod kernel_files;
mod leaks;
mod limits;
mod links;
mod log;
mod mapped_files;
mod memory;
mod memory_calls;
mod memory_files;
mod opening;
mod paths;
mod pipes;
mod polling;
mod process;
mod procfs;
mod program;
mod registers;
mod scheduling;
mod signals;
mod sockets;
mod stops;
mod synchronization;
mod threads;
mod time;
mod timers;
mod tty;
mod users;
mod watches;
mod xattrs;

use crate::report::Test;

/// All areas, in the order of running: what later ones rely on comes first.
const AREAS: &[(&str, &[Test])] = &[
    ("process", process::TESTS),
    ("children", children::TESTS),
    ("groups", groups::TESTS),
    ("program", program::TESTS),
    ("opening", opening::TESTS),
    ("files", files::TESTS),
    ("descriptors", descriptors::TESTS),
    ("devices", devices::TESTS),
    ("consoles", consoles::TESTS),
    ("directories", directories::TESTS),
    ("links", links::TESTS),
    ("paths", paths::TESTS),
    ("attributes", attributes::TESTS),
    ("xattrs", xattrs::TESTS),
    ("watches", watches::TESTS),
    ("pipes", pipes::TESTS),
    ("polling", polling::TESTS),
    ("sockets", sockets::TESTS),
    ("signals", signals::TESTS),
    ("stops", stops::TESTS),
    ("timers", timers::TESTS),
    ("faults", faults::TESTS),
    ("registers", registers::TESTS),
    ("memory", memory::TESTS),
    ("memory_calls", memory_calls::TESTS),
    ("huge_pages", huge_pages::TESTS),
    ("memory_files", memory_files::TESTS),
    ("copies", copies::TESTS),
    ("mapped_files", mapped_files::TESTS),
    ("time", time::TESTS),
    ("clocks", clocks::TESTS),
    ("deadlines", deadlines::TESTS),
    ("limits", limits::TESTS),
    ("scheduling", scheduling::TESTS),
    ("users", users::TESTS),
    ("tty", tty::TESTS),
    ("threads", threads::TESTS),
    ("synchronization", synchronization::TESTS),
    ("procfs", procfs::TESTS),
    ("kernel_files", kernel_files::TESTS),
    ("errors", errors::TESTS),
    ("log", log::TESTS),
];

/// Areas that run only when they are named: they need the machine for themselves.
const RARE: &[(&str, &[Test])] = &[("exhaustion", exhaustion::TESTS), ("leaks", leaks::TESTS)];

/// The tests that are wanted by area or by `AREA/NAME`; all but the rare ones if nothing is named.
pub(crate) fn select(wanted: &[String]) -> impl Iterator<Item = (&'static str, &'static Test)> {
    let is_wanted = |area: &str, name: &str| {
        wanted.is_empty() || wanted.iter().any(|word| word == area || *word == format!("{area}/{name}"))
    };
    let rare = if wanted.is_empty() { &[] } else { RARE };
    AREAS
        .iter()
        .chain(rare)
        .flat_map(|(area, tests)| tests.iter().map(move |test| (*area, test)))
        .filter(move |(area, test)| is_wanted(area, test.name))
}

/// The full names of the selected tests.
pub(crate) fn names(wanted: &[String]) -> Vec<String> {
    select(wanted).map(|(area, test)| format!("{area}/{}", test.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once() {
        let mut all = names(&[]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn selection_is_by_area_or_by_full_name() {
        let area = names(&["pipes".to_owned()]);
        assert!(area.len() > 1 && area.iter().all(|name| name.starts_with("pipes/")));
        assert_eq!(names(&area[..1]), area[..1]);
        assert!(names(&["pipes/".to_owned()]).is_empty());
    }
}
