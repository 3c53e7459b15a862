//! Memory: mapping, unmapping, protection, the heap, the stack.

use crate::report::{Outcome, ensure, ensure_eq, ensure_errno, or_skip, tests};
use crate::sys::faults::{Deed, attempt};
use crate::sys::files::{self, open, pipe, put, write};
use crate::sys::memory::{self, Mapping, PAGE, READ, READ_WRITE, brk, mprotect, munmap};
use crate::sys::process::{self, Status, fork};
use crate::sys::{Errno, probe};

tests! {
    fresh_memory_is_zero,
    memory_given_back_comes_back_zeroed,
    large_mappings_cost_nothing_until_used,
    mapping_keeps_what_is_written,
    unmapped_memory_faults,
    hole_in_a_mapping_faults_and_the_rest_stays,
    unmapping_nothing_succeeds,
    mapping_calls_check,
    fixed_mapping_replaces,
    fixed_noreplace_does_not,
    hint_is_followed_if_free,
    page_zero_cannot_be_reached,
    protection_is_enforced,
    protection_of_a_part_splits,
    protection_can_be_given_back,
    protection_calls_check,
    no_protection_is_no_access,
    data_cannot_be_executed,
    code_can_be_executed,
    code_of_this_program_cannot_be_written,
    heap_grows_and_shrinks,
    heap_refuses_what_is_wrong,
    remap_grows_and_keeps_content,
    remap_shrinks,
    remap_in_place_fails_before_a_neighbour,
    remap_calls_check,
    dontneed_gives_zeros,
    advice_is_checked,
    residency_follows_use,
    stack_grows,
    address_limit_is_kept,
    thousand_mappings,
    kernel_refuses_bad_buffers,
}

/// A file of three pages, each filled with its number plus 1, open for both.
fn file_of_pages() -> Result<files::Fd, Errno> {
    let content: Vec<u8> = (0..3 * PAGE).map(|index| (index / PAGE) as u8 + 1).collect();
    put("file", &content)?;
    open("file", libc::O_RDWR, 0)
}

const PRIVATE: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const SEGV: Status = Status::Killed(libc::SIGSEGV);
const FINE: Status = Status::Exited(0);

/// Runs `body` in a child and wants it to answer true.
fn in_child(body: impl FnOnce() -> bool) -> Result<bool, Errno> {
    Ok(fork(|| i32::from(!body()))?.wait()? == FINE)
}

fn fresh_memory_is_zero() -> Outcome {
    ensure!(Mapping::private(20 * PAGE)?.is_zero());
    ensure!(Mapping::shared(20 * PAGE)?.is_zero());
    Ok(())
}

fn memory_given_back_comes_back_zeroed() -> Outcome {
    for round in 1..=10 {
        let mapping = Mapping::private(64 * PAGE)?;
        ensure!(mapping.is_zero(), "old data in round {round}");
        for page in 0..64 {
            mapping.put(page * PAGE, &[round; 16]);
            mapping.put(page * PAGE + PAGE - 16, &[round; 16]);
        }
    }
    Ok(())
}

fn large_mappings_cost_nothing_until_used() -> Outcome {
    let mapping = Mapping::new(0, 8 << 30, READ_WRITE, PRIVATE | libc::MAP_NORESERVE, -1, 0)?;
    for gigabyte in 0..8 {
        mapping.set(gigabyte << 30, gigabyte as u8 + 1);
    }
    for gigabyte in 0..8 {
        ensure_eq!(mapping.get(gigabyte << 30), gigabyte as u8 + 1);
        ensure_eq!(mapping.get((gigabyte << 30) + 1), 0);
    }
    Ok(())
}

fn mapping_keeps_what_is_written() -> Outcome {
    let mapping = Mapping::private(300 * PAGE)?;
    for page in 0..300 {
        mapping.set(page * PAGE + page, (page % 255) as u8 + 1);
    }
    for page in 0..300 {
        ensure_eq!(mapping.get(page * PAGE + page), (page % 255) as u8 + 1);
    }
    Ok(())
}

