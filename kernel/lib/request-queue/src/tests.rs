//! Tests: a disk of numbers in random order against a disk that does one thing after the other.

extern crate std;

use crate::{FlushGate, Item, Kind, Limits, Priority, Queue, Request};
use std::vec::Vec;
use std::{vec, vec::IntoIter};

const LIMITS: Limits = Limits { max_length: 16, max_segments: 8, depth: 4, needs_whole_pages: false };

/// Takes long enough never to expire.
const LATER: u64 = 1 << 40;

fn item<T>(kind: Kind, start: u64, length: u64, what: T) -> Item<T> {
    Item {
        kind,
        start,
        length,
        segments: 1,
        borders: (true, true),
        priority: Priority::Normal,
        deadline: LATER,
        is_alone: false,
        what,
    }
}

fn ranges<T>(queue: &mut Queue<T>, now: u64) -> Vec<(u64, u64)> {
    let next = || queue.next(now).map(|request| (request.start, request.length));
    std::iter::from_fn(next).collect()
}

/// Numbers that look random: xorshift.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What was asked for: a write of one number, or a read with what it has to find.
#[derive(Clone, Debug)]
struct Asked {
    start: u64,
    length: u64,
    write: Option<u32>,
    expected: Vec<u32>,
    has_failed: bool,
}

struct Trial {
    queue: Queue<usize>,
    asked: Vec<Asked>,
    ended: Vec<u32>,
    disk: Vec<u32>,
    model: Vec<u32>,
    running: Vec<Request<usize>>,
    now: u64,
}

const BLOCKS: u64 = 48;

impl Trial {
    fn new(limits: Limits) -> Self {
        let (disk, model) = (vec![0; BLOCKS as usize], vec![0; BLOCKS as usize]);
        let (asked, ended, running) = (Vec::new(), Vec::new(), Vec::new());
        Self { queue: Queue::new(limits), asked, ended, disk, model, running, now: 0 }
    }

    fn item(&self, index: usize, numbers: &mut Numbers) -> Item<usize> {
        let asked = &self.asked[index];
        let kind = match asked.write {
            None => Kind::Read,
            Some(number) if number % 7 == 0 => Kind::WriteThrough,
            Some(number) if number % 11 == 0 => Kind::Change,
            Some(_) => Kind::Write,
        };
        let priorities = [Priority::Urgent, Priority::Normal, Priority::Background];
        Item {
            priority: priorities[numbers.below(3) as usize],
            deadline: self.now + numbers.below(60),
            borders: (numbers.below(4) > 0, numbers.below(4) > 0),
            ..item(kind, asked.start, asked.length, index)
        }
    }

    fn ask(&mut self, numbers: &mut Numbers) {
        let start = numbers.below(BLOCKS);
        let length = 1 + numbers.below(6).min(BLOCKS - start - 1);
        let range = start as usize..(start + length) as usize;
        let number = self.asked.len() as u32 + 1;
        let write = (numbers.below(2) == 0).then_some(number);
        if let Some(number) = write {
            self.model[range.clone()].fill(number);
        }
        let expected = self.model[range].to_vec();
        self.asked.push(Asked { start, length, write, expected, has_failed: false });
        self.ended.push(0);
        let item = self.item(self.asked.len() - 1, numbers);
        self.queue.insert(item);
    }

    fn start(&mut self, limits: &Limits) {
        while let Some(request) = self.queue.next(self.now) {
            let parts: Vec<&Asked> = request.parts.iter().map(|&index| &self.asked[index]).collect();
            assert_eq!(request.start, parts[0].start);
            assert!(parts.windows(2).all(|pair| pair[0].start + pair[0].length == pair[1].start));
            assert_eq!(request.length, parts.iter().map(|part| part.length).sum());
            assert!(parts.len() == 1 || request.length <= limits.max_length);
            assert!(parts.len() <= limits.max_segments);
            self.running.push(request);
            assert!(self.running.len() <= limits.depth);
            assert!(self.running.len() == 1 || self.running.iter().all(|request| !request.is_alone));
        }
    }

    /// Ends one of those under way: it fails sometimes, the first time.
    fn end(&mut self, numbers: &mut Numbers) {
        if self.running.is_empty() {
            return;
        }
        let request = self.running.swap_remove(numbers.below(self.running.len() as u64) as usize);
        if !request.is_alone && numbers.below(8) == 0 {
            let items: Vec<_> = request.parts.iter().map(|&index| self.item(index, numbers)).collect();
            let mut items: IntoIter<_> = items.into_iter();
            request.parts.iter().for_each(|&index| self.asked[index].has_failed = true);
            return self.queue.retry(request, |_| items.next().expect("an item for each part"));
        }
        self.queue.done(request.id);
        for &index in &request.parts {
            let asked = &self.asked[index];
            let range = asked.start as usize..(asked.start + asked.length) as usize;
            match asked.write {
                Some(number) => self.disk[range].fill(number),
                None => assert_eq!(self.disk[range], asked.expected, "a read saw another time's contents"),
            }
            self.ended[index] += 1;
        }
    }
}

