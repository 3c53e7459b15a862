//! The virtual file system and the file systems under it.