fn unmapped_memory_faults() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    let address = mapping.address();
    mapping.set(0, 1);
    ensure_eq!(attempt(Deed::Read(address))?, FINE);
    drop(mapping);
    ensure_eq!(attempt(Deed::Read(address))?, SEGV);
    ensure_eq!(attempt(Deed::Write(address))?, SEGV);
    Ok(())
}

fn hole_in_a_mapping_faults_and_the_rest_stays() -> Outcome {
    let mapping = Mapping::private(5 * PAGE)?;
    for page in 0..5 {
        mapping.set(page * PAGE, page as u8 + 1);
    }
    mapping.unmap_part(PAGE, PAGE)?;
    mapping.unmap_part(3 * PAGE, PAGE)?;
    for page in 0..5 {
        let expected = if page == 1 || page == 3 { SEGV } else { FINE };
        ensure_eq!(attempt(Deed::Read(mapping.address() + page * PAGE))?, expected, "page {page}");
    }
    ensure_eq!((mapping.get(0), mapping.get(2 * PAGE), mapping.get(4 * PAGE)), (1, 3, 5));
    Ok(())
}

fn unmapping_nothing_succeeds() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    mapping.unmap_part(0, 3 * PAGE)?;
    ensure_eq!(attempt(Deed::Read(mapping.address()))?, SEGV);
    Ok(())
}

fn mapping_calls_check() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    let map = |address, length, protection, flags, fd, offset| {
        Mapping::new(address, length, protection, flags, fd, offset).map(|mapping| mapping.address())
    };
    ensure_errno!(map(0, 0, READ, PRIVATE, -1, 0), EINVAL);
    ensure_errno!(map(0, PAGE, READ, libc::MAP_ANONYMOUS, -1, 0), EINVAL);
    ensure_errno!(map(0, PAGE, READ, libc::MAP_PRIVATE, -1, 0), EBADF);
    ensure_errno!(map(0, PAGE, READ, libc::MAP_PRIVATE, 99, 0), EBADF);
    ensure_errno!(map(0, PAGE, READ, PRIVATE, -1, 1), EINVAL);
    ensure_errno!(map(1, PAGE, READ, PRIVATE | libc::MAP_FIXED, -1, 0), EINVAL);
    ensure_errno!(map(0xff_ffff_ffff_f000, 2 * PAGE, READ, PRIVATE | libc::MAP_FIXED, -1, 0), ENOMEM);
    ensure_errno!(map(0xffff_8000_0000_0000, PAGE, READ, PRIVATE | libc::MAP_FIXED, -1, 0), ENOMEM);
    ensure_errno!(map(0, usize::MAX - PAGE, READ, PRIVATE, -1, 0), ENOMEM);
    ensure_errno!(munmap(mapping.address() + 1, PAGE), EINVAL);
    ensure_errno!(munmap(mapping.address(), 0), EINVAL);
    ensure_errno!(munmap(0xffff_8000_0000_0000, PAGE), EINVAL);
    ensure_errno!(munmap(mapping.address(), usize::MAX - PAGE), EINVAL);
    Ok(())
}

fn fixed_mapping_replaces() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    for page in 0..3 {
        mapping.set(page * PAGE, 7);
    }
    let middle = mapping.address() + PAGE;
    let replaced = Mapping::new(middle, PAGE, READ_WRITE, PRIVATE | libc::MAP_FIXED, -1, 0)?;
    ensure_eq!(replaced.address(), middle);
    ensure_eq!((mapping.get(0), mapping.get(PAGE), mapping.get(2 * PAGE)), (7, 0, 7));
    Ok(())
}

fn fixed_noreplace_does_not() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    mapping.set(0, 7);
    let flags = PRIVATE | libc::MAP_FIXED_NOREPLACE;
    let again = Mapping::new(mapping.address(), PAGE, READ_WRITE, flags, -1, 0).map(std::mem::forget);
    ensure_errno!(again, EEXIST);
    ensure_eq!(mapping.get(0), 7);
    let address = mapping.address();
    drop(mapping);
    ensure_eq!(Mapping::new(address, PAGE, READ_WRITE, flags, -1, 0)?.address(), address);
    Ok(())
}

