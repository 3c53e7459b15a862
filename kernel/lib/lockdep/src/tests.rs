//! Host tests: each kind of violation, and chains and reachability against a model.

extern crate std;
use super::Context::*;
use super::*;
use core::panic::Location;
use std::format;
use std::string::String;
use std::vec::Vec;

#[track_caller]
fn lock(graph: &mut Graph, name: &'static str, address: usize) -> HeldLock {
    HeldLock { class: graph.class(name).unwrap(), address, depth: 0, place: Location::caller() }
}

/// A task that takes locks of these classes and releases them.
fn take(graph: &mut Graph, names: &[&'static str]) -> Result<(), (Violation, String)> {
    let locks: Vec<_> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    take_locks(graph, &locks, InterruptsDisabled)
}

fn take_locks(
    graph: &mut Graph,
    locks: &[(&'static str, usize)],
    context: Context,
) -> Result<(), (Violation, String)> {
    let mut held = Held::new();
    for &(name, address) in locks {
        let wanted = lock(graph, name, address);
        if let Err(violation) = graph.acquire(&[&held], wanted, context) {
            let mut text = String::new();
            graph.report(&mut text, &violation, &[&held], wanted).unwrap();
            return Err((violation, text));
        }
        held.push(wanted);
    }
    Ok(())
}

#[test]
fn one_order_is_fine() {
    let mut graph = Graph::new();
    for names in [&["a", "b", "c"][..], &["a", "c"], &["b", "c"], &["c"]] {
        assert_eq!(take(&mut graph, names), Ok(()));
    }
    assert_eq!(graph.edges(), 3);
}

#[test]
fn both_orders_are_a_cycle_with_both_chains() {
    let mut graph = Graph::new();
    take(&mut graph, &["a", "b"]).unwrap();
    take(&mut graph, &["b", "c"]).unwrap();
    let (violation, text) = take(&mut graph, &["c", "a"]).unwrap_err();
    let Violation::Cycle { holder } = violation else { panic!("{violation:?}") };
    let wanted = graph.class("a").unwrap();
    let chain = graph.chain(wanted, holder).unwrap();
    let names: Vec<_> = chain.classes().iter().map(|&class| graph.name(class)).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for part in ["`a` wanted at", "`c` held since", "`a` held since", "`b` taken at", "`c` taken at"] {
        assert!(text.contains(part), "{text}");
    }
    // Once is enough.
    assert_eq!(take(&mut graph, &["c", "a"]), Ok(()));
}

#[test]
fn locks_of_different_holders_make_edges_alike() {
    let mut graph = Graph::new();
    let [a, b] = ["a", "b"].map(|name| lock(&mut graph, name, name.len()));
    let (mut task, mut cpu) = (Held::new(), Held::new());
    task.push(a);
    assert_eq!(graph.acquire(&[&task, &cpu], b, InterruptsDisabled), Ok(()));
    cpu.push(b);
    let c = lock(&mut graph, "c", 3);
    assert_eq!(graph.acquire(&[&task, &cpu], c, InterruptsDisabled), Ok(()));
    assert!(matches!(take(&mut graph, &["c", "a"]), Err((Violation::Cycle { .. }, _))));
}

#[test]
fn an_order_written_down_is_kept() {
    let mut graph = Graph::new();
    let [outer, middle, inner] = ["outer", "middle", "inner"].map(|name| graph.class(name).unwrap());
    let place = Location::caller();
    graph.declare(outer, middle, place).unwrap();
    graph.declare(middle, inner, place).unwrap();
    assert_eq!(graph.declare(inner, outer, place), Err(Violation::Cycle { holder: inner }));
    take(&mut graph, &["outer", "inner"]).unwrap();
    let (_, text) = take(&mut graph, &["inner", "outer"]).unwrap_err();
    assert!(text.contains("`inner` held since") && text.contains("`outer` wanted"), "{text}");
    let (_, text) = take(&mut graph, &["inner", "middle"]).unwrap_err();
    assert!(text.contains("`middle` is before `inner`, as written at"), "{text}");
}

#[test]
fn taking_a_lock_twice_is_reported_each_time() {
    let mut graph = Graph::new();
    for _ in 0..2 {
        let result = take_locks(&mut graph, &[("a", 1), ("b", 2), ("a", 1)], InterruptsDisabled);
        assert!(matches!(result, Err((Violation::Recursion { .. }, _))));
    }
}

#[test]
fn classes_nest_as_they_say() {
    let mut graph = Graph::new();
    let mut two =
        |name, first, second| take_locks(&mut graph, &[(name, first), (name, second)], InterruptsDisabled);
    assert!(matches!(two("never", 1, 2), Err((Violation::Nested { .. }, _))));
    assert_eq!(two("never", 1, 2), Ok(()), "reported once");
    let [address, parent] = ["address", "parent"].map(|name| graph.class(name).unwrap());
    graph.set_nesting(address, Nesting::ByAddress);
    graph.set_nesting(parent, Nesting::ParentFirst);
    let mut two =
        |name, first, second| take_locks(&mut graph, &[(name, first), (name, second)], InterruptsDisabled);
    assert_eq!(two("parent", 2, 1), Ok(()));
    assert_eq!(two("address", 1, 2), Ok(()));
    let (violation, text) = two("address", 2, 1).unwrap_err();
    assert!(matches!(violation, Violation::Nested { .. }), "{text}");
}

#[test]
fn depths_that_grow_nest() {
    let mut graph = Graph::new();
    let [outer, inner] =
        [(1, 1), (2, 2)].map(|(address, depth)| HeldLock { depth, ..lock(&mut graph, "a", address) });
    let mut held = Held::new();
    held.push(outer);
    assert_eq!(graph.acquire(&[&held], inner, InterruptsDisabled), Ok(()));
    let mut held = Held::new();
    held.push(inner);
    let result = graph.acquire(&[&held], outer, InterruptsDisabled);
    assert_eq!(result, Err(Violation::Nested { held: inner }));
}

#[test]
fn interrupt_handlers_need_locks_that_disable_interrupts() {
    let mut graph = Graph::new();
    let (good, bad) = (lock(&mut graph, "good", 1), lock(&mut graph, "bad", 2));
    let mut acquire = |wanted, context| graph.acquire(&[], wanted, context);
    assert_eq!(acquire(good, InterruptsDisabled), Ok(()));
    assert_eq!(acquire(good, Interrupt), Ok(()));
    assert_eq!(acquire(bad, InterruptsEnabled), Ok(()));
    assert_eq!(acquire(bad, Interrupt), Err(Violation::InterruptUnsafe));
    assert_eq!(acquire(bad, Interrupt), Ok(()));
}

/// Whichever of the three observations comes last is the one that completes the picture.
#[test]
fn a_handlers_lock_must_not_lead_to_an_open_one() {
    let steps = [0, 1, 2];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut graph = Graph::new();
        let mut outcomes = Vec::new();
        for step in order.map(|index: usize| steps[index]) {
            outcomes.push(match step {
                0 => take_locks(&mut graph, &[("handled", 1)], Interrupt),
                1 => {
                    take_locks(&mut graph, &[("handled", 1), ("middle", 2), ("open", 3)], InterruptsDisabled)
                }
                _ => take_locks(&mut graph, &[("open", 3)], InterruptsEnabled),
            });
        }
        assert_eq!(outcomes[..2], [Ok(()), Ok(())], "{order:?}");
        let (violation, text) = outcomes[2].clone().unwrap_err();
        assert!(matches!(violation, Violation::InterruptPath(_)), "{text}");
        for part in
            ["`handled` taken by a handler", "`open` taken with interrupts enabled", "`handled` held since"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn attempts_make_no_edges_but_count_as_held() {
    let mut graph = Graph::new();
    take(&mut graph, &["a", "b"]).unwrap();
    let (a, b) = (lock(&mut graph, "a", 1), lock(&mut graph, "b", 2));
    let mut held = Held::new();
    held.push(b);
    assert_eq!(graph.try_acquire(a.class, InterruptsDisabled, a.place), Ok(()));
    held.push(a);
    let c = lock(&mut graph, "c", 3);
    graph.acquire(&[&held], c, InterruptsDisabled).unwrap();
    assert!(matches!(take(&mut graph, &["c", "b"]), Err((Violation::Cycle { .. }, _))));
}

#[test]
fn releases_come_in_any_order() {
    let mut graph = Graph::new();
    let mut names = ["a", "b", "c"].iter().enumerate();
    let [a, b, c] = [(); 3].map(|()| names.next().map(|(at, name)| lock(&mut graph, name, at)).unwrap());
    let mut held = Held::new();
    for lock in [a, b, c] {
        held.push(lock);
    }
    assert!(held.release(a.address));
    assert!(held.iter().eq([&b, &c]));
    assert!(!held.release(a.address), "not held any more");
    assert!(held.release(c.address));
    assert!(held.iter().eq([&b]));
    for _ in 0..100 {
        held.push(a);
    }
    assert_eq!(held.len(), 101);
    for _ in 0..100 {
        assert!(held.release(a.address));
    }
    assert_eq!((held.len(), held.is_empty()), (1, false));
}

#[test]
fn classes_run_out_with_an_error() {
    let mut graph = Graph::new();
    for number in 0..CLASSES {
        let name: &'static str = std::boxed::Box::leak(format!("{number}").into_boxed_str());
        assert_eq!(graph.class(name).map(|class| graph.name(class)), Ok(name));
    }
    assert_eq!(graph.class("one more"), Err(TooManyClasses));
    assert!(graph.class("5").is_ok());
    assert_eq!(Class::from_index(CLASSES), None);
}

#[test]
fn what_is_known_needs_no_second_check() {
    let (mut graph, known) = (Graph::new(), Known::new());
    let (a, b) = (lock(&mut graph, "a", 1), lock(&mut graph, "b", 2));
    let mut held = Held::new();
    held.push(a);
    assert!(!known.covers(&[&held], b.class, InterruptsDisabled));
    known.learn(&[&held], b.class, InterruptsDisabled);
    assert!(known.covers(&[&held], b.class, InterruptsDisabled));
    assert!(!known.covers(&[&held], b.class, InterruptsEnabled), "another context");
    assert!(!known.covers(&[&held], a.class, InterruptsDisabled), "nesting always gets a look");
    held.push(lock(&mut graph, "c", 3));
    assert!(!known.covers(&[&held], b.class, InterruptsDisabled), "another holder");
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

/// Chains exist exactly where a search by hand finds a way.
#[test]
fn chains_are_ways_along_edges() {
    const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..200 {
        let mut graph = Graph::new();
        let classes = NAMES.map(|name| graph.class(name).unwrap());
        let mut reach = [[false; 7]; 7];
        for _ in 0..9 {
            let (from, to) = (random(&mut state) % 7, random(&mut state) % 7);
            graph.add_edge(classes[from], classes[to], None, Location::caller());
            reach[from][to] = true;
        }
        let direct = reach;
        for middle in 0..7 {
            for from in 0..7 {
                for to in 0..7 {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        for from in 0..7 {
            for to in 0..7 {
                let chain = graph.chain(classes[from], classes[to]);
                assert_eq!(chain.is_some(), reach[from][to] || from == to);
                let Some(chain) = chain else { continue };
                let classes_of = chain.classes();
                assert!(classes_of.windows(2).all(|pair| direct[pair[0].index()][pair[1].index()]));
                assert_eq!((classes_of[0], *classes_of.last().unwrap()), (classes[from], classes[to]));
            }
        }
    }
}

/// Tasks that take random locks: the first cycle is reported at the very step at which a model finds one.
#[test]
fn cycles_are_found_when_they_come_to_be() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut cycles = 0;
    for _ in 0..300 {
        let mut graph = Graph::new();
        let mut model = [[false; 6]; 6];
        for _ in 0..12 {
            let (outer, inner) = (random(&mut state) % 6, random(&mut state) % 6);
            if outer == inner {
                continue;
            }
            let is_cycle = !model[outer][inner] && leads(&model, inner, outer);
            model[outer][inner] = true;
            let result =
                take_locks(&mut graph, &[(NAMES[outer], outer), (NAMES[inner], inner)], InterruptsDisabled);
            assert_eq!(matches!(result, Err((Violation::Cycle { .. }, _))), is_cycle);
            cycles += usize::from(is_cycle);
        }
    }
    assert!(cycles > 100, "{cycles}");
}

fn leads(edges: &[[bool; 6]; 6], from: usize, to: usize) -> bool {
    let mut seen = [false; 6];
    let mut stack = std::vec![from];
    while let Some(at) = stack.pop() {
        if at == to {
            return true;
        }
        if !std::mem::replace(&mut seen[at], true) {
            stack.extend((0..6).filter(|&next| edges[at][next]));
        }
    }
    false
}

#[test]
fn sets_are_sets() {
    let mut state = 77u64;
    let mut set = ClassSet::EMPTY;
    let mut model = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let index = random(&mut state) % CLASSES;
        let class = Class::from_index(index).unwrap();
        assert_eq!(set.insert(class), model.insert(index));
    }
    assert!(set.iter().map(Class::index).eq(model.iter().copied()));
    assert_eq!((set.len(), set.is_empty()), (model.len(), false));
    assert!(
        (0..CLASSES).all(|index| set.contains(Class::from_index(index).unwrap()) == model.contains(&index))
    );
}
