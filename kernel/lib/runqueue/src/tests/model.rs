//! Random use, compared with a model: the same rules over a plain list, all sums made afresh each time.

use super::*;

/// Who should run of those that wait, by the definition: over all pairs, no tree, no running sums.
fn model_pick(queue: &RunQueue<usize>, order: &[usize]) -> Option<usize> {
    let tasks: Vec<_> = queue.iter().filter(|(_, entity)| entity.policy.is_fair()).collect();
    let weight: VirtualTime = tasks.iter().map(|(_, entity)| VirtualTime::from(entity.weight())).sum();
    let sum: VirtualTime =
        tasks.iter().map(|(_, entity)| VirtualTime::from(entity.weight()) * entity.virtual_time).sum();
    let eligible = tasks.iter().filter(|(_, entity)| entity.virtual_time * weight <= sum);
    let arrival = |key: usize| order.iter().rposition(|&other| other == key);
    eligible.min_by_key(|(key, entity)| (entity.deadline, arrival(**key))).map(|(key, _)| **key)
}

/// The sums that the queue keeps are those of its tasks.
fn check_sums(queue: &RunQueue<usize>) {
    let fair = |entity: &&Entity| entity.policy.is_fair();
    let all = || queue.iter().map(|(_, entity)| entity).chain(queue.running()).filter(fair);
    assert_eq!(queue.weight, all().map(Entity::weight).sum::<u64>());
    let sum: VirtualTime = all().map(|entity| VirtualTime::from(entity.weight()) * entity.virtual_time).sum();
    assert_eq!(queue.sum, sum);
}

#[test]
fn the_tree_picks_what_the_definition_says() {
    for seed in 1..=20 {
        let mut random = Random::seeded(seed);
        let mut queue = RunQueue::new(0);
        let mut asleep: Vec<(usize, Entity)> =
            (0..40).map(|key| (key, Entity::new(fair(random.below(40) as i32 - 20)))).collect();
        let mut order: Vec<usize> = Vec::new();
        let mut running = None;
        for _ in 0..3_000 {
            for _ in 0..random.below(3) {
                if !asleep.is_empty() {
                    let (key, entity) = asleep.swap_remove(random.below(asleep.len() as u64) as usize);
                    order.push(key);
                    queue.enqueue(key, entity, Arrival::Wake);
                }
            }
            queue.account(random.below(4 * MS));
            if let Some(key) = running.take() {
                if random.below(3) == 0 {
                    asleep.push((key, queue.leave().unwrap()));
                } else {
                    let why = if random.below(4) == 0 { Requeue::Yielded } else { Requeue::Preempted };
                    order.push(key);
                    queue.requeue(key, why);
                }
            }
            if random.below(10) == 0
                && let Some(taken) = queue.take_where(|key, _| key % 3 == 0)
            {
                asleep.push(taken);
            }
            check_sums(&queue);
            let expected = model_pick(&queue, &order);
            running = queue.pick_next();
            assert_eq!(running, expected, "seed {seed}");
            assert_eq!(queue.len() + asleep.len() + usize::from(running.is_some()), 40);
            order.drain(..order.len().saturating_sub(500));
        }
    }
}

