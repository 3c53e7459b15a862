//! Memory mappings. Source: mmap(2), mremap(2), madvise(2), msync(2), mlock(2).

flags! {
    /// What a mapping allows.
    Prot: u32, like linux_raw_sys::general;
    PROT_READ = 0x1, "Reading.";
    PROT_WRITE = 0x2, "Writing.";
    PROT_EXEC = 0x4, "Executing.";
    PROT_SEM = 0x8, "Atomic operations (no effect).";
    PROT_GROWSDOWN = 0x0100_0000, "`mprotect`: down to the start of a growing area.";
    PROT_GROWSUP = 0x0200_0000, "`mprotect`: up to the end of an area that grows upwards.";
}

flags! {
    /// How to map; the low four bits are the kind of sharing ([`MapFlags::MAP_TYPE`]).
    MapFlags: u32, like linux_raw_sys::general;
    MAP_SHARED = 0x1, "Changes are seen by others and reach the file.";
    MAP_PRIVATE = 0x2, "Changes are copied on write.";
    MAP_FIXED = 0x10, "Exactly there, replacing what is there.";
    MAP_ANONYMOUS = 0x20, "No file behind it.";
    MAP_32BIT = 0x40, "In the first 2 GiB.";
    MAP_ABOVE4G = 0x80, "Above 4 GiB.";
    MAP_GROWSDOWN = 0x100, "A stack.";
    MAP_DENYWRITE = 0x800, "Ignored.";
    MAP_EXECUTABLE = 0x1000, "Ignored.";
    MAP_LOCKED = 0x2000, "Keep the pages in memory.";
    MAP_NORESERVE = 0x4000, "Reserve no swap.";
    MAP_POPULATE = 0x8000, "Fill the pages now.";
    MAP_NONBLOCK = 0x1_0000, "With `MAP_POPULATE`: do not read.";
    MAP_STACK = 0x2_0000, "For a stack (no effect).";
    MAP_HUGETLB = 0x4_0000, "Huge pages.";
    MAP_SYNC = 0x8_0000, "Synchronous faults (persistent memory).";
    MAP_FIXED_NOREPLACE = 0x10_0000, "Exactly there, fail if something is there.";
}

impl MapFlags {
    /// The bits that hold the kind of sharing.
    pub const MAP_TYPE: u32 = 0xf;
    /// Kind of sharing: like `MAP_SHARED`, but unknown flags are errors.
    pub const MAP_SHARED_VALIDATE: u32 = 0x3;

    /// The kind of sharing: 1 shared, 2 private, 3 shared and validated.
    pub const fn sharing(self) -> u32 {
        self.bits() & Self::MAP_TYPE
    }
}

constants! { u32, like linux_raw_sys::general;
    MREMAP_MAYMOVE = 1, "The mapping may move.";
    MREMAP_FIXED = 2, "It moves to a given address.";
    MREMAP_DONTUNMAP = 4, "The old range stays, empty.";
    MADV_NORMAL = 0, "No advice.";
    MADV_RANDOM = 1, "Random access.";
    MADV_SEQUENTIAL = 2, "Sequential access.";
    MADV_WILLNEED = 3, "Read ahead.";
    MADV_DONTNEED = 4, "Drop the pages; private pages read as zero again.";
    MADV_FREE = 8, "The pages may be dropped.";
    MADV_REMOVE = 9, "Punch a hole in the file.";
    MADV_DONTFORK = 10, "A child does not get the range.";
    MADV_DOFORK = 11, "Undo `MADV_DONTFORK`.";
    MADV_MERGEABLE = 12, "Equal pages may be merged.";
    MADV_UNMERGEABLE = 13, "Undo `MADV_MERGEABLE`.";
    MADV_HUGEPAGE = 14, "Huge pages are welcome.";
    MADV_NOHUGEPAGE = 15, "No huge pages.";
    MADV_DONTDUMP = 16, "Not in a core file.";
    MADV_DODUMP = 17, "Undo `MADV_DONTDUMP`.";
    MADV_WIPEONFORK = 18, "A child sees zeros.";
    MADV_KEEPONFORK = 19, "Undo `MADV_WIPEONFORK`.";
    MADV_COLD = 20, "Not used soon.";
    MADV_PAGEOUT = 21, "Write out now.";
    MADV_POPULATE_READ = 22, "Fill as if read.";
    MADV_POPULATE_WRITE = 23, "Fill as if written.";
    MADV_DONTNEED_LOCKED = 24, "`MADV_DONTNEED` also on locked pages.";
    MADV_COLLAPSE = 25, "Make huge pages now.";
    MADV_GUARD_INSTALL = 102, "Make guard pages.";
    MADV_GUARD_REMOVE = 103, "Undo `MADV_GUARD_INSTALL`.";
    MS_ASYNC = 1, "`msync`: schedule the writing.";
    MS_INVALIDATE = 2, "`msync`: invalidate other mappings.";
    MS_SYNC = 4, "`msync`: write and wait.";
    MCL_CURRENT = 1, "`mlockall`: what is mapped now.";
    MCL_FUTURE = 2, "`mlockall`: what will be mapped.";
    MCL_ONFAULT = 4, "`mlockall`: once it is touched.";
}
