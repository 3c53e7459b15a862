//! Huge pages: that they save faults, and that programs see nothing else of them.

use super::memory_calls::{PRIVATE, SEGV, advise, area_text, figure, in_child, remap_call};
use crate::report::{Outcome, Stop, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::faults::{Deed, attempt};
use crate::sys::memory::{Mapping, PAGE, READ_WRITE};
use crate::sys::process;
use crate::sys::{Errno, files, probe};

tests! {
    huge_pages_save_faults,
    huge_pages_split_and_keep_content,
    huge_pages_are_copied_on_write,
    huge_pages_can_be_forbidden,
    huge_page_pool_is_empty,
}

const HUGE: usize = 2 << 20;

/// Private memory of `count` huge pages that starts at one, in a larger mapping.
fn huge_area(count: usize, advice: i32) -> Outcome<(Mapping, usize)> {
    let mapping = Mapping::private((count + 1) * HUGE)?;
    let offset = mapping.address().next_multiple_of(HUGE) - mapping.address();
    or_skip!(advise(mapping.address(), (count + 1) * HUGE, advice), EINVAL);
    Ok((mapping, offset))
}

fn huge_pages_are_on() -> bool {
    let policy = files::get("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    !policy.is_empty() && !String::from_utf8_lossy(&policy).contains("[never]")
}

fn skip_without_huge_pages() -> Outcome {
    if huge_pages_are_on() { Ok(()) } else { Err(Stop::Skip("huge pages are off".to_owned())) }
}

fn minor_faults() -> Result<i64, Errno> {
    Ok(process::getrusage(libc::RUSAGE_SELF)?.ru_minflt)
}

fn huge_pages_save_faults() -> Outcome {
    const COUNT: usize = 8;
    skip_without_huge_pages()?;
    let sweep = |advice: i32| -> Outcome<(i64, u64)> {
        let (mapping, offset) = huge_area(COUNT, advice)?;
        let before = minor_faults()?;
        for page in (0..COUNT * HUGE).step_by(PAGE) {
            mapping.set(offset + page, 1);
        }
        let faults = minor_faults()? - before;
        let huge = figure(&area_text(mapping.address())?, "AnonHugePages").unwrap_or(0);
        Ok((faults, huge << 10))
    };
    let (small_faults, small) = sweep(libc::MADV_NOHUGEPAGE)?;
    ensure_eq!(small, 0);
    ensure!(small_faults >= (COUNT * HUGE / PAGE) as i64);
    let (huge_faults, huge) = sweep(libc::MADV_HUGEPAGE)?;
    if huge == 0 {
        return Err(Stop::Skip("memory is in pieces".to_owned()));
    }
    ensure!(huge_faults * 4 < small_faults, "{huge_faults} faults with huge pages, {small_faults} without");
    Ok(())
}

fn huge_pages_split_and_keep_content() -> Outcome {
    skip_without_huge_pages()?;
    let (mapping, offset) = huge_area(2, libc::MADV_HUGEPAGE)?;
    for page in (0..2 * HUGE).step_by(PAGE) {
        mapping.set(offset + page, (page / PAGE % 251) as u8 + 1);
    }
    let value = |page: usize| (page % 251) as u8 + 1;
    mapping.protect(offset + 7 * PAGE, PAGE, libc::PROT_NONE)?;
    ensure_eq!(attempt(Deed::Read(mapping.address() + offset + 7 * PAGE))?, SEGV);
    mapping.protect(offset + 7 * PAGE, PAGE, READ_WRITE)?;
    mapping.unmap_part(offset + 9 * PAGE, PAGE)?;
    ensure_eq!(attempt(Deed::Read(mapping.address() + offset + 9 * PAGE))?, SEGV);
    advise(mapping.address() + offset + 11 * PAGE, PAGE, libc::MADV_DONTNEED)?;
    ensure_eq!(mapping.get(offset + 11 * PAGE), 0);
    for page in (0..2 * HUGE / PAGE).filter(|page| ![9, 11].contains(page)) {
        ensure_eq!(mapping.get(offset + page * PAGE), value(page), "page {page}");
    }
    // A move by a distance that is no multiple of a huge page.
    let target = Mapping::private(2 * HUGE)?;
    let place = target.address().next_multiple_of(HUGE) + PAGE;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let from = mapping.address() + offset + HUGE;
    ensure_eq!(remap_call(from, HUGE / 2, HUGE / 2, flags, place)?, place);
    let shift = place - target.address();
    for page in 0..HUGE / 2 / PAGE {
        ensure_eq!(target.get(shift + page * PAGE), value(page + HUGE / PAGE), "moved page {page}");
    }
    Ok(())
}

fn huge_pages_are_copied_on_write() -> Outcome {
    skip_without_huge_pages()?;
    let (mapping, offset) = huge_area(1, libc::MADV_HUGEPAGE)?;
    mapping.set(offset, 1);
    mapping.set(offset + HUGE - 1, 2);
    ensure!(in_child(|| {
        let is_seen = (mapping.get(offset), mapping.get(offset + HUGE - 1)) == (1, 2);
        mapping.set(offset, 3);
        is_seen && (mapping.get(offset), mapping.get(offset + HUGE - 1)) == (3, 2)
    })?);
    ensure_eq!((mapping.get(offset), mapping.get(offset + HUGE - 1)), (1, 2));
    mapping.set(offset + HUGE - 1, 4);
    ensure_eq!((mapping.get(offset), mapping.get(offset + HUGE - 1)), (1, 4));
    Ok(())
}

fn huge_pages_can_be_forbidden() -> Outcome {
    const PR_SET_THP_DISABLE: usize = 41;
    const PR_GET_THP_DISABLE: usize = 42;
    let prctl = |option: usize, value: usize| probe(libc::SYS_prctl, &[option, value, 0, 0, 0]);
    ensure!(in_child(|| {
        let is_set = prctl(PR_SET_THP_DISABLE, 1) == Ok(0) && prctl(PR_GET_THP_DISABLE, 0) == Ok(1);
        let is_inherited = in_child(|| prctl(PR_GET_THP_DISABLE, 0) == Ok(1)) == Ok(true);
        let has_none = huge_area(1, libc::MADV_HUGEPAGE).is_ok_and(|(mapping, offset)| {
            mapping.set(offset, 1);
            let text = area_text(mapping.address()).unwrap_or_default();
            figure(&text, "AnonHugePages") == Some(0)
        });
        is_set && is_inherited && has_none
    })?);
    ensure_errno!(probe(libc::SYS_prctl, &[PR_GET_THP_DISABLE, 1, 0, 0, 0]), EINVAL);
    Ok(())
}

fn huge_page_pool_is_empty() -> Outcome {
    let pool = files::get("/proc/sys/vm/nr_hugepages").unwrap_or_default();
    if !pool.is_empty() && pool.trim_ascii() != b"0" {
        return Err(Stop::Skip("there is a pool of huge pages".to_owned()));
    }
    let mapped = Mapping::new(0, HUGE, READ_WRITE, PRIVATE | libc::MAP_HUGETLB, -1, 0);
    ensure_errno!(mapped, ENOMEM);
    Ok(())
}
