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

    /// 1024 for nice 0, and about 1.25 times as much for each step down: Linux's numbers.
    pub const fn weight(self) -> u64 {
        WEIGHTS[(self.0 + 20) as usize]
    }
}

/// The weights from nice -20 on, five to a line. Source: sched(7) names the ratio; the numbers are what Linux divides
/// time by (`sched_prio_to_weight`), so that the same nice values give the same shares here.
const WEIGHTS: [u64; 40] = [
    88_761, 71_755, 56_483, 46_273, 36_291, //
    29_154, 23_254, 18_705, 14_949, 11_916, //
    9_548, 7_620, 6_100, 4_904, 3_906, //
    3_121, 2_501, 1_991, 1_586, 1_277, //
    1_024, 820, 655, 526, 423, //
    335, 272, 215, 172, 137, //
    110, 87, 70, 56, 45, //
    36, 29, 23, 18, 15,
];

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

/// The weight of `SCHED_IDLE`: a 341st of nice 0's.
const IDLE_WEIGHT: u64 = 3;

/// How a task is scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_OTHER`.
    Fair(Nice),
    /// `SCHED_BATCH`: fair, but a wake-up does not cut anybody's turn short.
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
            Policy::Idle => IDLE_WEIGHT,
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
