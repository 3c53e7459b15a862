//! Address spaces of programs, page faults, user memory.
