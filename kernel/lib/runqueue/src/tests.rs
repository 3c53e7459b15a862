//! Tests: one CPU is simulated tick by tick, and shares, delays and orders are compared with what is promised.

extern crate std;
use super::*;
use std::vec;
use std::vec::Vec;

const TICK: u64 = 1_000_000;

fn fair(nice: i32) -> Policy {
    Policy::Fair(Nice::clamped(nice))
}

fn priority(value: u32) -> RealTimePriority {
    RealTimePriority::new(value).unwrap()
}

/// A CPU with tasks that always want to run, unless they are taken off.
struct Cpu {
    queue: RunQueue<usize>,
    entities: Vec<Entity>,
    ran: Vec<u64>,
    running: Option<usize>,
}

impl Cpu {
    fn new(policies: &[Policy]) -> Cpu {
        let mut queue = RunQueue::new();
        let mut entities: Vec<_> = policies.iter().map(|&policy| Entity::new(policy)).collect();
        for (key, entity) in entities.iter_mut().enumerate() {
            queue.enqueue(key, entity, Arrival::New);
        }
        Cpu { queue, ran: vec![0; entities.len()], entities, running: None }
    }

    fn pick(&mut self) {
        self.running = self.queue.pick_next();
        if let Some(key) = self.running {
            self.queue.start(&mut self.entities[key]);
        }
    }

    /// One tick: the running task runs, then another one if it should.
    fn tick(&mut self) {
        if self.running.is_none() {
            self.pick();
        }
        let Some(key) = self.running else { return };
        self.ran[key] += TICK;
        self.queue.account(&mut self.entities[key], TICK);
        self.reschedule();
    }

    fn reschedule(&mut self) {
        let Some(key) = self.running else { return self.pick() };
        if self.queue.should_preempt(&self.entities[key]) {
            self.queue.enqueue(key, &mut self.entities[key], Arrival::Preempted);
            self.pick();
        }
    }

    fn sleep(&mut self) -> usize {
        let key = self.running.take().expect("a running task");
        self.queue.leave(&mut self.entities[key]);
        self.pick();
        key
    }

    fn wake(&mut self, key: usize) {
        self.queue.enqueue(key, &mut self.entities[key], Arrival::Wake);
        self.reschedule();
    }
}

#[test]
fn weights_follow_from_nice_values() {
    assert_eq!(Nice::DEFAULT.weight(), 1024);
    assert_eq!((Nice::clamped(-100), Nice::clamped(100)), (Nice::MIN, Nice::MAX));
    assert_eq!((Nice::MIN.weight(), Nice::MAX.weight()), (88_818, 15));
    for nice in -20..19 {
        let ratio = Nice::clamped(nice).weight() as f64 / Nice::clamped(nice + 1).weight() as f64;
        assert!((1.2..1.3).contains(&ratio), "nice {nice}: {ratio}");
    }
}

#[test]
fn shares_are_as_weights() {
    for nices in [&[0, 0, 0][..], &[0, 5], &[-5, 0, 5, 10], &[-20, 19], &[3; 20]] {
        let policies: Vec<_> = nices.iter().map(|&nice| fair(nice)).collect();
        let mut cpu = Cpu::new(&policies);
        let ticks = 200_000;
        (0..ticks).for_each(|_| cpu.tick());
        let total: u64 = policies.iter().map(|policy| policy.weight()).sum();
        for (policy, &ran) in policies.iter().zip(&cpu.ran) {
            let due = (ticks * TICK) as f64 * policy.weight() as f64 / total as f64;
            let error = (ran as f64 - due).abs();
            // One slice, or one part in a hundred.
            assert!(error <= (due * 0.01).max(3.0 * PERIOD_NS as f64), "{nices:?}: ran {ran}, due {due}");
        }
    }
}

#[test]
fn everybody_gets_a_turn_soon() {
    let mut cpu = Cpu::new(&[fair(0); 10]);
    let mut last = [0; 10];
    for now in 1..5000 {
        cpu.tick();
        let Some(key) = cpu.running else { continue };
        assert!(now - last[key] <= 40, "task {key} waited {} ms", now - last[key]);
        last[key] = now;
    }
}

#[test]
fn who_slept_runs_soon_but_does_not_catch_up() {
    let mut cpu = Cpu::new(&[fair(0), fair(0)]);
    while cpu.running != Some(1) {
        cpu.tick();
    }
    let sleeper = cpu.sleep();
    (0..10_000).for_each(|_| cpu.tick());
    cpu.wake(sleeper);
    let before = cpu.ran.clone();
    let delay = (0..100)
        .take_while(|_| {
            cpu.tick();
            cpu.running != Some(sleeper)
        })
        .count();
    assert!(delay <= 4, "ran {delay} ms after its wake-up");
    (0..1000).for_each(|_| cpu.tick());
    let shares: Vec<_> = cpu.ran.iter().zip(before).map(|(after, before)| (after - before) / TICK).collect();
    assert!(shares[0].abs_diff(shares[1]) < 40, "{shares:?}");
}

