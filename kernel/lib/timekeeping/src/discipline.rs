//! How programs steer the clock: adjtimex.
//!
//! Three things make the monotonic clock run faster or slower than its counter: a frequency (and, coarsely, the length of
//! a tick), the phase-locked loop that works off an offset a part each second, and adjtime's slew of at most 500 µs a
//! second. Once a second of the time of day somebody calls [`Discipline::second`], as long as
//! [`Discipline::needs_seconds`]; it answers the correction for the second to come and whether a leap second steps the
//! clock.
//!
//! Source: adjtimex(2), ntp_adjtime(3); RFC 1589 (the loop, the leap-second states, the error bounds), RFC 5905 §11.3.

pub use super::adjustment::{Answer, Invalid, Request, State, mode, status};

/// Seconds between two updates of the frequency, at most (a longer silence tells nothing about it).
const LONGEST_INTERVAL_S: u64 = 2048;
/// The shortest interval from which the frequency-locked loop draws a conclusion.
const SHORTEST_FLL_INTERVAL_S: u64 = 256;
/// The loop's bandwidth: the constant's own shift.
const SHIFT_PLL: u32 = 2;
/// The frequency-locked loop's.
const SHIFT_FLL: u32 = 2;
/// The largest frequency, in 2^-32 ns for each second: 500 ppm.
const MOST_FREQUENCY: i64 = 500_000 << 32;
/// The largest offset that the loop takes, in nanoseconds.
const MOST_OFFSET_NS: i64 = 500_000_000;
/// The largest constant.
const MOST_CONSTANT: i64 = 10;
/// How fast the largest possible error grows, in microseconds for each second.
const TOLERANCE_US: u64 = 500;
/// Beyond this the clock is no longer taken to be right, in microseconds.
const LARGEST_ERROR_US: u64 = 16_000_000;
/// adjtime's slew, in microseconds for each second.
const MOST_SLEW_US: i64 = 500;
/// The nominal length of a tick of 1/100 s, in microseconds; a tenth more or less is allowed.
const TICK_US: i64 = 10_000;
/// A part in a million, in 2^-32 ns for each second, for a frequency with 16 bits behind the point.
const PPM_SCALE: i64 = 1000 << 16;
/// Seconds in a day.
const DAY_S: u64 = 86_400;

/// What a second brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Second {
    /// By how much the clock is to run fast until the next, in 2^-32 ns for each second.
    pub correction: i64,
    /// Seconds by which the time of day steps now: 0, or -1, or 1 at a leap second.
    pub step_s: i64,
}

/// The state of the loop.
#[derive(Clone, Debug)]
pub struct Discipline {
    status: i32,
    leap: State,
    /// What the loop has yet to work off, in 2^-32 ns.
    offset: i128,
    /// 2^-32 ns for each second.
    frequency: i64,
    constant: i64,
    /// adjtime's rest, in microseconds.
    slew_us: i64,
    tick_us: i64,
    max_error_us: u64,
    estimated_error_us: u64,
    tai_s: i32,
    /// When the loop was given an offset last, in seconds of the time of day; 0: never.
    last_offset_s: u64,
    /// Up to when `max_error_us` has grown.
    error_grown_s: u64,
    /// The correction that the current second has besides frequency and tick.
    passing: i64,
}

impl Default for Discipline {
    fn default() -> Discipline {
        Discipline::new()
    }
}

impl Discipline {
    /// A clock that nobody has ever set.
    pub const fn new() -> Discipline {
        Discipline {
            status: status::UNSYNC,
            leap: State::Good,
            offset: 0,
            frequency: 0,
            constant: 2,
            slew_us: 0,
            tick_us: TICK_US,
            max_error_us: LARGEST_ERROR_US,
            estimated_error_us: LARGEST_ERROR_US,
            tai_s: 0,
            last_offset_s: 0,
            error_grown_s: 0,
            passing: 0,
        }
    }

    /// International atomic time minus time of day, in seconds.
    pub const fn tai_offset_s(&self) -> i32 {
        self.tai_s
    }

    /// Whether the clock is synchronised.
    pub const fn is_synchronised(&self) -> bool {
        self.status & status::UNSYNC == 0
    }

