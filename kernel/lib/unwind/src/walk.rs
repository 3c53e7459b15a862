//! Going up a stack, frame by frame.
//!
//! Where the table or the stack does not tell the caller, the walk looks upwards for the next word that could be a
//! return address and goes on from there; such a frame is marked as a guess.

use crate::{Base, Kind, Row, Table};

/// The registers that a walk needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Where the code is.
    pub rip: u64,
    /// The stack pointer there.
    pub rsp: u64,
    /// RBP there.
    pub rbp: u64,
}

/// The stacks that a walk may look at.
pub trait Memory {
    /// The word at an address, if all of it lies in one of them. Called with any address.
    fn word(&self, address: u64) -> Option<u64>;
}

/// What a walk meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Code. For a caller this is the last byte of its call instruction, which lies in the right function and line.
    Code {
        /// Its address.
        address: u64,
        /// The way here is not certain.
        is_guess: bool,
    },
    /// A trap, which struck the code that follows.
    Trap {
        /// Its number; `None` if it is not on the stack yet.
        vector: Option<u8>,
    },
    /// A trap from a program: the end.
    User {
        /// Its number; `None` if it is not on the stack yet.
        vector: Option<u8>,
        /// Where the program was.
        rip: u64,
    },
    /// The end of the stack was not reached, and nothing else can be found.
    Lost,
}

/// Frames and guesses after which a walk gives up: nothing sensible is that deep.
const PATIENCE: u32 = 1000;

/// A walk up a stack, as an iterator over what it meets.
#[derive(Clone, Debug)]
pub struct Walk<'t, M> {
    table: Table<'t>,
    memory: M,
    registers: Registers,
    /// `rip` is the instruction itself, not a return address behind it.
    is_exact: bool,
    stage: Stage,
    patience: u32,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// `registers` are those of the next frame.
    Code,
    /// They are, but this mark comes first.
    Mark(Frame),
    /// A return address has to be looked for, from RSP on.
    Search,
    Done,
}

impl<'t, M: Memory> Walk<'t, M> {
    /// A walk that begins with the instruction at `registers.rip`.
    pub fn new(table: Table<'t>, memory: M, registers: Registers) -> Self {
        Self { table, memory, registers, is_exact: true, stage: Stage::Code, patience: PATIENCE }
    }

    /// The frame of `registers`, and the step to its caller.
    fn code(&mut self, is_guess: bool) -> Option<Frame> {
        let Registers { rip, .. } = self.registers;
        if rip == 0 && !self.is_exact {
            self.stage = Stage::Done;
            return None;
        }
        let address = if self.is_exact { rip } else { rip - 1 };
        let row = self.table.lookup(address);
        let is_guess = is_guess || (row.is_none() && !self.is_exact);
        self.stage = match row.map(|row| self.step(row)) {
            Some(Some(next)) => next,
            Some(None) | None => Stage::Search,
        };
        Some(Frame::Code { address, is_guess })
    }

    /// Goes to the caller; `None` if the stack does not hold what the row says.
    fn step(&mut self, row: Row) -> Option<Stage> {
        let Registers { rsp, rbp, .. } = self.registers;
        let from = match row.base {
            Base::Stack => rsp,
            Base::Frame => rbp,
        };
        let frame = from.checked_add(u64::from(row.offset) * 8)?;
        let below = |bytes: u64| self.memory.word(frame.checked_sub(bytes)?);
        let caller_rbp = match row.saved {
            0 => rbp,
            words => below(u64::from(words) * 8)?,
        };
        match row.kind {
            Kind::End => Some(Stage::Done),
            Kind::Unknown => None,
            Kind::Call => {
                // A caller's frame is above, else a damaged stack could lead in circles.
                if frame <= rsp {
                    return None;
                }
                self.registers = Registers { rip: below(8)?, rsp: frame, rbp: caller_rbp };
                self.is_exact = false;
                Some(Stage::Code)
            }
            Kind::Trap => {
                let has_vector = row.base == Base::Stack && row.offset >= 7;
                let vector = if has_vector { below(56)? as u8 } else { 0 };
                let vector = has_vector.then_some(vector);
                let (rip, cs, rsp) = (below(40)?, below(32)?, below(16)?);
                if cs & 3 != 0 {
                    return Some(Stage::Mark(Frame::User { vector, rip }));
                }
                self.registers = Registers { rip, rsp, rbp: caller_rbp };
                self.is_exact = true;
                Some(Stage::Mark(Frame::Trap { vector }))
            }
        }
    }

