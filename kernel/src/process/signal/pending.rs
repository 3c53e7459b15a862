//! Signals that wait to be delivered: of one thread, or of a process.
//!
//! A standard signal waits once, with the information of the first instance; real-time signals queue up, in order. The
//! signal of a POSIX timer, whatever its number, waits once for each timer and counts what came meanwhile.

use abi::signal::{SI_TIMER, SI_USER, SigInfo, SigSet, Signal};
use alloc::collections::VecDeque;

/// What is pending somewhere.
#[derive(Default)]
pub(crate) struct Pending {
    set: SigSet,
    queue: VecDeque<SigInfo>,
}

/// The queue of real-time signals is full (RLIMIT_SIGPENDING).
pub(super) struct QueueFull;

impl Pending {
    /// Which signals are pending.
    pub(crate) fn set(&self) -> SigSet {
        self.set
    }

    /// How many entries are queued.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Adds one; `limit` is for real-time signals only.
    pub(super) fn add(&mut self, signal: Signal, info: SigInfo, limit: usize) -> Result<(), QueueFull> {
        if info.code == SI_TIMER {
            self.add_timer(signal, info);
            return Ok(());
        }
        if !signal.is_real_time() && self.set.contains(signal) {
            return Ok(());
        }
        if signal.is_real_time() && self.queue.len() >= limit {
            return Err(QueueFull);
        }
        self.set.insert(signal);
        self.queue.push_back(info);
        Ok(())
    }

    /// Adds a timer's signal. Its place was set aside when the timer was made: there is no limit.
    fn add_timer(&mut self, signal: Signal, info: SigInfo) {
        let is_same = |other: &&mut SigInfo| {
            other.code == SI_TIMER && other.signo == info.signo && other.timer_id() == info.timer_id()
        };
        match self.queue.iter_mut().find(is_same) {
            Some(waiting) => waiting.add_overruns(info.overruns().saturating_add(1)),
            None => self.queue.push_back(info),
        }
        self.set.insert(signal);
    }

    /// Takes the next signal of `wanted`: those that an instruction raised first, then the lowest number.
    pub(super) fn take(&mut self, wanted: SigSet) -> Option<(Signal, SigInfo)> {
        let ready = self.set.intersection(wanted);
        let signal = ready.intersection(SigSet::SYNCHRONOUS).first().or_else(|| ready.first())?;
        let is_it = |info: &SigInfo| info.signo == i32::from(signal.number());
        let index = self.queue.iter().position(is_it);
        let info = index.and_then(|index| self.queue.remove(index));
        if !self.queue.iter().any(is_it) {
            self.set.remove(signal);
        }
        Some((signal, info.unwrap_or_else(|| SigInfo::new(signal, SI_USER))))
    }

    /// Forgets all signals of a set.
    pub(super) fn discard(&mut self, signals: SigSet) {
        if self.set.intersection(signals).is_empty() {
            return;
        }
        self.set = self.set.difference(signals);
        let set = self.set;
        self.queue.retain(|info| Signal::new(info.signo as u32).is_some_and(|signal| set.contains(signal)));
    }
}