    /// By how much the clock is to run fast now, in 2^-32 ns for each second.
    pub const fn correction(&self) -> i64 {
        let tick = (self.tick_us - TICK_US) * 100_000;
        (tick << 32) + self.frequency + self.passing
    }

    /// Whether something changes from second to second.
    pub const fn needs_seconds(&self) -> bool {
        self.offset != 0
            || self.slew_us != 0
            || self.passing != 0
            || self.status & (status::INSERT | status::DELETE) != 0
            || !matches!(self.leap, State::Good)
    }

    /// The time of day was set: what was being worked off no longer means anything.
    pub fn clock_was_set(&mut self, realtime_s: u64) {
        self.status |= status::UNSYNC;
        (self.offset, self.slew_us, self.passing) = (0, 0, 0);
        self.max_error_us = LARGEST_ERROR_US;
        self.estimated_error_us = LARGEST_ERROR_US;
        self.leap = State::Good;
        self.error_grown_s = realtime_s;
    }

    /// Whether a request is in order. Programs without privilege may only ask (no modes, or adjtime's look).
    ///
    /// # Errors
    /// A tick that is off by more than a tenth; adjtime together with other modes.
    pub const fn check(request: &Request) -> Result<(), Invalid> {
        let modes = request.modes;
        if modes & mode::ADJTIME != 0 {
            return if modes & mode::SINGLESHOT == 0 { Err(Invalid) } else { Ok(()) };
        }
        let tick_is_off = request.tick < TICK_US * 9 / 10 || request.tick > TICK_US * 11 / 10;
        if modes & mode::TICK != 0 && tick_is_off { Err(Invalid) } else { Ok(()) }
    }

    /// Whether a request changes nothing.
    pub const fn only_asks(request: &Request) -> bool {
        request.modes == 0 || request.modes & mode::ADJTIME != 0 && request.modes & mode::READ_ONLY != 0
    }

    /// Does what a request that [`check`](Self::check) has passed asks for, at a second of the time of day.
    pub fn adjust(&mut self, request: &Request, realtime_s: u64) -> Answer {
        self.grow_error(realtime_s);
        if request.modes & mode::ADJTIME != 0 {
            let left = self.slew_us;
            if request.modes & mode::READ_ONLY == 0 {
                self.slew_us = request.offset;
            }
            let mut answer = self.answer();
            answer.values.offset = left;
            return answer;
        }
        self.apply(request, realtime_s);
        self.answer()
    }

    fn apply(&mut self, request: &Request, realtime_s: u64) {
        let has = |bit: u32| request.modes & bit != 0;
        if has(mode::STATUS) {
            self.set_status(request.status, realtime_s);
        }
        if has(mode::NANO) {
            self.status |= status::NANO;
        }
        if has(mode::MICRO) {
            self.status &= !status::NANO;
        }
        if has(mode::FREQUENCY) {
            let most = MOST_FREQUENCY / PPM_SCALE;
            self.frequency = request.frequency.clamp(-most, most) * PPM_SCALE;
        }
        if has(mode::MAXERROR) {
            self.max_error_us = error_us(request.max_error);
        }
        if has(mode::ESTERROR) {
            self.estimated_error_us = error_us(request.estimated_error);
        }
        if has(mode::TIMECONST) {
            // Microsecond kernels counted from 4 on, and programs still do.
            let shift = if self.status & status::NANO == 0 { 4 } else { 0 };
            self.constant = request.constant.clamp(0, MOST_CONSTANT).saturating_add(shift).min(MOST_CONSTANT);
        }
        if has(mode::TAI) && (0..=100_000).contains(&request.constant) {
            self.tai_s = request.constant as i32;
        }
        if has(mode::OFFSET) {
            self.set_offset(request.offset, realtime_s);
        }
        if has(mode::TICK) {
            self.tick_us = request.tick;
        }
    }