/// Tasks that sleep and wake at random: at every moment each is within two turns of what it is due, by the queue's own
/// clock; and a task that does not sleep gets what an exact division of each step among those awake would give it,
/// less a bounded number of turns.
#[test]
fn nobody_is_far_from_the_exact_share() {
    for seed in 1..=12 {
        let mut random = Random::seeded(seed);
        let policies: Vec<_> = (0..9).map(|_| fair(random.below(12) as i32 - 6)).collect();
        let mut cpu = Cpu::new(&policies);
        let weight = |key: usize| policies[key].weight() as f64;
        // Tasks 0 to 2 never sleep.
        let mut due = [0.0; 3];
        for _ in 0..100_000 {
            if cpu.running.is_some_and(|key| key > 2) && random.below(6) == 0 {
                cpu.sleep();
            }
            let sleeper = 3 + random.below(6) as usize;
            if random.below(8) == 0 && cpu.asleep[sleeper].is_some() {
                cpu.wake(sleeper);
            }
            // Who sleeps with a debt counts until the others have had as much.
            let average = cpu.queue.average();
            let counts = |key: &usize| {
                cpu.asleep[*key].is_none_or(|entity| entity.lag < 0 && entity.virtual_time > average)
            };
            let total: f64 = (0..9).filter(counts).map(weight).sum();
            let step = random.below(MS);
            for (key, due) in due.iter_mut().enumerate() {
                *due += step as f64 * weight(key) / total;
            }
            cpu.run(step);
            check_sums(&cpu.queue);
            for (key, entity) in cpu.queue.iter() {
                let average = cpu.queue.average();
                let turns = (average - entity.virtual_time).abs() as f64 / entity.slice() as f64;
                assert!(turns <= 2.5, "seed {seed}: task {key} is {turns} turns off");
            }
        }
        for (key, due) in due.iter().enumerate() {
            let short = (due - cpu.ran[key] as f64) / SLICE_NS as f64;
            assert!(short <= 3.0, "seed {seed}: task {key} is {short} turns short of {due} ns");
        }
    }
}

/// Random sleeps and wake-ups of all classes: nobody is lost or there twice, and who could run does.
#[test]
fn random_use_loses_and_starves_nobody() {
    for seed in 1..=10 {
        let mut random = Random::seeded(seed);
        let policies: Vec<_> = (0..14)
            .map(|key| match key {
                0 => fifo(3),
                1 => round_robin(3),
                2 => Policy::Batch(Nice::DEFAULT),
                _ => fair(random.below(21) as i32 - 10),
            })
            .collect();
        let mut cpu = Cpu::new(&policies);
        let mut waits_since = [0; 14];
        for _ in 0..80_000 {
            if random.below(10) == 0 && cpu.running.is_some() {
                cpu.sleep();
            }
            let key = random.below(14) as usize;
            // The real-time tasks sleep most of the time.
            if random.below(if key < 2 { 60 } else { 2 }) == 0 && cpu.asleep[key].is_some() {
                waits_since[key] = cpu.now;
                cpu.wake(key);
            }
            cpu.run(STEP_NS);
            let asleep = (0..14).filter(|&key| cpu.asleep[key].is_some());
            let mut all: Vec<_> =
                cpu.queue.iter().map(|(key, _)| *key).chain(cpu.running).chain(asleep).collect();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..14));
            for key in 0..14 {
                if cpu.running == Some(key) || cpu.asleep[key].is_some() {
                    waits_since[key] = cpu.now;
                }
                let waited = cpu.now - waits_since[key];
                assert!(waited < 1_000 * MS, "seed {seed}: task {key} {:?} waited {waited}", policies[key]);
            }
        }
    }
}

#[test]
fn nothing_allocates_once_room_was_made() {
    let mut queue = RunQueue::new(0);
    queue.try_reserve(100).unwrap();
    let room = queue.fair.room();
    for round in 0..50 {
        for key in 0..100 {
            let policy = if key % 5 == 0 { fifo(1 + key) } else { fair(key as i32 % 20) };
            queue.enqueue(key, Entity::new(policy), Arrival::New);
        }
        assert_eq!(queue.len(), 100, "round {round}");
        while queue.pick_next().is_some() {
            queue.leave();
        }
    }
    assert_eq!(queue.fair.room(), room);
    assert!(queue.is_empty() && queue.load() == 0);
    // Room can be given back while nobody waits; there is as much as was said.
    queue.enqueue(1, Entity::new(fair(0)), Arrival::New);
    queue.shrink(10);
    assert_eq!(queue.fair.room(), room);
    assert_eq!(queue.pick_next(), Some(1));
    queue.shrink(10);
    let room = queue.fair.room();
    assert!((10..100).contains(&room));
    (2..11).for_each(|key| queue.enqueue(key, Entity::new(fair(0)), Arrival::New));
    assert_eq!((queue.len(), queue.fair.room()), (9, room));
}
