//! Processes: creation, programs, signals, exit.
