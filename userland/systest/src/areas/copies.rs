//! Memory of parents and children: copied at fork, shared where asked, given back at the end.

use crate::report::{Outcome, ensure, ensure_eq, skip, tests};
use crate::sys::Errno;
use crate::sys::files::{open, pipe, put, read, write};
use crate::sys::memory::{Mapping, PAGE};
use crate::sys::process::{self, Status, fork};

tests! {
    fork_copies_private_memory,
    fork_copies_whole_address_space,
    fork_shares_shared_memory,
    copies_of_copies_are_apart,
    kernel_writes_break_sharing_too,
    children_give_their_memory_back,
}

const FINE: Status = Status::Exited(0);

fn fork_copies_private_memory() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    mapping.set(0, 1);
    mapping.set(PAGE, 1);
    let (gate, opener) = pipe(0)?;
    let child = fork(|| {
        mapping.set(0, 2);
        mapping.set(2 * PAGE, 2);
        let _ = read(*gate, &mut [0]);
        // The parent has written to page 1 and 3 meanwhile.
        i32::from(mapping.get(PAGE) != 1 || mapping.get(3 * PAGE) != 0 || mapping.get(0) != 2)
    })?;
    mapping.set(PAGE, 3);
    mapping.set(3 * PAGE, 3);
    write(*opener, b"x")?;
    ensure_eq!(child.wait()?, FINE);
    ensure_eq!([0, 1, 2, 3].map(|page| mapping.get(page * PAGE)), [1, 3, 0, 3]);
    Ok(())
}

fn fork_copies_whole_address_space() -> Outcome {
    let mut heap: Vec<u64> = (0..50_000).collect();
    let mut local = [7_u8; 1000];
    let child = fork(|| {
        let is_same = heap.iter().enumerate().all(|(index, value)| index as u64 == *value);
        heap.fill(0);
        local.fill(8);
        i32::from(!is_same || heap[100] != 0 || std::hint::black_box(local)[5] != 8)
    })?;
    ensure_eq!(child.wait()?, FINE);
    ensure!(heap.iter().enumerate().all(|(index, value)| index as u64 == *value));
    ensure!(std::hint::black_box(local).iter().all(|byte| *byte == 7));
    Ok(())
}

fn fork_shares_shared_memory() -> Outcome {
    let mapping = Mapping::shared(2 * PAGE)?;
    mapping.set(0, 1);
    let child = fork(|| {
        let is_seen = mapping.get(0) == 1;
        mapping.set(0, 2);
        mapping.set(PAGE, 3);
        i32::from(!is_seen)
    })?;
    ensure_eq!(child.wait()?, FINE);
    ensure_eq!((mapping.get(0), mapping.get(PAGE)), (2, 3));
    Ok(())
}

fn copies_of_copies_are_apart() -> Outcome {
    fn descend(mapping: &Mapping, depth: u8) -> bool {
        let before = mapping.get(0);
        let child = (depth < 8).then(|| {
            fork(|| {
                mapping.set(0, before + 1);
                i32::from(!descend(mapping, depth + 1) || mapping.get(0) != before + 1)
            })
        });
        let is_fine = match child {
            None => true,
            Some(child) => child.and_then(|child| child.wait()) == Ok(FINE),
        };
        is_fine && mapping.get(0) == before
    }
    let mapping = Mapping::private(PAGE)?;
    mapping.set(0, 1);
    ensure!(descend(&mapping, 0));
    Ok(())
}

fn kernel_writes_break_sharing_too() -> Outcome {
    // read() into a page that the child shares must not show there.
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.set(0, 1);
    let (gate, opener) = pipe(0)?;
    let child = fork(|| {
        let _ = read(*gate, &mut [0]);
        i32::from(mapping.get(0) != 1 || mapping.get(PAGE) != 0)
    })?;
    put("file", &[9; 8192])?;
    ensure_eq!(mapping.read_from(*open("file", libc::O_RDONLY, 0)?, 0, 2 * PAGE)?, 8192);
    write(*opener, b"x")?;
    ensure_eq!(child.wait()?, FINE);
    ensure_eq!((mapping.get(0), mapping.get(2 * PAGE - 1)), (9, 9));
    Ok(())
}

fn children_give_their_memory_back() -> Outcome {
    let free = || -> Result<u64, Errno> {
        let info = process::sysinfo()?;
        Ok(info.freeram * u64::from(info.mem_unit.max(1)))
    };
    let size = 8 << 20;
    let before = free()?;
    if before < 64 << 20 {
        skip!("too little memory to see a difference");
    }
    for round in 0..30 {
        let child = fork(|| match Mapping::private(size) {
            Err(_) => 1,
            Ok(mapping) => {
                (0..size / PAGE).for_each(|page| mapping.set(page * PAGE, 1));
                std::mem::forget(mapping);
                0
            }
        })?;
        ensure_eq!(child.wait()?, FINE, "round {round}");
    }
    let after = free()?;
    let lost = before.saturating_sub(after);
    ensure!(lost < 30 * size as u64 / 2, "{} KiB less than before", lost / 1024);
    Ok(())
}
