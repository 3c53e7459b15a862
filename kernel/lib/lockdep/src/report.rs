//! What a violation says: the locks that are held, the one that is wanted, and the chain seen before, with the
//! places where each was taken.

use super::graph::Edge;
use super::{Class, Graph, Held, HeldLock, Violation};
use core::fmt::{self, Write};

impl Graph {
    /// Writes what is wrong with taking `wanted` while `held` is held, with both chains. Each line ends in `\n`.
    pub fn report(
        &self,
        out: &mut dyn Write,
        violation: &Violation,
        held: &[&Held],
        wanted: HeldLock,
    ) -> fmt::Result {
        let name = self.name(wanted.class);
        let place = wanted.place;
        match violation {
            Violation::Recursion { held } => {
                writeln!(out, "lockdep: `{name}` wanted at {place} is held already, since {}", held.place)
            }
            Violation::Nested { held } => writeln!(
                out,
                "lockdep: `{name}` wanted at {place} while another one of the class is held, since {}; \
                 the class does not nest so",
                held.place
            ),
            Violation::InterruptUnsafe => {
                writeln!(
                    out,
                    "lockdep: `{name}` is taken by interrupt handlers and with interrupts enabled"
                )?;
                self.write_contexts(out, wanted.class, wanted.class)
            }
            Violation::InterruptPath(path) => {
                let (handled, open) = (self.name(path.handled), self.name(path.open));
                writeln!(
                    out,
                    "lockdep: `{handled}`, which interrupt handlers take, leads to `{open}`, which is taken with \
                     interrupts enabled; seen at {place}:"
                )?;
                self.write_contexts(out, path.handled, path.open)?;
                self.write_chain(out, path.handled, path.open)
            }
            Violation::Cycle { holder } => {
                writeln!(out, "lockdep: `{name}` wanted at {place} in the wrong order; now:")?;
                for lock in held.iter().flat_map(|held| held.iter()) {
                    writeln!(out, "  `{}` held since {}", self.name(lock.class), lock.place)?;
                }
                writeln!(out, "  `{name}` wanted at {place}; before:")?;
                self.write_chain(out, wanted.class, *holder)
            }
        }
    }

    fn write_contexts(&self, out: &mut dyn Write, handled: Class, open: Class) -> fmt::Result {
        if let (Some(place), _) = self.context_places(handled) {
            writeln!(out, "  `{}` taken by a handler at {place}", self.name(handled))?;
        }
        if let (_, Some(place)) = self.context_places(open) {
            writeln!(out, "  `{}` taken with interrupts enabled at {place}", self.name(open))?;
        }
        Ok(())
    }

    fn write_chain(&self, out: &mut dyn Write, from: Class, to: Class) -> fmt::Result {
        let chain = self.chain(from, to);
        for pair in chain.iter().flat_map(|chain| chain.classes().windows(2)) {
            let [held, taken] = [pair[0], pair[1]].map(|class| self.name(class));
            match self.edge(pair[0], pair[1]) {
                Some(Edge { held: Some(since), taken: place, .. }) => {
                    writeln!(out, "  `{held}` held since {since}, `{taken}` taken at {place}")?;
                }
                Some(edge) => writeln!(out, "  `{held}` is before `{taken}`, as written at {}", edge.taken)?,
                None => writeln!(out, "  `{held}` held, `{taken}` taken")?,
            }
        }
        Ok(())
    }
}