fn hint_is_followed_if_free() -> Outcome {
    let first = Mapping::private(PAGE)?;
    let address = first.address();
    let elsewhere = Mapping::new(address, PAGE, READ_WRITE, PRIVATE, -1, 0)?;
    ensure!(elsewhere.address() != address);
    drop(first);
    ensure_eq!(Mapping::new(address, PAGE, READ_WRITE, PRIVATE, -1, 0)?.address(), address);
    Ok(())
}

fn page_zero_cannot_be_reached() -> Outcome {
    ensure_eq!(attempt(Deed::Read(0))?, SEGV);
    let hinted = Mapping::new(1, PAGE, READ_WRITE, PRIVATE, -1, 0)?;
    ensure!(hinted.address() >= PAGE);
    Ok(())
}

fn protection_is_enforced() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    let address = mapping.address();
    mapping.set(5, 5);
    mapping.protect(0, PAGE, READ)?;
    ensure_eq!(mapping.get(5), 5);
    ensure_eq!(attempt(Deed::Write(address))?, SEGV);
    mapping.protect(0, PAGE, libc::PROT_NONE)?;
    ensure_eq!(attempt(Deed::Read(address))?, SEGV);
    mapping.protect(0, PAGE, READ_WRITE)?;
    mapping.set(6, 6);
    ensure_eq!((mapping.get(5), mapping.get(6)), (5, 6));
    // Pages that were never touched are bound too.
    let fresh = Mapping::new(0, PAGE, READ, PRIVATE, -1, 0)?;
    ensure_eq!(attempt(Deed::Write(fresh.address()))?, SEGV);
    ensure_eq!(fresh.get(0), 0);
    Ok(())
}

fn protection_of_a_part_splits() -> Outcome {
    let mapping = Mapping::private(6 * PAGE)?;
    mapping.protect(PAGE, 2 * PAGE, READ)?;
    mapping.protect(2 * PAGE, 2 * PAGE, libc::PROT_NONE)?;
    for (page, readable, writable) in
        [(0, true, true), (1, true, false), (2, false, false), (3, false, false), (4, true, true)]
    {
        let address = mapping.address() + page * PAGE;
        ensure_eq!(attempt(Deed::Read(address))? == FINE, readable, "reading page {page}");
        ensure_eq!(attempt(Deed::Write(address))? == FINE, writable, "writing page {page}");
    }
    mapping.protect(0, 6 * PAGE, READ_WRITE)?;
    mapping.set(2 * PAGE, 1);
    Ok(())
}

fn protection_can_be_given_back() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    for round in 0..20 {
        mapping.set(0, round);
        mapping.protect(0, PAGE, READ)?;
        ensure_eq!(attempt(Deed::Write(mapping.address()))?, SEGV);
        mapping.protect(0, PAGE, READ_WRITE)?;
        ensure_eq!(mapping.get(0), round);
    }
    Ok(())
}

fn protection_calls_check() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    ensure_errno!(mprotect(mapping.address() + 1, PAGE, READ), EINVAL);
    ensure_errno!(mprotect(mapping.address(), 3 * PAGE, READ), ENOMEM);
    ensure_errno!(mprotect(mapping.address(), PAGE, 0x100), EINVAL);
    ensure_errno!(mprotect(0xffff_8000_0000_0000, PAGE, READ), ENOMEM);
    mprotect(mapping.address(), 0, READ)?;
    Ok(())
}

fn no_protection_is_no_access() -> Outcome {
    let mapping = Mapping::new(0, PAGE, libc::PROT_NONE, PRIVATE, -1, 0)?;
    ensure_eq!(attempt(Deed::Read(mapping.address()))?, SEGV);
    let (_reader, writer) = pipe(0)?;
    ensure_errno!(mapping.write_to(*writer, 0, 1), EFAULT);
    Ok(())
}

fn data_cannot_be_executed() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    mapping.set(0, 0xc3); // ret
    ensure_eq!(attempt(Deed::Execute(mapping.address()))?, SEGV);
    let file = open("file", libc::O_RDWR | libc::O_CREAT, 0o755)?;
    write(*file, &[0xc3])?;
    let mapped = Mapping::of_file(*file, PAGE, READ, libc::MAP_PRIVATE)?;
    ensure_eq!(attempt(Deed::Execute(mapped.address()))?, SEGV);
    Ok(())
}

