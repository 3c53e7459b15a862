//! What adjtimex asks of the clock's [discipline](super::discipline), and what it answers.
//!
//! Source: adjtimex(2), ntp_adjtime(3).

/// Bits of [`Request::modes`].
pub mod mode {
    /// The offset for the loop.
    pub const OFFSET: u32 = 0x0001;
    /// The frequency.
    pub const FREQUENCY: u32 = 0x0002;
    /// The largest possible error.
    pub const MAXERROR: u32 = 0x0004;
    /// The estimated error.
    pub const ESTERROR: u32 = 0x0008;
    /// The status bits.
    pub const STATUS: u32 = 0x0010;
    /// The loop's constant.
    pub const TIMECONST: u32 = 0x0020;
    /// The offset to international atomic time.
    pub const TAI: u32 = 0x0080;
    /// A step (the caller's business).
    pub const SETOFFSET: u32 = 0x0100;
    /// Offsets are in microseconds.
    pub const MICRO: u32 = 0x1000;
    /// Offsets are in nanoseconds.
    pub const NANO: u32 = 0x2000;
    /// The length of a tick.
    pub const TICK: u32 = 0x4000;
    /// adjtime: with [`SINGLESHOT`] a slew, with [`READ_ONLY`] besides only a look at what is left of it.
    pub const ADJTIME: u32 = 0x8000;
    /// See [`ADJTIME`]; the offset's bit.
    pub const SINGLESHOT: u32 = 0x0001;
    /// See [`ADJTIME`].
    pub const READ_ONLY: u32 = 0x2000;
}

/// Status bits.
pub mod status {
    /// The phase-locked loop works.
    pub const PLL: i32 = 0x0001;
    /// Frequencies come from intervals.
    pub const FLL: i32 = 0x0008;
    /// The last minute of the day gets a second more.
    pub const INSERT: i32 = 0x0010;
    /// Or one less.
    pub const DELETE: i32 = 0x0020;
    /// The clock is not synchronised.
    pub const UNSYNC: i32 = 0x0040;
    /// The loop leaves the frequency alone.
    pub const HOLD: i32 = 0x0080;
    /// Offsets are in nanoseconds.
    pub const NANO: i32 = 0x2000;
    /// What programs cannot set.
    pub const READ_ONLY: i32 = 0xff00;
}

/// What adjtimex returns: the clock's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is synchronised.
    Good = 0,
    /// A leap second will be inserted at the end of the day.
    Insert = 1,
    /// One will be left out.
    Delete = 2,
    /// One is in progress.
    InProgress = 3,
    /// One has just been.
    Past = 4,
    /// It is not synchronised.
    Unsynchronised = 5,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// `struct timex`, without what belongs to the caller. Units as there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// What is to be set.
    pub modes: u32,
    /// Microseconds, or nanoseconds with [`status::NANO`].
    pub offset: i64,
    /// Parts in a million, with 16 bits behind the point.
    pub frequency: i64,
    /// Microseconds.
    pub max_error: i64,
    /// Microseconds.
    pub estimated_error: i64,
    /// [`status`].
    pub status: i32,
    /// The loop's constant; the TAI offset with [`mode::TAI`].
    pub constant: i64,
    /// Microseconds for each 1/100 s.
    pub tick: i64,
}

/// What a clock shows of its discipline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The values in force, as in the request; for adjtime, `offset` is what was left of the slew before.
    pub values: Request,
    /// Parts in a million, with 16 bits behind the point.
    pub tolerance: i64,
    /// Seconds.
    pub tai: i32,
    /// The clock's state.
    pub state: State,
}
