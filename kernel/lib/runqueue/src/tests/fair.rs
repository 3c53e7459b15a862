//! Shares and delays of fair tasks.

use super::*;

#[test]
fn weights_follow_from_nice_values() {
    assert_eq!(Nice::DEFAULT.weight(), 1024);
    assert_eq!((Nice::clamped(-100), Nice::clamped(100)), (Nice::MIN, Nice::MAX));
    assert_eq!((Nice::MIN.weight(), Nice::MAX.weight()), (88_761, 15));
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
        cpu.steps(400_000);
        let total: u64 = policies.iter().map(|policy| policy.weight()).sum();
        for (policy, &ran) in policies.iter().zip(&cpu.ran) {
            let due = cpu.now as f64 * policy.weight() as f64 / total as f64;
            // Two turns at most, however long it went on.
            assert!((ran as f64 - due).abs() <= 2.0 * SLICE_NS as f64, "{nices:?}: ran {ran}, due {due}");
        }
    }
}

#[test]
fn everybody_gets_a_turn_in_each_round() {
    const TASKS: usize = 10;
    let mut cpu = Cpu::new(&[fair(0); TASKS]);
    let mut last = [0; TASKS];
    for _ in 0..40_000 {
        cpu.run(STEP_NS);
        let key = cpu.running.unwrap();
        let waited = cpu.now - last[key];
        assert!(waited <= (TASKS as u64 + 1) * SLICE_NS, "task {key} waited {waited} ns");
        last[key] = cpu.now;
    }
}

#[test]
fn turns_are_not_shorter_than_the_slice() {
    let mut cpu = Cpu::new(&[fair(0); 4]);
    let before = cpu.switches;
    cpu.run_lazily(3_000 * MS);
    let switches = cpu.switches - before;
    assert!((900..=1_001).contains(&switches), "{switches} switches in 1000 slices");
}

#[test]
fn one_task_alone_is_never_looked_at() {
    let mut cpu = Cpu::new(&[fair(0)]);
    assert_eq!(cpu.queue.next_look_ns(), None);
    assert_eq!(cpu.run_lazily(1_000 * MS), 1);
    cpu.add(Entity::new(fair(0)));
    assert!(cpu.queue.next_look_ns().unwrap() <= SLICE_NS);
    // Many turns were over while nobody waited.
    let looks = cpu.run_lazily(600 * MS);
    assert!(looks <= 210, "{looks} looks in 200 slices");
    assert!(cpu.ran[1] >= 297 * MS, "the newcomer got {}", cpu.ran[1]);
}

#[test]
fn who_wakes_runs_soon() {
    // Against one task within the granularity; else those go first whose deadline is earlier, but nobody twice.
    for (hogs, bound_ns) in [(1, GRANULARITY_NS), (2, 2 * SLICE_NS), (7, 7 * SLICE_NS)] {
        let mut delays = 0;
        let mut cpu = Cpu::new(&vec![fair(0); hogs + 1]);
        while cpu.running != Some(hogs) {
            cpu.run(STEP_NS);
        }
        cpu.sleep();
        for round in 0..200 {
            // It has slept for longer than its debt takes to be paid.
            cpu.run_lazily((20 * hogs as u64 + round % 7) * MS + 100_000 * (round % 11));
            cpu.wake(hogs);
            let woken = cpu.now;
            while cpu.running != Some(hogs) {
                cpu.run(STEP_NS);
            }
            let delay = cpu.now - woken;
            delays += delay;
            assert!(delay <= bound_ns, "{hogs} hogs, round {round}: ran {delay} ns after its wake-up");
            cpu.run(300_000);
            assert_eq!(cpu.running, Some(hogs), "it is not interrupted at once");
            cpu.sleep();
        }
        assert!(delays / 200 <= SLICE_NS, "{hogs} hogs: {} ns on average", delays / 200);
    }
}

#[test]
fn who_slept_does_not_catch_up() {
    let mut cpu = Cpu::new(&[fair(0), fair(0)]);
    while cpu.running != Some(1) {
        cpu.run(STEP_NS);
    }
    let sleeper = cpu.sleep();
    cpu.steps(40_000);
    cpu.wake(sleeper);
    let before = cpu.ran.clone();
    cpu.steps(8_000);
    let shares = cpu.ran_since(&before);
    assert!(shares[0].abs_diff(shares[1]) <= 2 * SLICE_NS, "{shares:?}");
}

