//! Tests: one CPU is simulated step by step, and shares, delays and orders are compared, as numbers, with what is
//! promised. `model.rs` compares the queue with one that is too simple to be wrong; `games.rs` has tasks that try to
//! get more than their share.

extern crate std;

mod fair;
mod games;
mod model;
mod real_time;

use super::*;
use std::vec;
use std::vec::Vec;

/// A step of the simulation.
pub(super) const STEP_NS: u64 = 250_000;
pub(super) const MS: u64 = 1_000_000;

pub(super) fn fair(nice: i32) -> Policy {
    Policy::Fair(Nice::clamped(nice))
}

pub(super) fn fifo(value: u32) -> Policy {
    Policy::Fifo(RealTimePriority::new(value).unwrap())
}

pub(super) fn round_robin(value: u32) -> Policy {
    Policy::RoundRobin(RealTimePriority::new(value).unwrap())
}

/// Numbers that are the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn seeded(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A CPU with tasks, each either awake (in the queue) or asleep (its entity is here).
pub(super) struct Cpu {
    pub(super) queue: RunQueue<usize>,
    pub(super) asleep: Vec<Option<Entity>>,
    pub(super) ran: Vec<u64>,
    pub(super) running: Option<usize>,
    pub(super) now: u64,
    pub(super) switches: u64,
}

impl Cpu {
    /// All tasks are awake.
    pub(super) fn new(policies: &[Policy]) -> Cpu {
        let mut cpu =
            Cpu { queue: RunQueue::new(0), asleep: vec![], ran: vec![], running: None, now: 0, switches: 0 };
        for &policy in policies {
            cpu.add(Entity::new(policy));
        }
        cpu.reschedule();
        cpu
    }

    pub(super) fn add(&mut self, entity: Entity) -> usize {
        let key = self.ran.len();
        self.ran.push(0);
        self.asleep.push(None);
        self.queue.enqueue(key, entity, Arrival::New);
        key
    }

    pub(super) fn reschedule(&mut self) {
        if self.queue.gives_way() {
            if let Some(key) = self.running.take() {
                self.queue.requeue(key, Requeue::Preempted);
            }
            self.pick();
        }
    }

    fn pick(&mut self) {
        self.running = self.queue.pick_next();
        self.switches += 1;
    }

    /// Time passes; whoever is to run after that is picked.
    pub(super) fn run(&mut self, ns: u64) {
        if let Some(key) = self.running {
            self.ran[key] += ns;
            self.queue.account(ns);
        }
        self.now += ns;
        self.reschedule();
    }

    pub(super) fn steps(&mut self, count: u64) {
        (0..count).for_each(|_| self.run(STEP_NS));
    }

    /// Lets time pass as a CPU does that looks only when the queue says so.
    pub(super) fn run_lazily(&mut self, mut ns: u64) -> u64 {
        let mut looks = 0;
        while ns > 0 {
            let step = self.queue.next_look_ns().unwrap_or(ns).min(ns);
            self.run(step);
            ns -= step;
            looks += 1;
        }
        looks
    }

    pub(super) fn sleep(&mut self) -> usize {
        let key = self.running.take().expect("a running task");
        self.asleep[key] = self.queue.leave();
        self.pick();
        key
    }

    pub(super) fn wake(&mut self, key: usize) {
        let entity = self.asleep[key].take().expect("a sleeping task");
        self.queue.enqueue(key, entity, Arrival::Wake);
        self.reschedule();
    }

    pub(super) fn give_up_turn(&mut self) {
        let key = self.running.take().expect("a running task");
        self.queue.requeue(key, Requeue::Yielded);
        self.pick();
    }

    pub(super) fn ran_since(&self, before: &[u64]) -> Vec<u64> {
        self.ran.iter().zip(before).map(|(after, before)| after - before).collect()
    }
}
