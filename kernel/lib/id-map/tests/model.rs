//! Against `BTreeMap`, with random operations.

use id_map::{BytesMap, Id, IdMap};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// Looks from `key` up and down, and changes what is there.
fn look<K: Id + Ord + std::fmt::Debug>(
    map: &mut IdMap<K, u64>,
    model: &mut BTreeMap<K, u64>,
    key: K,
    round: u64,
) {
    let copied = |(&key, value)| (key, value);
    assert!(map.iter_from(key).eq(model.range(key..).map(copied)));
    assert!(map.iter_to(key).rev().eq(model.range(..=key).rev().map(copied)));
    let end = K::from_number(key.to_number().saturating_add(round % 40));
    assert!(map.iter_range(key..end).eq(model.range(key..end).map(copied)));
    assert!(map.iter_range(end..key).next().is_none() || end == key);
    let seen = map.visit_mut_from(key, |at, value| {
        *value += 1;
        if at >= end { ControlFlow::Break(at) } else { ControlFlow::Continue(()) }
    });
    let behind = model.range(end..).next().map(|(&key, _)| key);
    model
        .range_mut(key..)
        .take_while(|(at, _)| behind.is_none_or(|behind| **at <= behind))
        .for_each(|(_, value)| *value += 1);
    assert_eq!(seen.break_value(), behind);
    if round.is_multiple_of(64) {
        map.for_each_mut(|_, value| *value += 3);
        model.values_mut().for_each(|value| *value += 3);
        map.retain(|_, value| !value.is_multiple_of(5));
        model.retain(|_, value| !value.is_multiple_of(5));
    }
}

fn play<K: Id + Ord + std::fmt::Debug>(seed: u64, key: impl Fn(u64) -> K) {
    let mut random = Random(seed);
    let mut map = IdMap::new();
    let mut model = BTreeMap::new();
    for round in 0..20_000u64 {
        let key = key(random.below(300));
        match random.below(10) {
            0..4 => assert_eq!(map.insert(key, round), model.insert(key, round)),
            4..7 => assert_eq!(map.remove(key), model.remove(&key)),
            7 => assert_eq!(*map.get_or_insert_with(key, || round), *model.entry(key).or_insert(round)),
            8 => {
                if let Some(value) = map.get_mut(key) {
                    *value += 1;
                }
                model.entry(key).and_modify(|value| *value += 1);
            }
            _ if random.below(4) == 0 => assert_eq!(map.pop_first(), model.pop_first()),
            _ => look(&mut map, &mut model, key, round),
        }
        assert_eq!((map.get(key), map.contains_key(key)), (model.get(&key), model.contains_key(&key)));
        assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    }
    assert!(map.keys().eq(model.keys().copied()) && map.values().eq(model.values()));
    let mut values: Vec<u64> = map.into_values().collect();
    values.sort_unstable();
    let mut wanted: Vec<u64> = model.into_values().collect();
    wanted.sort_unstable();
    assert_eq!(values, wanted);
}

#[test]
fn is_like_a_tree_for_each_type_of_key() {
    play(1, |number| number);
    play(2, |number| u64::MAX - number);
    play(3, |number| number as u32);
    play(4, |number| number as i32 - 150);
    play(5, |number| (number / 20) as usize);
    play(6, |number| (number as u32 % 15, number as u32 / 15));
}

#[test]
fn gives_memory_back_when_it_shrinks() {
    let mut map: IdMap<u32, [u8; 64]> = IdMap::new();
    for key in 0..10_000 {
        map.insert(key, [0; 64]);
    }
    for key in 10..10_000 {
        map.remove(key);
    }
    assert!(map.capacity() < 100, "room for {}", map.capacity());
    assert!(map.keys().eq(0..10));
}

#[test]
fn byte_strings_are_keys_too() {
    let mut random = Random(7);
    let mut map = BytesMap::new();
    let mut model: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for round in 0..20_000u64 {
        let key = vec![b'a' + random.below(3) as u8; random.below(100) as usize];
        match random.below(8) {
            0..4 => assert_eq!(map.insert(key.as_slice().into(), round), model.insert(key.clone(), round)),
            4..7 => assert_eq!(map.remove(&key), model.remove(&key)),
            _ if round.is_multiple_of(64) => {
                map.retain(|key, value| !key.len().is_multiple_of(3) || value.is_multiple_of(2));
                model.retain(|key, value| !key.len().is_multiple_of(3) || value.is_multiple_of(2));
            }
            _ => {
                if let Some(value) = map.get_mut(&key) {
                    *value += 1;
                }
                model.entry(key.clone()).and_modify(|value| *value += 1);
            }
        }
        assert_eq!((map.get(&key), map.contains_key(&key)), (model.get(&key), model.contains_key(&key)));
        assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    }
    let mut entries: Vec<(&[u8], u64)> = map.iter().map(|(key, &value)| (key, value)).collect();
    entries.sort_unstable();
    assert!(entries.into_iter().eq(model.iter().map(|(key, &value)| (key.as_slice(), value))));
    let mut values: Vec<u64> = map.values().copied().collect();
    let mut expected: Vec<u64> = model.values().copied().collect();
    values.sort_unstable();
    expected.sort_unstable();
    assert_eq!(values, expected);
}