fn code_can_be_executed() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    mapping.set(0, 0xc3); // ret
    mapping.protect(0, PAGE, libc::PROT_READ | libc::PROT_EXEC)?;
    ensure_eq!(attempt(Deed::Execute(mapping.address()))?, FINE);
    ensure_eq!(attempt(Deed::Write(mapping.address()))?, SEGV);
    Ok(())
}

fn code_of_this_program_cannot_be_written() -> Outcome {
    let code = code_of_this_program_cannot_be_written as fn() -> Outcome as usize;
    ensure_eq!(attempt(Deed::Read(code))?, FINE);
    ensure_eq!(attempt(Deed::Write(code))?, SEGV);
    let constant = "a constant of this program".as_ptr() as usize;
    ensure_eq!(attempt(Deed::Write(constant))?, SEGV);
    Ok(())
}

fn heap_grows_and_shrinks() -> Outcome {
    // In a child, because the C library's own heap may be there.
    ensure!(in_child(|| {
        let start = brk(0);
        let end = start + 10 * PAGE + 100;
        let is_grown = start > 0 && brk(end) == end && brk(0) == end;
        let is_usable = (0..10).all(|page| memory::use_heap_byte(start + page * PAGE + PAGE) == (0, 0x5a));
        let is_shrunk = brk(start) == start;
        let is_zero_again = brk(end) == end && memory::use_heap_byte(start + 5 * PAGE).0 == 0;
        is_grown && is_usable && is_shrunk && is_zero_again
    })?);
    Ok(())
}

fn heap_refuses_what_is_wrong() -> Outcome {
    let now = brk(0);
    ensure_eq!(brk(1), now, "an address below the heap");
    ensure_eq!(brk(0xffff_8000_0000_0000), now, "an address of the kernel");
    ensure_eq!(brk(0), now);
    ensure_eq!(attempt(Deed::Read(now + 64 * PAGE))?, SEGV);
    Ok(())
}

fn remap_grows_and_keeps_content() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.set(0, 1);
    mapping.set(PAGE, 2);
    let mapping = mapping.remap(50 * PAGE, libc::MREMAP_MAYMOVE)?;
    ensure_eq!((mapping.get(0), mapping.get(PAGE), mapping.get(49 * PAGE)), (1, 2, 0));
    mapping.set(49 * PAGE, 3);
    let shared = Mapping::shared(PAGE)?;
    shared.set(0, 5);
    ensure!(in_child(|| {
        shared.set(1, 6);
        true
    })?);
    let shared = shared.remap(PAGE, libc::MREMAP_MAYMOVE)?;
    ensure_eq!((shared.get(0), shared.get(1)), (5, 6));
    Ok(())
}

fn remap_shrinks() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    mapping.set(0, 1);
    let address = mapping.address();
    let mapping = mapping.remap(PAGE, 0)?;
    ensure_eq!((mapping.address(), mapping.get(0)), (address, 1));
    ensure_eq!(attempt(Deed::Read(address + PAGE))?, SEGV);
    Ok(())
}

fn remap_in_place_fails_before_a_neighbour() -> Outcome {
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.protect(PAGE, PAGE, READ)?; // a neighbour that cannot be merged
    let first = Mapping::new(mapping.address(), PAGE, READ_WRITE, PRIVATE | libc::MAP_FIXED, -1, 0)?;
    first.set(0, 9);
    ensure_errno!(first.refuses_remap(2 * PAGE, 0), ENOMEM);
    let moved = first.remap(2 * PAGE, libc::MREMAP_MAYMOVE)?;
    ensure!(moved.address() != mapping.address());
    ensure_eq!(moved.get(0), 9);
    ensure_eq!(attempt(Deed::Read(mapping.address()))?, SEGV);
    Ok(())
}

fn remap_calls_check() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    let address = mapping.address();
    ensure_errno!(probe(libc::SYS_mremap, &[address + 1, PAGE, PAGE, 0]), EINVAL);
    ensure_errno!(probe(libc::SYS_mremap, &[address, PAGE, 0, 0]), EINVAL);
    ensure_errno!(probe(libc::SYS_mremap, &[address, PAGE, PAGE, 0x40]), EINVAL);
    drop(mapping);
    ensure_errno!(probe(libc::SYS_mremap, &[address, PAGE, 2 * PAGE, 1]), EFAULT);
    Ok(())
}

