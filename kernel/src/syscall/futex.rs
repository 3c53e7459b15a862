//! The system call of user-space locks.

use super::Call;
use crate::sched::timer::Deadline;
use crate::{
    clock,
    error::{Error, Result},
    mm::user::UserPtr,
    process::futex::{self, MATCH_ANY, Requeue, Scope},
};
use abi::{
    errno::Errno,
    futex::{
        FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_WAIT,
        FUTEX_WAIT_BITSET, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP, WakeOp,
    },
    time::Timespec,
};

/// futex(2): all operations but those with priority inheritance (ENOSYS).
pub(crate) fn futex(call: &mut Call<'_>) -> Result<u64> {
    let address = call.arg(0);
    let flags = call.uint(1) & (FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let operation = call.uint(1) & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    let value = call.uint(2);
    let scope = if flags & FUTEX_PRIVATE_FLAG != 0 { Scope::Private } else { Scope::Shared };
    let takes_clock = matches!(operation, FUTEX_WAIT | FUTEX_WAIT_BITSET);
    if flags & FUTEX_CLOCK_REALTIME != 0 && !takes_clock {
        return Err(Error::new(Errno::ENOSYS, "this futex operation knows no clocks"));
    }
    let space = call.process().address_space();
    match operation {
        FUTEX_WAIT => {
            let deadline = deadline(call, flags, Counting::FromNow)?;
            wait(call, Wait { address, value, mask: MATCH_ANY, flags, deadline })
        }
        FUTEX_WAIT_BITSET => {
            let deadline = deadline(call, flags, Counting::FromEpoch)?;
            wait(call, Wait { address, value, mask: call.uint(5), flags, deadline })
        }
        FUTEX_WAKE => Ok(futex::wake(&space, address, scope, at_least_one(value), MATCH_ANY)?.into()),
        FUTEX_WAKE_BITSET => {
            Ok(futex::wake(&space, address, scope, at_least_one(value), call.uint(5))?.into())
        }
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            // The timeout's register holds a number here. Both numbers are signed.
            let movable = call.uint(3);
            if (value as i32) < 0 || (movable as i32) < 0 {
                return Err(Error::new(Errno::EINVAL, "negative number of waiters"));
            }
            let expected = (operation == FUTEX_CMP_REQUEUE).then_some(call.uint(5));
            let what = Requeue { wake: value, movable, expected };
            let (woken, moved) = futex::requeue(&space, address, call.arg(4), scope, what)?;
            Ok(u64::from(woken) + if expected.is_some() { u64::from(moved) } else { 0 })
        }
        FUTEX_WAKE_OP => {
            let change =
                WakeOp::decode(call.uint(5)).ok_or(Error::new(Errno::ENOSYS, "no such futex operation"))?;
            let limits = (at_least_one(value), at_least_one(call.uint(3)));
            Ok(futex::wake_op(&space, address, call.arg(4), scope, limits, change)?.into())
        }
        _ => Err(Error::new(Errno::ENOSYS, "no such futex operation")),
    }
}

/// Linux wakes one even if asked for none, or for a negative number.
fn at_least_one(limit: u32) -> u32 {
    if limit as i32 <= 0 { 1 } else { limit }
}

/// What a timeout is counted from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    FromNow,
    FromEpoch,
}

/// The timeout in argument 3.
fn deadline(call: &Call<'_>, flags: u32, counting: Counting) -> Result<Option<Deadline>> {
    let Some(pointer) = UserPtr::<Timespec>::nullable(call.arg(3)) else { return Ok(None) };
    let time = pointer.read()?.to_nanos().ok_or(Error::new(Errno::EINVAL, "no valid time"))?;
    Ok(Some(match counting {
        Counting::FromNow => Deadline::monotonic(clock::monotonic_ns().saturating_add(time)),
        Counting::FromEpoch if flags & FUTEX_CLOCK_REALTIME != 0 => Deadline::realtime(time),
        Counting::FromEpoch => Deadline::monotonic(time),
    }))
}

/// A wait, as it can be taken up again.
#[derive(Clone, Copy)]
struct Wait {
    address: u64,
    value: u32,
    mask: u32,
    flags: u32,
    deadline: Option<Deadline>,
}

fn wait(call: &mut Call<'_>, wanted: Wait) -> Result<u64> {
    let Wait { address, value, mask, flags, deadline } = wanted;
    let scope = if flags & FUTEX_PRIVATE_FLAG != 0 { Scope::Private } else { Scope::Shared };
    let space = call.process().address_space();
    match futex::wait(&space, address, scope, value, mask, deadline) {
        Ok(()) => Ok(0),
        // The time left is counted from the first call.
        Err(error) if deadline.is_some() => Err(call.resume_later(error, move |call| wait(call, wanted))),
        Err(error) => Err(error),
    }
}
