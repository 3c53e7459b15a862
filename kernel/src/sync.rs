//! Sleeping locks, and the order in which locks are taken.