    fn set_status(&mut self, new: i32, realtime_s: u64) {
        if self.status & status::PLL != 0 && new & status::PLL == 0 {
            self.leap = State::Good;
            self.status |= status::UNSYNC;
        }
        if self.status & status::PLL == 0 && new & status::PLL != 0 {
            self.last_offset_s = realtime_s;
        }
        self.status = self.status & status::READ_ONLY | new & !status::READ_ONLY;
    }

    /// A new offset for the loop, and what its size says about the frequency.
    fn set_offset(&mut self, offset: i64, realtime_s: u64) {
        if self.status & status::PLL == 0 {
            return;
        }
        let unit_ns = if self.status & status::NANO != 0 { 1 } else { 1000 };
        let offset_ns = offset.saturating_mul(unit_ns).clamp(-MOST_OFFSET_NS, MOST_OFFSET_NS);
        let mut interval_s = realtime_s.saturating_sub(self.last_offset_s);
        if self.status & status::HOLD != 0 || self.last_offset_s == 0 {
            interval_s = 0;
        }
        self.last_offset_s = realtime_s;
        let mut change = 0i128;
        let scaled = i128::from(offset_ns) << 32;
        let uses_intervals = self.status & status::FLL != 0;
        if interval_s >= SHORTEST_FLL_INTERVAL_S && (uses_intervals || interval_s > LONGEST_INTERVAL_S) {
            change = (scaled >> SHIFT_FLL) / i128::from(interval_s);
        }
        // The loop gains from an offset in proportion to the time it took to appear.
        let damping = 2 * (SHIFT_PLL + 2 + self.constant as u32);
        change +=
            (scaled * i128::from(interval_s.min(1 << (SHIFT_PLL + 1 + self.constant as u32)))) >> damping;
        let frequency = i128::from(self.frequency) + change;
        self.frequency = frequency.clamp(-i128::from(MOST_FREQUENCY), i128::from(MOST_FREQUENCY)) as i64;
        self.offset = scaled;
    }

    fn answer(&self) -> Answer {
        let unit = if self.status & status::NANO != 0 { 1 } else { 1000 };
        let values = Request {
            modes: 0,
            offset: (self.offset >> 32) as i64 / unit,
            frequency: self.frequency / PPM_SCALE,
            max_error: self.max_error_us as i64,
            estimated_error: self.estimated_error_us as i64,
            status: self.status,
            constant: self.constant,
            tick: self.tick_us,
        };
        let state = if self.status & status::UNSYNC != 0 { State::Unsynchronised } else { self.leap };
        Answer { values, tolerance: MOST_FREQUENCY / PPM_SCALE, tai: self.tai_s, state }
    }

    /// Lets the largest possible error grow up to a second of the time of day.
    fn grow_error(&mut self, realtime_s: u64) {
        let seconds = realtime_s.saturating_sub(self.error_grown_s);
        self.error_grown_s = realtime_s;
        self.max_error_us = self.max_error_us.saturating_add(seconds.saturating_mul(TOLERANCE_US));
        if self.max_error_us >= LARGEST_ERROR_US {
            self.max_error_us = LARGEST_ERROR_US;
            self.status |= status::UNSYNC;
        }
    }

    /// Second `realtime_s` of the time of day begins.
    pub fn second(&mut self, realtime_s: u64) -> Second {
        self.grow_error(realtime_s);
        let step_s = self.leap(realtime_s);
        // The loop works off the same part of what is left each second.
        let part = self.offset >> (SHIFT_PLL + self.constant as u32);
        // Less than a nanosecond is not worth another second.
        let part = if self.offset.abs() < 1 << 32 { self.offset } else { part };
        self.offset -= part;
        let slew_us = self.slew_us.clamp(-MOST_SLEW_US, MOST_SLEW_US);
        self.slew_us -= slew_us;
        self.passing = (part as i64).saturating_add((slew_us * 1000) << 32);
        Second { correction: self.correction(), step_s }
    }