fn dontneed_gives_zeros() -> Outcome {
    let mapping = Mapping::private(3 * PAGE)?;
    mapping.set(PAGE, 7);
    or_skip!(mapping.advise(libc::MADV_DONTNEED), ENOSYS);
    ensure!(mapping.is_zero());
    let file = file_of_pages()?;
    let private = Mapping::of_file(*file, 3 * PAGE, READ_WRITE, libc::MAP_PRIVATE)?;
    private.set(PAGE, 99);
    private.advise(libc::MADV_DONTNEED)?;
    ensure_eq!(private.get(PAGE), 2, "the file's content comes back");
    Ok(())
}

fn advice_is_checked() -> Outcome {
    let mapping = Mapping::private(PAGE)?;
    for advice in [libc::MADV_NORMAL, libc::MADV_RANDOM, libc::MADV_SEQUENTIAL, libc::MADV_WILLNEED] {
        or_skip!(mapping.advise(advice), ENOSYS);
    }
    ensure_errno!(mapping.advise(9999), EINVAL);
    ensure_errno!(probe(libc::SYS_madvise, &[mapping.address() + 1, PAGE, 0]), EINVAL);
    let address = mapping.address();
    drop(mapping);
    ensure_errno!(probe(libc::SYS_madvise, &[address, PAGE, libc::MADV_DONTNEED as usize]), ENOMEM);
    Ok(())
}

fn residency_follows_use() -> Outcome {
    let mapping = Mapping::private(4 * PAGE)?;
    mapping.set(2 * PAGE, 1);
    let pages = or_skip!(mapping.resident(), ENOSYS);
    ensure_eq!(pages, vec![false, false, true, false]);
    ensure_errno!(probe(libc::SYS_mincore, &[mapping.address() + 1, PAGE, 0]), EINVAL);
    Ok(())
}

fn stack_grows() -> Outcome {
    let (limit, _) = process::getrlimit(libc::RLIMIT_STACK as u32)?;
    let wish = limit.min(8 << 20) as usize / 2;
    ensure!(in_child(|| memory::use_stack(wish) > 0)?, "{wish} bytes of stack");
    Ok(())
}

fn address_limit_is_kept() -> Outcome {
    ensure!(in_child(|| {
        let limit = process::setrlimit(libc::RLIMIT_AS as u32, (1 << 30, 1 << 30));
        limit.is_ok()
            && Mapping::private(2 << 30).is_err_and(|errno| errno.0 == libc::ENOMEM)
            && Mapping::private(1 << 20).is_ok()
    })?);
    Ok(())
}

fn thousand_mappings() -> Outcome {
    let mut mappings = Vec::new();
    for number in 0..1000_usize {
        // Different protections keep neighbours from being merged.
        let mapping = Mapping::private(PAGE)?;
        mapping.set(0, number as u8);
        if number % 2 == 0 {
            mapping.protect(0, PAGE, READ)?;
        }
        mappings.push(mapping);
    }
    for (number, mapping) in mappings.iter().enumerate() {
        ensure_eq!(mapping.get(0), number as u8);
    }
    let mut index = 0;
    mappings.retain(|_| {
        index += 1;
        index % 3 == 0
    });
    for (number, mapping) in mappings.iter().enumerate() {
        ensure_eq!(mapping.get(0), (number * 3 + 2) as u8);
    }
    Ok(())
}

fn kernel_refuses_bad_buffers() -> Outcome {
    put("file", &[1; 2 * PAGE])?;
    let file = open("file", libc::O_RDWR, 0)?;
    let mapping = Mapping::private(2 * PAGE)?;
    mapping.unmap_part(PAGE, PAGE)?;
    // Up to the hole, or nothing: both are Linux's ways, depending on the file system.
    let count = mapping.read_from(*file, PAGE - 100, 200);
    ensure!(matches!(count, Ok(100) | Err(Errno(libc::EFAULT))), "read into a hole: {count:?}");
    let read_only = Mapping::new(0, PAGE, READ, PRIVATE, -1, 0)?;
    ensure_errno!(read_only.read_from(*file, 0, 10), EFAULT);
    Ok(())
}