#[test]
fn shorter_slices_come_sooner_and_are_not_more() {
    let mut cpu = Cpu::new(&[fair(0); 4]);
    let mut quick = Entity::new(fair(0));
    quick.set_slice_ns(Some(500_000));
    let key = cpu.add(quick);
    let (mut last, mut longest) = (cpu.now, 0);
    let before = cpu.ran.clone();
    for _ in 0..200_000 {
        cpu.run(100_000);
        if cpu.running == Some(key) {
            longest = longest.max(cpu.now - last);
            last = cpu.now;
        }
    }
    let shares = cpu.ran_since(&before);
    assert!(longest <= 6 * MS, "waited {longest} ns");
    assert!(shares[key].abs_diff(4_000 * MS) <= 2 * SLICE_NS, "{shares:?}");
    let mut entity = Entity::new(fair(0));
    for (asked, got) in [(1, 100_000), (5 * MS, 5 * MS), (u64::MAX, 100 * MS)] {
        entity.set_slice_ns(Some(asked));
        assert_eq!(entity.slice_ns(), got);
    }
}

#[test]
fn background_tasks_leave_the_cpu_to_others() {
    let mut cpu = Cpu::new(&[fair(0), Policy::Idle]);
    cpu.steps(400_000);
    let share = cpu.ran[1] as f64 / cpu.now as f64;
    assert!((0.002..0.004).contains(&share), "{share}: due is 3 in 1027");
    // And at once when somebody wakes.
    while cpu.running != Some(0) {
        cpu.run(STEP_NS);
    }
    let key = cpu.sleep();
    cpu.steps(100);
    assert_eq!(cpu.running, Some(1));
    cpu.run(10_000);
    cpu.wake(key);
    assert_eq!(cpu.running, Some(key));
}

#[test]
fn batch_tasks_wait_for_the_end_of_a_turn() {
    let mut cpu = Cpu::new(&[fair(0), Policy::Batch(Nice::DEFAULT)]);
    while cpu.running != Some(1) {
        cpu.run(STEP_NS);
    }
    let key = cpu.sleep();
    cpu.run_lazily(100 * MS);
    cpu.add(Entity::new(fair(0)));
    cpu.run_lazily(SLICE_NS);
    let runs = cpu.running;
    cpu.run(MS);
    cpu.wake(key);
    cpu.run(MS);
    assert_eq!(cpu.running, runs, "a batch task cut a turn short");
}

#[test]
fn yielding_lets_the_others_go_first() {
    let mut cpu = Cpu::new(&[fair(0); 3]);
    cpu.run(10_000);
    let key = cpu.running.unwrap();
    cpu.give_up_turn();
    let second = cpu.running.unwrap();
    assert_ne!(second, key);
    cpu.give_up_turn();
    assert_ne!(cpu.running.unwrap(), second);
    // Alone it goes on.
    let mut cpu = Cpu::new(&[fair(0)]);
    cpu.give_up_turn();
    assert_eq!(cpu.running, Some(0));
}

#[test]
fn two_that_yield_all_the_time_do_not_stop_a_third() {
    let mut cpu = Cpu::new(&[fair(0); 3]);
    for _ in 0..100_000 {
        cpu.run(5_000);
        if cpu.running != Some(2) {
            cpu.give_up_turn();
        }
    }
    assert!(cpu.ran[2] * 3 >= cpu.now * 9 / 10, "the third got {} of {}", cpu.ran[2], cpu.now);
}

#[test]
fn moving_to_another_cpu_keeps_the_lag() {
    let mut one = Cpu::new(&[fair(0); 3]);
    one.steps(5_001);
    let (key, entity) = one.queue.take_where(|_, _| true).unwrap();
    assert_eq!((one.queue.len(), one.queue.load()), (1, 2048));
    let mut other = Cpu::new(&[fair(0), fair(5)]);
    other.steps(999_999);
    let lag = entity.lag;
    other.queue.id = 1;
    other.queue.enqueue(key, entity, Arrival::New);
    let (_, moved) = other.queue.iter().find(|(item, _)| **item == key).unwrap();
    let error = (other.queue.lag(moved) - lag).abs();
    assert!(error <= 2, "lag {lag} became {} of a 1024th of a nanosecond more or less", error);
}

#[test]
fn a_change_of_policy_counts_at_once() {
    let mut cpu = Cpu::new(&[fair(0), fair(0)]);
    cpu.run(STEP_NS);
    let key = cpu.running.unwrap();
    cpu.queue.change_running(|entity| entity.set_policy(fifo(1)));
    let before = cpu.ran[1 - key];
    cpu.steps(400);
    assert_eq!(cpu.ran[1 - key], before);
    cpu.queue.change_running(|entity| entity.set_policy(fair(0)));
    let before = cpu.ran.clone();
    cpu.steps(4_000);
    let shares = cpu.ran_since(&before);
    assert!(shares[0].abs_diff(shares[1]) <= 2 * SLICE_NS, "{shares:?}");
}