#[test]
fn real_time_goes_first_and_by_priority() {
    let mut cpu = Cpu::new(&[fair(-20), Policy::Fifo(priority(1)), Policy::RoundRobin(priority(50))]);
    (0..1000).for_each(|_| cpu.tick());
    assert_eq!(cpu.ran, [0, 0, 1000 * TICK]);
    assert_eq!(cpu.sleep(), 2);
    (0..1000).for_each(|_| cpu.tick());
    assert_eq!(cpu.ran, [0, 1000 * TICK, 1000 * TICK]);
    cpu.wake(2);
    assert_eq!(cpu.running, Some(2));
}

#[test]
fn round_robin_takes_turns_and_fifo_does_not() {
    let mut cpu = Cpu::new(&[Policy::RoundRobin(priority(5)); 3]);
    (0..3000).for_each(|_| cpu.tick());
    assert_eq!(cpu.ran, [1000 * TICK; 3]);
    let mut cpu = Cpu::new(&[Policy::Fifo(priority(5)); 3]);
    (0..3000).for_each(|_| cpu.tick());
    assert_eq!(cpu.ran, [3000 * TICK, 0, 0]);
}

#[test]
fn a_preempted_fifo_task_goes_on_before_its_equals() {
    let mut cpu =
        Cpu::new(&[Policy::Fifo(priority(5)), Policy::Fifo(priority(5)), Policy::Fifo(priority(9))]);
    cpu.tick();
    assert_eq!(cpu.sleep(), 2);
    assert_eq!(cpu.running, Some(0));
    cpu.wake(2);
    assert_eq!(cpu.running, Some(2));
    cpu.sleep();
    assert_eq!(cpu.running, Some(0));
}

#[test]
fn yielding_lets_the_others_go_first() {
    let mut cpu = Cpu::new(&[fair(0); 3]);
    cpu.tick();
    let key = cpu.running.take().unwrap();
    cpu.queue.enqueue(key, &mut cpu.entities[key], Arrival::Yield);
    let order: Vec<_> = (0..3).map(|_| cpu.queue.pick_next().unwrap()).collect();
    assert_eq!(order[2], key);
}

#[test]
fn background_tasks_leave_the_cpu_to_others() {
    let mut cpu = Cpu::new(&[fair(0), Policy::Idle]);
    (0..100_000).for_each(|_| cpu.tick());
    let share = cpu.ran[1] as f64 / (100_000 * TICK) as f64;
    assert!(share > 0.0 && share < 0.005, "{share}");
}

#[test]
fn moving_to_another_cpu_keeps_the_share() {
    let mut one = Cpu::new(&[fair(0), fair(0)]);
    (0..5000).for_each(|_| one.tick());
    let mut other = RunQueue::new();
    let mut native = Entity::new(fair(0));
    other.enqueue(100, &mut native, Arrival::New);
    let waiting = 1 - one.running.unwrap();
    assert!(one.queue.remove(waiting, &mut one.entities[waiting]));
    assert!(!one.queue.remove(waiting, &mut one.entities[waiting]));
    assert_eq!((one.queue.len(), one.queue.load()), (0, 0));
    let mut moved = one.entities[waiting];
    other.enqueue(waiting, &mut moved, Arrival::New);
    assert!((moved.virtual_time - native.virtual_time).unsigned_abs() <= PERIOD_NS as u128);
    assert_eq!(other.load(), 2048);
}

#[test]
fn a_change_of_policy_counts_at_once() {
    let mut cpu = Cpu::new(&[fair(0), fair(0)]);
    cpu.tick();
    let key = cpu.running.unwrap();
    cpu.queue.change_policy(&mut cpu.entities[key], Policy::Fifo(priority(1)));
    let before = cpu.ran[1 - key];
    (0..1000).for_each(|_| cpu.tick());
    assert_eq!(cpu.ran[1 - key], before);
    cpu.queue.change_policy(&mut cpu.entities[key], fair(0));
    (0..1000).for_each(|_| cpu.tick());
    assert!(cpu.ran[1 - key] - before > 450 * TICK);
}

/// Random sleeps and wake-ups: nobody is lost or twice there, and nobody who could run starves.
#[test]
fn random_use_loses_and_starves_nobody() {
    for seed in 1..=10u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let policies: Vec<_> = (0..12).map(|_| fair(random(21) as i32 - 10)).collect();
        let mut cpu = Cpu::new(&policies);
        let mut asleep: Vec<usize> = Vec::new();
        let mut waiting_since = [0; 12];
        for now in 0..20_000 {
            if random(10) == 0 && cpu.running.is_some() {
                asleep.push(cpu.sleep());
            }
            if random(8) == 0 && !asleep.is_empty() {
                let key = asleep.swap_remove(random(asleep.len() as u64) as usize);
                waiting_since[key] = now;
                cpu.wake(key);
            }
            cpu.tick();
            let mut all: Vec<_> = cpu.queue.iter().chain(cpu.running).chain(asleep.iter().copied()).collect();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..12));
            let weight: u64 = cpu.queue.iter().map(|key| policies[key].weight()).sum();
            assert_eq!(cpu.queue.load(), weight);
            for key in cpu.running.into_iter().chain(asleep.iter().copied()) {
                waiting_since[key] = now;
            }
            for key in 0..12 {
                assert!(now - waiting_since[key] < 1500, "task {key} {:?} starves", policies[key]);
            }
        }
    }
}
