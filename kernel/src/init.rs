//! Boot, in order.
