//! The virtual file system and the file systems under it.

/// Where a process is in the tree.
pub(crate) struct FsContext;

impl FsContext {
    pub(crate) fn fork(&self) -> Self {
        FsContext
    }
}

pub(crate) mod fd {
    //! File descriptors.
    use alloc::sync::Arc;

    /// The descriptors of a process.
    pub(crate) struct FdTable;

    impl FdTable {
        pub(crate) fn fork(&self) -> Arc<Self> {
            Arc::new(FdTable)
        }
        pub(crate) fn close_for_exec(&self) {}
    }
}

pub(crate) mod file {
    //! Open files.

    /// An open file description.
    pub(crate) struct File;
}

pub(crate) mod open {
    //! Opening files.

    /// Keeps a program file from being written while it runs.
    pub(crate) struct WriteDenial;
}