#[test]
fn any_order_and_any_merging_leave_what_one_after_the_other_leaves() {
    let mut merges = 0;
    for seed in 1..400 {
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let limits = Limits {
            depth: 1 + numbers.below(6) as usize,
            max_segments: 1 + numbers.below(8) as usize,
            needs_whole_pages: numbers.below(2) == 0,
            ..LIMITS
        };
        let mut trial = Trial::new(limits);
        for _ in 0..300 {
            trial.now += 1;
            match numbers.below(3) {
                0 => trial.start(&limits),
                1 => trial.end(&mut numbers),
                _ => trial.ask(&mut numbers),
            }
        }
        while !trial.queue.is_empty() || !trial.running.is_empty() {
            trial.start(&limits);
            assert!(!trial.running.is_empty(), "seed {seed}: nothing moves any more");
            trial.end(&mut numbers);
        }
        assert_eq!(trial.disk, trial.model, "seed {seed}");
        assert!(trial.ended.iter().all(|&count| count == 1), "seed {seed}: lost or done twice");
        merges += trial.queue.merges();
    }
    assert!(merges > 1000, "{merges}");
}

#[test]
fn neighbours_become_one_request() {
    let mut queue = Queue::new(LIMITS);
    assert!(!queue.insert(item(Kind::Write, 4, 2, 'c')));
    assert!(queue.insert(item(Kind::Write, 6, 2, 'd')));
    assert!(queue.insert(item(Kind::Write, 2, 2, 'b')));
    assert!(!queue.insert(item(Kind::Read, 8, 2, 'x')));
    let request = queue.next(0).expect("there is something");
    assert_eq!((request.start, request.length, request.parts), (2, 6, vec!['b', 'c', 'd']));
    assert_eq!((queue.merges(), queue.len()), (2, 1));
}

#[test]
fn limits_end_merging() {
    let mut queue = Queue::new(Limits { max_length: 8, max_segments: 3, depth: 9, needs_whole_pages: true });
    queue.insert(item(Kind::Read, 0, 4, ()));
    queue.insert(item(Kind::Read, 4, 5, ())); // too long
    queue.insert(Item { segments: 3, ..item(Kind::Read, 9, 1, ()) }); // too many pieces
    queue.insert(Item { borders: (false, true), ..item(Kind::Read, 10, 1, ()) }); // within a page
    queue.insert(item(Kind::Change, 11, 1, ()));
    queue.insert(item(Kind::Change, 12, 1, ()));
    assert_eq!(ranges(&mut queue, 0), [(0, 4), (4, 5), (9, 1), (10, 1), (11, 1), (12, 1)]);
}

#[test]
fn the_arm_goes_upwards_and_starts_again() {
    let mut queue = Queue::new(Limits { depth: 9, ..LIMITS });
    for start in [50, 10, 30] {
        queue.insert(item(Kind::Read, start, 1, ()));
    }
    assert_eq!(queue.next(0).map(|request| request.start), Some(10));
    queue.insert(item(Kind::Read, 5, 1, ()));
    queue.insert(item(Kind::Read, 20, 1, ()));
    assert_eq!(ranges(&mut queue, 0), [(20, 1), (30, 1), (50, 1), (5, 1)]);
}

#[test]
fn the_urgent_goes_first_and_takes_along_what_it_needs() {
    let mut queue = Queue::new(Limits { depth: 1, ..LIMITS });
    let of = |priority, kind, start| Item { priority, ..item(kind, start, 1, ()) };
    queue.insert(of(Priority::Background, Kind::Write, 40));
    queue.insert(of(Priority::Normal, Kind::Write, 10));
    queue.insert(of(Priority::Urgent, Kind::Read, 40));
    let first = queue.next(0).expect("the write that the read waits for");
    assert_eq!((first.kind, first.start), (Kind::Write, 40));
    queue.done(first.id);
    let second = queue.next(0).expect("the read");
    assert_eq!((second.kind, second.start), (Kind::Read, 40));
}

#[test]
fn nothing_waits_forever() {
    let mut queue = Queue::new(Limits { depth: 1, ..LIMITS });
    let background = Item { priority: Priority::Background, deadline: 20, ..item(Kind::Write, 0, 1, 0) };
    queue.insert(background);
    for now in 0..40 {
        queue.insert(Item { priority: Priority::Urgent, ..item(Kind::Read, 10 + 2 * now, 1, 1) });
        let request = queue.next(now).expect("there is something");
        queue.done(request.id);
        if request.start == 0 {
            assert_eq!(now, 20);
            return;
        }
    }
    panic!("the write starved");
}

#[test]
fn background_work_leaves_places_free() {
    let mut queue = Queue::new(LIMITS);
    for start in [0, 10, 20, 30] {
        queue.insert(Item { priority: Priority::Background, ..item(Kind::Write, start, 1, ()) });
    }
    assert_eq!(ranges(&mut queue, 0).len(), 3);
    queue.insert(item(Kind::Read, 40, 1, ()));
    assert_eq!(ranges(&mut queue, 0), [(40, 1)]);
}

#[test]
fn a_request_that_was_refused_comes_first() {
    let mut queue = Queue::new(LIMITS);
    queue.insert(item(Kind::Read, 9, 1, ()));
    queue.insert(item(Kind::Write, 9, 1, ()));
    let refused = queue.next(0).expect("the read");
    queue.put_back(refused);
    assert_eq!((queue.running(), queue.len()), (0, 2));
    assert_eq!(queue.next(0).map(|request| request.kind), Some(Kind::Read));
    assert!(queue.next(0).is_none(), "the write must wait for the read");
    assert_eq!(queue.drain().len(), 1);
}

#[test]
fn a_flush_serves_those_who_asked_before_it_began() {
    let mut gate = FlushGate::new();
    assert!(gate.ask(1));
    assert!(!gate.ask(2));
    assert!(!gate.ask(3));
    assert_eq!(gate.end(), (vec![1], true));
    assert!(!gate.ask(4));
    assert_eq!(gate.end(), (vec![2, 3], true));
    assert_eq!(gate.end(), (vec![4], false));
    assert!(gate.ask(5));
}
