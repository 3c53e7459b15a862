//! Scheduling policies, nice values and their weights.

/// A nice value, -20 (most) to 19 (least).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nice(i8);

impl Nice {
    /// The most favoured.
    pub const MIN: Nice = Nice(-20);
    /// The least favoured.
    pub const MAX: Nice = Nice(19);
    /// What a task has if nobody says otherwise.
    pub const DEFAULT: Nice = Nice(0);

    /// A nice value, brought into the range.
    pub const fn clamped(value: i32) -> Nice {
        if value < -20 {
            Nice::MIN
        } else if value > 19 {
            Nice::MAX
        } else {
            Nice(value as i8)
        }
    }

    /// The number.
    pub const fn value(self) -> i32 {
        self.0 as i32
    }

    /// 1024 for nice 0, and 1.25 times as much for each step down.
    pub const fn weight(self) -> u64 {
        WEIGHTS[(self.0 + 20) as usize]
    }
}

/// The weights from nice -20 on.
const WEIGHTS: [u64; 40] = {
    let mut weights = [0; 40];
    let mut index = 0;
    while index < 40 {
        weights[index] = if index < 20 {
            let steps = 20 - index as u32;
            rounded(1024 * 5u128.pow(steps), 4u128.pow(steps))
        } else {
            let steps = index as u32 - 20;
            rounded(1024 * 4u128.pow(steps), 5u128.pow(steps))
        };
        index += 1;
    }
    weights
};

const fn rounded(dividend: u128, divisor: u128) -> u64 {
    ((dividend + divisor / 2) / divisor) as u64
}

/// A real-time priority, 1 (least) to 99 (most).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealTimePriority(u8);

impl RealTimePriority {
    /// The priority of that number, if there is one.
    pub const fn new(value: u32) -> Option<RealTimePriority> {
        if value >= 1 && value <= 99 { Some(RealTimePriority(value as u8)) } else { None }
    }

    /// The number.
    pub const fn value(self) -> u32 {
        self.0 as u32
    }
}

/// How a task is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_OTHER`.
    Fair(Nice),
    /// `SCHED_BATCH`: fair, but waking up earns nothing.
    Batch(Nice),
    /// `SCHED_IDLE`: fair with a tiny weight.
    Idle,
    /// `SCHED_FIFO`: until it sleeps.
    Fifo(RealTimePriority),
    /// `SCHED_RR`: in turns with its equals.
    RoundRobin(RealTimePriority),
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::Fair(Nice::DEFAULT)
    }
}

impl Policy {
    /// Whether it is of the fair class.
    pub const fn is_fair(self) -> bool {
        self.real_time_priority().is_none()
    }

    /// The weight in the fair class; 0 for real-time tasks.
    pub const fn weight(self) -> u64 {
        match self {
            Policy::Fair(nice) | Policy::Batch(nice) => nice.weight(),
            Policy::Idle => 3,
            Policy::Fifo(_) | Policy::RoundRobin(_) => 0,
        }
    }

    /// The priority, if it is of the real-time class.
    pub const fn real_time_priority(self) -> Option<RealTimePriority> {
        match self {
            Policy::Fifo(priority) | Policy::RoundRobin(priority) => Some(priority),
            Policy::Fair(_) | Policy::Batch(_) | Policy::Idle => None,
        }
    }
}
