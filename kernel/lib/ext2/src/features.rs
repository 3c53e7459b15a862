//! The three feature words of the superblock ("s_feature_compat", "s_feature_incompat", "s_feature_ro_compat").

use bitflags::bitflags;

bitflags! {
    /// Features that may be ignored, also when writing.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Compatible: u32 {
        /// There is a journal.
        const JOURNAL = 0x4;
        /// Inodes may have attributes.
        const ATTRIBUTES = 0x8;
        /// Directories may have an index.
        const INDEXES = 0x20;
        /// Backup superblocks only in the two groups that the superblock names.
        const SPARSE_SUPER_2 = 0x200;
        const _ = !0;
    }
}

bitflags! {
    /// Features that must be known to mount at all.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Incompatible: u32 {
        /// Directory entries carry the kind of the inode.
        const FILE_TYPE = 0x2;
        /// The journal holds what is not in place.
        const RECOVER = 0x4;
        /// Each group of groups has its descriptors in its own first groups.
        const META_GROUPS = 0x10;
        /// Indexes of directories may have three levels.
        const LARGE_DIRECTORIES = 0x4000;
        const _ = !0;
    }
}

bitflags! {
    /// Features that must be known to write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct ReadOnlyCompatible: u32 {
        /// Backup superblocks only in groups 0, 1 and the powers of 3, 5 and 7.
        const SPARSE_SUPER = 0x1;
        /// Some file is larger than 2 GiB.
        const LARGE_FILE = 0x2;
        /// Never used on disk; the Linux driver accepts it.
        const TREE_DIRECTORIES = 0x4;
        const _ = !0;
    }
}

impl Incompatible {
    /// What is implemented.
    pub(crate) const KNOWN: Self =
        Self::FILE_TYPE.union(Self::RECOVER).union(Self::META_GROUPS).union(Self::LARGE_DIRECTORIES);
}

impl ReadOnlyCompatible {
    /// What is implemented.
    pub(crate) const KNOWN: Self = Self::SPARSE_SUPER.union(Self::LARGE_FILE).union(Self::TREE_DIRECTORIES);
}
