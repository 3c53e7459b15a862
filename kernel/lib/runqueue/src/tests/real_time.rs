//! Real-time tasks: order, turns, and the share that they leave.

use super::*;

#[test]
fn real_time_goes_first_and_by_priority() {
    let mut cpu = Cpu::new(&[fifo(1), round_robin(50)]);
    cpu.steps(4_000);
    assert_eq!(cpu.ran, [0, 1_000 * MS]);
    assert_eq!(cpu.sleep(), 1);
    cpu.steps(4_000);
    assert_eq!(cpu.ran, [1_000 * MS, 1_000 * MS]);
    cpu.wake(1);
    assert_eq!(cpu.running, Some(1));
}

#[test]
fn real_time_preempts_fair_at_once() {
    let mut cpu = Cpu::new(&[fair(-20), fifo(1)]);
    assert_eq!(cpu.running, Some(1));
    let key = cpu.sleep();
    for _ in 0..100 {
        cpu.run(STEP_NS);
        assert_eq!(cpu.running, Some(0));
        cpu.wake(key);
        assert_eq!(cpu.running, Some(key));
        cpu.run(10_000);
        cpu.sleep();
    }
}

#[test]
fn round_robin_takes_turns_and_fifo_does_not() {
    let mut cpu = Cpu::new(&[round_robin(5); 3]);
    cpu.run_lazily(3_000 * MS);
    assert_eq!(cpu.ran, [1_000 * MS; 3]);
    let mut cpu = Cpu::new(&[fifo(5); 3]);
    assert_eq!(cpu.queue.next_look_ns(), None);
    cpu.steps(12_000);
    assert_eq!(cpu.ran, [3_000 * MS, 0, 0]);
}

#[test]
fn a_preempted_fifo_task_goes_on_before_its_equals() {
    let mut cpu = Cpu::new(&[fifo(5), fifo(5), fifo(9)]);
    cpu.run(STEP_NS);
    assert_eq!(cpu.sleep(), 2);
    assert_eq!(cpu.running, Some(0));
    cpu.wake(2);
    assert_eq!(cpu.running, Some(2));
    cpu.sleep();
    assert_eq!(cpu.running, Some(0));
    cpu.give_up_turn();
    assert_eq!(cpu.running, Some(1), "who yields goes behind its equals");
}

#[test]
fn real_time_that_never_sleeps_leaves_the_rest_of_each_period() {
    for (priorities, fairs) in [(&[50][..], 1), (&[1, 99], 3)] {
        let mut policies: Vec<_> = priorities.iter().map(|&value| fifo(value)).collect();
        policies.extend(vec![fair(0); fairs]);
        let mut cpu = Cpu::new(&policies);
        cpu.run_lazily(20_000 * MS);
        let got: u64 = cpu.ran[priorities.len()..].iter().sum();
        assert!(got.abs_diff(1_000 * MS) <= 60 * MS, "fair tasks got {got} ns of 20 s");
    }
}

#[test]
fn the_share_of_real_time_can_be_all() {
    let mut cpu = Cpu::new(&[fifo(50), fair(0)]);
    cpu.queue.set_real_time_limit(RealTimeLimit { runtime_ns: None, period_ns: 1_000 * MS });
    assert_eq!(cpu.queue.next_look_ns(), None);
    cpu.steps(80_000);
    assert_eq!(cpu.ran[1], 0);
    cpu.queue.set_real_time_limit(RealTimeLimit { runtime_ns: Some(100 * MS), period_ns: 400 * MS });
    let before = cpu.ran.clone();
    cpu.run_lazily(4_000 * MS);
    let shares = cpu.ran_since(&before);
    assert!(shares[1].abs_diff(3_000 * MS) <= 300 * MS, "{shares:?}");
}

#[test]
fn real_time_that_sleeps_is_never_held_up() {
    // It uses nine parts in ten, so the fair task gets more than its guaranteed share in between.
    let mut cpu = Cpu::new(&[fair(0), fifo(10)]);
    for _ in 0..3_000 {
        assert_eq!(cpu.running, Some(1));
        cpu.run_lazily(9 * MS);
        assert_eq!(cpu.running, Some(1), "held up after {} ns", cpu.ran[1]);
        let key = cpu.sleep();
        cpu.run_lazily(MS);
        cpu.wake(key);
    }
}

#[test]
fn real_time_is_not_held_up_for_what_it_ran_alone() {
    let mut cpu = Cpu::new(&[fair(0), fifo(10)]);
    let real_time = cpu.sleep();
    let other = cpu.sleep();
    cpu.wake(real_time);
    cpu.run_lazily(10_000 * MS);
    cpu.wake(other);
    cpu.run_lazily(900 * MS);
    assert_eq!(cpu.ran[other], 0);
}

#[test]
fn real_time_tasks_are_taken_by_priority() {
    let mut cpu = Cpu::new(&[fair(0), fifo(3), fifo(7), fifo(7), fifo(90)]);
    assert_eq!(cpu.queue.waiting_priority().map(RealTimePriority::value), Some(7));
    let taken = cpu.queue.take_real_time_where(|key, _| *key != 2).map(|(key, _)| key);
    assert_eq!(taken, Some(3));
    let rest: Vec<_> =
        core::iter::from_fn(|| cpu.queue.take_where(|_, _| true)).map(|(key, _)| key).collect();
    assert_eq!(rest, [0, 2, 1]);
}
