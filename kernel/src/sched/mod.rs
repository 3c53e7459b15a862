//! Threads: states, run queues, waiting, sleeping.
