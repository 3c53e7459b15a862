//! Futexes and robust lists. Source: futex(2), get_robust_list(2).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32, like linux_raw_sys::general;
    FUTEX_WAIT = 0, "Sleep if the word has the expected value.";
    FUTEX_WAKE = 1, "Wake waiters.";
    FUTEX_FD = 2, "Gone.";
    FUTEX_REQUEUE = 3, "Wake some, move the rest.";
    FUTEX_CMP_REQUEUE = 4, "`FUTEX_REQUEUE` if the word has the expected value.";
    FUTEX_WAKE_OP = 5, "Change a second word, wake waiters of one or both.";
    FUTEX_LOCK_PI = 6, "Lock with priority inheritance; relative to `CLOCK_REALTIME`.";
    FUTEX_UNLOCK_PI = 7, "Unlock with priority inheritance.";
    FUTEX_TRYLOCK_PI = 8, "Try to lock with priority inheritance.";
    FUTEX_WAIT_BITSET = 9, "`FUTEX_WAIT` until a point in time, with a mask.";
    FUTEX_WAKE_BITSET = 10, "`FUTEX_WAKE` with a mask.";
    FUTEX_WAIT_REQUEUE_PI = 11, "Wait to be moved to a priority-inheriting lock.";
    FUTEX_CMP_REQUEUE_PI = 12, "Move waiters to a priority-inheriting lock.";
    FUTEX_LOCK_PI2 = 13, "`FUTEX_LOCK_PI` with a choice of clock.";
    FUTEX_PRIVATE_FLAG = 128, "Not shared between processes.";
    FUTEX_CLOCK_REALTIME = 256, "The time is of `CLOCK_REALTIME`.";
    FUTEX_WAITERS = 0x8000_0000, "In the word: somebody waits.";
    FUTEX_OWNER_DIED = 0x4000_0000, "In the word: the owner ended.";
    FUTEX_TID_MASK = 0x3fff_ffff, "In the word: the owner's thread id.";
    FUTEX_BITSET_MATCH_ANY = 0xffff_ffff, "The mask that matches all.";
    FUTEX_OP_SET = 0, "`FUTEX_WAKE_OP`: word = argument.";
    FUTEX_OP_ADD = 1, "`FUTEX_WAKE_OP`: word += argument.";
    FUTEX_OP_OR = 2, "`FUTEX_WAKE_OP`: word |= argument.";
    FUTEX_OP_ANDN = 3, "`FUTEX_WAKE_OP`: word &= !argument.";
    FUTEX_OP_XOR = 4, "`FUTEX_WAKE_OP`: word ^= argument.";
    FUTEX_OP_OPARG_SHIFT = 8, "`FUTEX_WAKE_OP`: the argument is a shift count.";
    FUTEX_OP_CMP_EQ = 0, "`FUTEX_WAKE_OP`: wake if equal.";
    FUTEX_OP_CMP_NE = 1, "`FUTEX_WAKE_OP`: wake if not equal.";
    FUTEX_OP_CMP_LT = 2, "`FUTEX_WAKE_OP`: wake if less.";
    FUTEX_OP_CMP_LE = 3, "`FUTEX_WAKE_OP`: wake if less or equal.";
    FUTEX_OP_CMP_GT = 4, "`FUTEX_WAKE_OP`: wake if greater.";
    FUTEX_OP_CMP_GE = 5, "`FUTEX_WAKE_OP`: wake if greater or equal.";
    ROBUST_LIST_LIMIT = 2048, "The most entries of a robust list that the kernel walks.";
}

/// `struct robust_list_head`, 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RobustListHead {
    /// Address of the first entry; the head's own address if the list is empty.
    pub list: u64,
    /// From an entry to its futex word.
    pub futex_offset: i64,
    /// An entry that is being taken or released; bit 0 marks priority inheritance.
    pub list_op_pending: u64,
}

/// The third argument of `FUTEX_WAKE_OP`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeOp {
    op: u32,
    comparison: u32,
    operand: u32,
    compared: i32,
}

impl WakeOp {
    /// Takes the argument apart; `None` if operation or comparison do not exist.
    pub const fn decode(encoded: u32) -> Option<WakeOp> {
        let (op, comparison) = (encoded >> 28, encoded >> 24 & 0xf);
        if op & 7 > FUTEX_OP_XOR || comparison > FUTEX_OP_CMP_GE {
            return None;
        }
        // Both arguments are signed numbers of 12 bits.
        let operand = (encoded << 8) as i32 >> 20;
        let compared = (encoded << 20) as i32 >> 20;
        let operand = if op & FUTEX_OP_OPARG_SHIFT != 0 { 1u32 << (operand & 31) } else { operand as u32 };
        Some(WakeOp { op: op & 7, comparison, operand, compared })
    }

    /// The word's new value.
    pub const fn apply(self, old: u32) -> u32 {
        match self.op {
            FUTEX_OP_SET => self.operand,
            FUTEX_OP_ADD => old.wrapping_add(self.operand),
            FUTEX_OP_OR => old | self.operand,
            FUTEX_OP_ANDN => old & !self.operand,
            _ => old ^ self.operand,
        }
    }

    /// Whether the second word's waiters are to be woken, given its old value.
    pub const fn is_wake(self, old: u32) -> bool {
        let old = old as i32;
        match self.comparison {
            FUTEX_OP_CMP_EQ => old == self.compared,
            FUTEX_OP_CMP_NE => old != self.compared,
            FUTEX_OP_CMP_LT => old < self.compared,
            FUTEX_OP_CMP_LE => old <= self.compared,
            FUTEX_OP_CMP_GT => old > self.compared,
            _ => old >= self.compared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_matches_linux() {
        assert_eq!(size_of::<RobustListHead>(), size_of::<linux_raw_sys::general::robust_list_head>());
    }

    #[test]
    fn wake_op_is_what_condition_variables_send() {
        // glibc's FUTEX_OP_CLEAR_WAKE_IF_GT_ONE.
        let op = WakeOp::decode(4 << 24 | 1).unwrap();
        assert_eq!(op.apply(5), 0);
        assert!(op.is_wake(2) && !op.is_wake(1));
        let op = WakeOp::decode(9 << 28 | 2 << 24 | 4 << 12 | 0xfff).unwrap();
        assert_eq!(op.apply(1), 17);
        assert!(op.is_wake(-2i32 as u32) && !op.is_wake(0));
        assert_eq!(WakeOp::decode(5 << 28), None);
        assert_eq!(WakeOp::decode(6 << 24), None);
    }
}
