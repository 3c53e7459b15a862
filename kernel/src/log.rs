//! The kernel log: a ring of messages, written to the consoles.
