//! System calls: the table, and the functions by family.
