//! Tasks that try to get more than their share: by sleeping, forking, yielding, changing their nice value.

use super::*;

/// Runs task 1 by `play`, which is called at each step while it runs, against task 0, which never sleeps; returns the
/// share of task 1 (and of whom it made).
fn share_of(mut play: impl FnMut(&mut Cpu, usize)) -> f64 {
    let mut cpu = Cpu::new(&[fair(0), fair(0)]);
    let mut wake_at = vec![];
    for _ in 0..400_000 {
        cpu.run(50_000);
        if let Some(key) = cpu.running.filter(|&key| key != 0) {
            play(&mut cpu, key);
        }
        wake_at.resize(cpu.ran.len(), 0);
        for (key, wake_at) in wake_at.iter_mut().enumerate() {
            match cpu.asleep[key] {
                Some(_) if *wake_at == 0 => *wake_at = cpu.now + 100_000,
                Some(_) if cpu.now >= *wake_at => {
                    *wake_at = 0;
                    cpu.wake(key);
                }
                _ => {}
            }
        }
    }
    1.0 - cpu.ran[0] as f64 / cpu.now as f64
}

#[test]
fn sleeping_for_a_moment_before_the_end_of_each_turn_gains_nothing() {
    for turn_ns in [100_000, 500_000, 800_000, 2_900_000] {
        let mut used = 0;
        let share = share_of(|cpu, _| {
            used += 50_000;
            if used >= turn_ns {
                used = 0;
                cpu.sleep();
            }
        });
        assert!(share <= 0.505, "turns of {turn_ns} ns: {share}");
        assert!(share >= 0.3, "turns of {turn_ns} ns: starved with {share}");
    }
}

#[test]
fn changing_the_nice_value_all_the_time_gains_nothing() {
    let mut count = 0;
    let share = share_of(|cpu, _| {
        count += 1;
        // A nicer value and back: no more than at nice 0.
        let policy = if count % 2 == 0 { fair(0) } else { fair(1) };
        cpu.queue.change_running(|entity| entity.set_policy(policy));
    });
    assert!(share <= 0.505, "{share}");
}

#[test]
fn having_children_do_the_work_gains_nothing() {
    // Each generation makes the next one and ends.
    for work_ns in [50_000, 1_000_000, 2_950_000] {
        let mut used = 0;
        let share = share_of(|cpu, _| {
            used += 50_000;
            if used >= work_ns {
                used = 0;
                let child = cpu.queue.child().unwrap();
                cpu.add(child);
                let parent = cpu.sleep();
                // It never wakes.
                cpu.asleep[parent] = None;
            }
        });
        assert!(share <= 0.52, "generations of {work_ns} ns: {share}");
    }
}

#[test]
fn yielding_gains_nothing() {
    let share = share_of(|cpu, _| cpu.give_up_turn());
    assert!(share <= 0.505, "{share}");
}

#[test]
fn going_to_another_queue_and_back_gains_nothing() {
    let mut other = RunQueue::new(1);
    let share = share_of(|cpu, key| {
        let entity = cpu.queue.leave().unwrap();
        other.enqueue(key, entity, Arrival::New);
        let (key, entity) = other.take_where(|_, _| true).unwrap();
        cpu.queue.enqueue(key, entity, Arrival::New);
        cpu.running = None;
        cpu.reschedule();
    });
    assert!(share <= 0.505, "{share}");
}