    /// Looks for a word that could be a return address.
    fn search(&mut self) -> Option<Frame> {
        let mut address = self.registers.rsp.checked_next_multiple_of(8);
        while let Some(at) = address
            && let Some(word) = self.memory.word(at)
        {
            address = at.checked_add(8);
            let row = word.checked_sub(1).and_then(|call| self.table.lookup(call));
            if row.is_some_and(|row| row.kind == Kind::Call) {
                self.registers = Registers { rip: word, rsp: address?, rbp: 0 };
                self.is_exact = false;
                return self.code(true);
            }
        }
        self.stage = Stage::Done;
        Some(Frame::Lost)
    }
}

impl<M: Memory> Iterator for Walk<'_, M> {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        if self.patience == 0 {
            return None;
        }
        self.patience -= 1;
        match self.stage {
            Stage::Code => self.code(false),
            Stage::Mark(mark) => {
                self.stage = if matches!(mark, Frame::User { .. }) { Stage::Done } else { Stage::Code };
                Some(mark)
            }
            Stage::Search => self.search(),
            Stage::Done => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Function, build};

    /// A stack: its lowest address, and its words upwards.
    struct Stack(u64, Vec<u64>);

    impl Memory for &[Stack] {
        fn word(&self, address: u64) -> Option<u64> {
            self.iter().find_map(|stack| {
                let offset = address.checked_sub(stack.0)?;
                if offset % 8 == 0 { stack.1.get(usize::try_from(offset / 8).ok()?).copied() } else { None }
            })
        }
    }

    const LEAF: u64 = 0x1000;
    const PUSHES: u64 = 0x2000;
    const FRAMED: u64 = 0x3000;
    const TRAP: u64 = 0x4000;
    const START: u64 = 0x5000;

    /// A leaf; one with three words on the stack, RBP the first of them; one with a frame pointer; a trap
    /// entry with 15 registers pushed; one that nobody calls.
    fn table() -> Vec<u8> {
        let row = |kind, base, offset, saved| Row { kind, base, offset, saved };
        let function = |start, row| Function {
            start,
            end: start + 0x100,
            rows: vec![(start, Row::ENTRY), (start + 4, row)],
        };
        build(vec![
            function(LEAF, Row::ENTRY),
            function(PUSHES, row(Kind::Call, Base::Stack, 4, 2)),
            function(FRAMED, row(Kind::Call, Base::Frame, 2, 2)),
            function(TRAP, row(Kind::Trap, Base::Stack, 22, 16)),
            function(START, Row::END),
        ])
        .unwrap()
    }

    fn walk(stacks: &[Stack], registers: Registers) -> Vec<Frame> {
        let bytes = table();
        Walk::new(Table::parse(&bytes).unwrap(), stacks, registers).collect()
    }

    fn sure(address: u64) -> Frame {
        Frame::Code { address, is_guess: false }
    }

    fn guess(address: u64) -> Frame {
        Frame::Code { address, is_guess: true }
    }

    #[test]
    fn goes_through_every_kind_of_call() {
        let stack = Stack(
            0x9000,
            vec![
                PUSHES + 0x20, // return address of the leaf
                1,
                2,
                0x9050,
                FRAMED + 0x30, // of PUSHES: two words, RBP, return address
                7,
                7,
                7,
                7,
                7, // locals of FRAMED
                0x77,
                START + 0x10, // RBP, return address
            ],
        );
        let frames = walk(&[stack], Registers { rip: LEAF + 9, rsp: 0x9000, rbp: 5 });
        assert_eq!(frames, [sure(LEAF + 9), sure(PUSHES + 0x1f), sure(FRAMED + 0x2f), sure(START + 0xf)]);
    }

    /// What the CPU and the entry push, for code at `rip` with this stack pointer.
    fn trap_frame(vector: u64, rip: u64, cs: u64, rsp: u64, rbp: u64) -> Vec<u64> {
        let mut words = vec![0; 6];
        words.push(rbp);
        words.extend([0; 8]);
        words.extend([vector, 0, rip, cs, 0x202, rsp, 16]);
        assert_eq!(words.len(), 22);
        words
    }

    #[test]
    fn goes_through_a_trap_to_the_stack_that_it_struck() {
        let mut interrupt = vec![TRAP + 0x50];
        interrupt.extend(trap_frame(2, PUSHES + 0x10, 8, 0x9000, 0x1234));
        let stacks = [Stack(0x20000, interrupt), Stack(0x9000, vec![1, 2, 0x77, START + 0x10])];
        let frames = walk(&stacks, Registers { rip: LEAF, rsp: 0x20000, rbp: 0 });
        let trap = Frame::Trap { vector: Some(2) };
        // The interrupted instruction itself, not the one before it.
        assert_eq!(frames, [sure(LEAF), sure(TRAP + 0x4f), trap, sure(PUSHES + 0x10), sure(START + 0xf)]);
    }

    #[test]
    fn ends_where_a_program_was_interrupted() {
        let stacks = [Stack(0x9000, trap_frame(0xf0, 0x40_1000, 0x33, 0x7fff_0000, 0))];
        let frames = walk(&stacks, Registers { rip: TRAP + 0x20, rsp: 0x9000, rbp: 0 });
        assert_eq!(frames, [sure(TRAP + 0x20), Frame::User { vector: Some(0xf0), rip: 0x40_1000 }]);
    }

    #[test]
    fn a_task_ends_at_a_return_address_of_zero() {
        let frames = walk(&[Stack(0x9000, vec![0])], Registers { rip: LEAF, rsp: 0x9000, rbp: 0 });
        assert_eq!(frames, [sure(LEAF)]);
    }

    #[test]
    fn a_call_to_nowhere_shows_its_caller() {
        let stack = Stack(0x9000, vec![PUSHES + 0x20, 1, 2, 3, START + 0x10]);
        let frames = walk(&[stack], Registers { rip: 0, rsp: 0x9000, rbp: 0 });
        assert_eq!(frames, [sure(0), guess(PUSHES + 0x1f), sure(START + 0xf)]);
    }

    #[test]
    fn damage_is_skipped_and_marked() {
        let stack = Stack(0x9000, vec![0xdead, 0xbeef, PUSHES + 0x20, 1, 2, 3, START + 0x10]);
        let frames = walk(&[stack], Registers { rip: LEAF, rsp: 0x9000, rbp: 0 });
        assert_eq!(frames, [sure(LEAF), guess(0xdeac), guess(PUSHES + 0x1f), sure(START + 0xf)]);
        let frames = walk(&[Stack(0x9000, vec![0xdead])], Registers { rip: LEAF, rsp: 0x9000, rbp: 0 });
        assert_eq!(frames, [sure(LEAF), guess(0xdeac), Frame::Lost]);
    }

    #[test]
    fn any_registers_and_any_stack_come_to_an_end() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut word = || match random() % 6 {
                0 => random(),
                1 | 2 => 0x9000 + random() % 33 * 8,
                _ => 0x1000 * (1 + random() % 5) + random() % 0x110,
            };
            let words = (0..32).map(|_| word()).collect();
            let registers = Registers { rip: word(), rsp: word(), rbp: word() };
            assert!(walk(&[Stack(0x9000, words)], registers).len() <= PATIENCE as usize);
        }
    }
}
