//! Record locks: who is kept out, who waits, what a close gives back.

use super::errno;
use crate::fs::{
    file::Blocking,
    lock::{LockKind, LockTable, Owner, Record},
};
use abi::{errno::Errno, stat::DeviceNumber};
use test_macro::kernel_test;

const A: Owner = Owner::Process(1);
const B: Owner = Owner::Process(2);

fn record(owner: Owner, kind: LockKind, start: u64, last: u64) -> Record {
    Record { owner, pid: 1, kind, start, last }
}

#[kernel_test]
fn record_locks_split_merge_and_conflict() {
    use LockKind::{Exclusive, Shared};
    let table = LockTable::new(DeviceNumber::new(0, 99), 1);
    let set = |wanted| table.set(wanted, Blocking::Never);
    set(record(A, Exclusive, 0, 99)).expect("free");
    assert_eq!(errno(set(record(B, Shared, 50, 60))), Some(Errno::EAGAIN));
    table.clear(A, 40, 69);
    set(record(B, Exclusive, 50, 60)).expect("free now");
    assert_eq!(errno(set(record(B, Exclusive, 30, 40))), Some(Errno::EAGAIN));
    assert_eq!(errno(set(record(A, Shared, 0, u64::MAX))), Some(Errno::EAGAIN));
    table.clear(B, 0, u64::MAX);
    set(record(A, Shared, 0, u64::MAX)).expect("only its own");
    set(record(B, Shared, 10, 20)).expect("shared");
    let found = table.conflict(&record(B, Exclusive, 5, 5)).expect("held by A");
    assert_eq!((found.start, found.last, found.kind), (0, u64::MAX, Shared));
}