    /// The leap-second states.
    fn leap(&mut self, realtime_s: u64) -> i64 {
        let wants = |bit: i32| self.status & bit != 0;
        let (insert, delete) = (wants(status::INSERT), wants(status::DELETE));
        let (next, step_s) = match self.leap {
            State::Good if insert => (State::Insert, 0),
            State::Good if delete => (State::Delete, 0),
            State::Insert if !insert => (State::Good, 0),
            State::Insert if realtime_s.is_multiple_of(DAY_S) => {
                self.tai_s += 1;
                (State::InProgress, -1)
            }
            State::Delete if !delete => (State::Good, 0),
            State::Delete if (realtime_s + 1).is_multiple_of(DAY_S) => {
                self.tai_s -= 1;
                (State::Past, 1)
            }
            State::InProgress => (State::Past, 0),
            State::Past if !insert && !delete => (State::Good, 0),
            state => (state, 0),
        };
        self.leap = next;
        step_s
    }
}

fn error_us(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0).min(LARGEST_ERROR_US)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    fn synchronised() -> Discipline {
        let mut clock = Discipline::new();
        let request = Request {
            modes: mode::STATUS | mode::MAXERROR | mode::ESTERROR | mode::NANO,
            status: status::PLL,
            ..Request::default()
        };
        let answer = clock.adjust(&request, 1000);
        assert_eq!((answer.state, answer.values.status), (State::Good, status::PLL | status::NANO));
        clock
    }

    #[test]
    fn a_fresh_clock_is_not_synchronised_and_runs_as_its_counter() {
        let mut clock = Discipline::new();
        let answer = clock.adjust(&Request::default(), 5);
        assert_eq!(
            (answer.state, answer.values.tick, answer.tolerance),
            (State::Unsynchronised, 10_000, 500 << 16)
        );
        assert_eq!((clock.correction(), clock.needs_seconds()), (0, false));
    }

    #[test]
    fn frequency_and_tick_add_up_and_have_limits() {
        let mut clock = synchronised();
        let set = |clock: &mut Discipline, modes, frequency, tick| {
            clock.adjust(&Request { modes, frequency, tick, ..Request::default() }, 1000).values
        };
        assert_eq!(set(&mut clock, mode::FREQUENCY, 12 << 16, 0).frequency, 12 << 16);
        assert_eq!(clock.correction(), 12_000 << 32);
        assert_eq!(set(&mut clock, mode::FREQUENCY, i64::MIN, 0).frequency, -500 << 16);
        set(&mut clock, mode::TICK, 0, 10_001);
        assert_eq!(clock.correction(), (100_000 - 500_000) << 32);
        for tick in [8_999, 11_001, i64::MIN, i64::MAX] {
            assert_eq!(
                Discipline::check(&Request { modes: mode::TICK, tick, ..Request::default() }),
                Err(Invalid)
            );
        }
    }

    #[test]
    fn a_slew_ends_where_it_should() {
        for wanted_us in [1_234i64, -1_234, 3, 1_000_000] {
            let mut clock = Discipline::new();
            let modes = mode::ADJTIME | mode::SINGLESHOT;
            let answer = clock.adjust(&Request { modes, offset: wanted_us, ..Request::default() }, 0);
            assert_eq!(answer.values.offset, 0);
            let (mut done, mut second) = (0i128, 0);
            while clock.needs_seconds() {
                second += 1;
                let correction = clock.second(second).correction;
                assert!(correction.abs() <= (MOST_SLEW_US * 1000) << 32);
                done += i128::from(correction);
            }
            assert_eq!(done, i128::from(wanted_us * 1000) << 32);
            assert_eq!(second, wanted_us.unsigned_abs().div_ceil(500) + 1);
        }
        let mut clock = Discipline::new();
        clock.adjust(&Request { modes: 0x8001, offset: 900, ..Request::default() }, 0);
        assert!(Discipline::only_asks(&Request { modes: 0xa001, ..Request::default() }));
        assert_eq!(
            clock.adjust(&Request { modes: 0xa001, offset: 5, ..Request::default() }, 0).values.offset,
            900
        );
        assert_eq!(
            clock.adjust(&Request { modes: 0x8001, offset: 5, ..Request::default() }, 0).values.offset,
            900
        );
        assert_eq!(Discipline::check(&Request { modes: 0x8000, ..Request::default() }), Err(Invalid));
    }

    #[test]
    fn the_loop_brings_a_clock_that_runs_wrong_to_the_right_time() {
        // 40 ppm slow, and a tenth of a second behind; the daemon looks every 16 s.
        let mut clock = synchronised();
        let constant = Request { modes: mode::TIMECONST, constant: 2, ..Request::default() };
        clock.adjust(&constant, 1000);
        let mut offset = -0.1f64;
        for second in 1001..9000u64 {
            offset += clock.second(second).correction as f64 / f64::powi(2.0, 32) / 1e9 - 40e-6;
            if second % 16 == 0 {
                let request =
                    Request { modes: mode::OFFSET, offset: (-offset * 1e9) as i64, ..Request::default() };
                clock.adjust(&request, second);
            }
        }
        assert!(offset.abs() < 1e-5, "off by {offset} s");
        let frequency = clock.adjust(&Request::default(), 9000).values.frequency as f64 / 65536.0;
        assert!((frequency - 40.0).abs() < 0.5, "{frequency} ppm");
    }

    #[test]
    fn leap_seconds_step_the_clock_at_the_end_of_the_day() {
        let (mut clock, midnight) = (synchronised(), 20 * DAY_S);
        clock.adjust(&Request { modes: mode::TAI, constant: 37, ..Request::default() }, midnight - 9);
        let modes = mode::STATUS | mode::MAXERROR;
        clock.adjust(
            &Request { modes, status: status::PLL | status::INSERT, ..Request::default() },
            midnight - 9,
        );
        assert!(clock.needs_seconds());
        assert_eq!(clock.second(midnight - 8).step_s, 0);
        assert_eq!(clock.adjust(&Request::default(), midnight - 8).state, State::Insert);
        assert_eq!(clock.second(midnight).step_s, -1);
        let answer = clock.adjust(&Request::default(), midnight - 1);
        assert_eq!((answer.state, answer.tai), (State::InProgress, 38));
        assert_eq!(clock.second(midnight).step_s, 0);
        assert_eq!(clock.adjust(&Request::default(), midnight).state, State::Past);
        clock.adjust(&Request { modes, status: status::PLL, ..Request::default() }, midnight + 1);
        clock.second(midnight + 1);
        assert_eq!(clock.adjust(&Request::default(), midnight + 1).state, State::Good);

        clock.adjust(
            &Request { modes, status: status::PLL | status::DELETE, ..Request::default() },
            midnight + 2,
        );
        clock.second(midnight + 3);
        assert_eq!(clock.second(midnight + DAY_S - 1).step_s, 1);
        assert_eq!(clock.tai_offset_s(), 37);
    }

    #[test]
    fn without_news_the_error_grows_until_the_clock_counts_as_wrong() {
        let mut clock = synchronised();
        assert_eq!(clock.adjust(&Request::default(), 1010).values.max_error, 5_000);
        let answer = clock.adjust(&Request::default(), 1000 + 32_001);
        assert_eq!((answer.values.max_error, answer.state), (16_000_000, State::Unsynchronised));
        let mut clock = synchronised();
        clock.clock_was_set(2000);
        assert_eq!(clock.adjust(&Request::default(), 2000).state, State::Unsynchronised);
    }

    #[test]
    fn no_request_overflows_anything() {
        let mut random = Random(0xabcdef);
        let mut clock = Discipline::new();
        for _ in 0..200_000 {
            let number = |random: &mut Random| {
                if random.below(4) == 0 { random.next() as i64 } else { random.skewed() as i64 }
            };
            let request = Request {
                modes: random.next() as u32 & 0xf1ff,
                offset: number(&mut random),
                frequency: number(&mut random),
                max_error: number(&mut random),
                estimated_error: number(&mut random),
                status: random.next() as i32,
                constant: number(&mut random),
                tick: 9_000 + random.below(2_001) as i64,
            };
            if Discipline::check(&request).is_ok() {
                clock.adjust(&request, random.skewed());
            }
            clock.second(random.skewed() >> 1);
            // 500 ppm of frequency, a tenth by the tick, an offset, a slew.
            assert!(clock.correction().abs() <= (100_000_000i64 + 500_000 + 500_000_000 + 500_000) << 32);
        }
    }
}
