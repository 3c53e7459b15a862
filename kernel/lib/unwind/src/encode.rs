//! Writes a [`Table`](crate::Table).

use crate::program::{Operation, State, write};
use crate::table::BLOCK;
use crate::{Base, Row};

/// The rows of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Address of its first byte.
    pub start: u64,
    /// Address behind its last byte.
    pub end: u64,
    /// Where a row begins to hold, and the row: ascending, the first at `start`.
    pub rows: Vec<(u64, Row)>,
}

impl Function {
    /// The row at an address of the function.
    pub fn row(&self, address: u64) -> Row {
        let row = self.rows.iter().rfind(|row| row.0 <= address).expect("an address inside the function");
        row.1
    }
}

/// What the tables say of a row, see `State::after`: RBP cannot be saved below the stack pointer.
pub fn normalized(mut row: Row) -> Row {
    if row.base == Base::Stack && row.saved > row.offset {
        row.saved = 0;
    }
    row
}

/// Writes the table of `functions`, in any order. Of two with the same start the first stays, and one
/// that overlaps the function before it is left out.
///
/// # Errors
/// They lie more than 4 GiB apart.
pub fn build(mut functions: Vec<Function>) -> Result<Vec<u8>, &'static str> {
    functions.sort_by_key(|function| function.start);
    functions.retain(|function| function.start < function.end);
    let mut end = 0;
    functions.retain(|function| {
        let is_clear = function.start >= end;
        end = end.max(function.end);
        is_clear
    });
    let base = functions.first().map_or(0, |function| function.start);
    let (mut blocks, mut stream) = (Vec::new(), Vec::new());
    for block in functions.chunks(BLOCK) {
        let offset = |from: u64| u32::try_from(from).map_err(|_| "more than 4 GiB of code or table");
        blocks.extend(offset(block[0].start - base)?.to_le_bytes());
        blocks.extend(offset(stream.len() as u64)?.to_le_bytes());
        let mut end = block[0].start;
        for function in block {
            let program = program(function);
            write::number(function.start - end, &mut stream);
            write::number(function.end - function.start, &mut stream);
            write::number(program.len() as u64, &mut stream);
            stream.extend(program);
            end = function.end;
        }
        // A lookup takes up to a block's functions; an empty one ends a short block.
        if block.len() < BLOCK {
            stream.extend([0; 3].repeat(BLOCK - block.len()));
        }
    }
    let mut table = Vec::new();
    table.extend(base.to_le_bytes());
    table.extend((blocks.len() as u32 / 8).to_le_bytes());
    table.extend((stream.len() as u32).to_le_bytes());
    table.extend(blocks);
    table.extend(stream);
    Ok(table)
}

/// The tokens of one function.
fn program(function: &Function) -> Vec<u8> {
    let mut tokens = Vec::new();
    let mut state = State::START;
    let mut at = function.start;
    for &(address, row) in &function.rows {
        for operation in operations(state, normalized(row)) {
            write::token(address - at, operation, &mut tokens);
            at = address;
            state = state.after(operation).expect("tried by `operations`");
        }
    }
    tokens
}

/// The cheapest operations that lead to `row`.
fn operations(from: State, row: Row) -> Vec<Operation> {
    use Operation::{Body, Offset, Pop, Push, Saved, Whole};
    let candidates = [
        vec![],
        vec![Push],
        vec![Pop],
        vec![Body],
        vec![Offset(row.offset)],
        vec![Saved(row.saved)],
        vec![Push, Saved(row.saved)],
        vec![Offset(row.offset), Saved(row.saved)],
    ];
    let leads_there = |operations: &Vec<Operation>| {
        operations.iter().try_fold(from, |state, operation| state.after(*operation)).map(|state| state.row)
            == Some(row)
    };
    candidates.into_iter().find(leads_there).unwrap_or_else(|| vec![Whole(row)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Table};

    /// A sequence of numbers that looks random (xorshift).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        fn row(&mut self, last: Row) -> Row {
            match self.below(10) {
                0..4 => Row { offset: last.offset + 1, ..last },
                4..6 => Row { offset: last.offset.saturating_sub(1), ..last },
                6 => Row { saved: self.below(9) as u32, ..last },
                7 => Row { offset: self.below(4000) as u32, ..last },
                8 => Row::ENTRY,
                _ => Row {
                    kind: [Kind::Call, Kind::Trap, Kind::End, Kind::Unknown][self.below(4) as usize],
                    base: if self.below(2) == 0 { Base::Stack } else { Base::Frame },
                    offset: self.below(1 << 20) as u32,
                    saved: self.below(1 << 20) as u32,
                },
            }
        }

        fn functions(&mut self) -> Vec<Function> {
            let mut address = 0xffff_ffff_8100_0000;
            (0..self.below(70))
                .map(|_| {
                    let start = address + self.below(3) * self.below(200);
                    let end = start + 1 + self.below(3000);
                    address = end;
                    let mut rows = vec![(start, if self.below(8) == 0 { Row::END } else { Row::ENTRY })];
                    for at in start + 1..end {
                        if self.below(40) == 0 {
                            let last = rows.last().expect("it begins with one").1;
                            rows.push((at, self.row(last)));
                        }
                    }
                    Function { start, end, rows }
                })
                .collect()
        }
    }

    #[test]
    fn a_table_says_of_every_address_what_went_into_it() {
        let mut numbers = Numbers(0x1234_5678_9abc_def1);
        for _ in 0..60 {
            let functions = numbers.functions();
            let bytes = build(functions.clone()).unwrap();
            let table = Table::parse(&bytes).unwrap();
            let mut previous_end = 0xffff_ffff_8100_0000 - 9;
            for function in &functions {
                for address in previous_end..function.start {
                    assert_eq!(table.lookup(address), None);
                }
                for address in function.start..function.end {
                    assert_eq!(table.lookup(address), Some(normalized(function.row(address))));
                }
                previous_end = function.end;
            }
            assert_eq!(table.lookup(previous_end), None);
            assert_eq!(table.lookup(0), None);
            assert_eq!(table.lookup(u64::MAX), None);
        }
    }

    #[test]
    fn usual_functions_cost_few_bytes() {
        let row = |offset, saved| Row { kind: Kind::Call, base: Base::Stack, offset, saved };
        let rows = vec![
            (0x1000, Row::ENTRY),
            (0x1001, row(2, 0)),
            (0x1003, row(3, 0)),
            (0x1004, row(4, 0)),
            (0x1008, row(24, 2)),
            (0x1123, row(4, 2)),
            (0x1124, row(3, 2)),
            (0x1126, row(2, 2)),
            (0x1127, row(1, 2)),
            (0x1128, row(24, 2)),
        ];
        let function = Function { start: 0x1000, end: 0x1200, rows };
        assert_eq!(program(&function).len(), 3 + 4 + 4 + 3 + 1);
    }

    #[test]
    fn damaged_tables_give_no_panic() {
        let mut numbers = Numbers(99);
        let functions = numbers.functions();
        let bytes = build(functions.clone()).unwrap();
        let probe = |bytes: &[u8], numbers: &mut Numbers| {
            let Ok(table) = Table::parse(bytes) else { return };
            for _ in 0..20 {
                let function = &functions[numbers.below(functions.len() as u64) as usize];
                table.lookup(function.start + numbers.below(4000));
            }
        };
        for cut in 0..bytes.len() {
            probe(&bytes[..cut], &mut numbers);
        }
        for _ in 0..5000 {
            let mut broken = bytes.clone();
            for _ in 0..1 + numbers.below(4) {
                let at = numbers.below(broken.len() as u64) as usize;
                broken[at] = numbers.below(256) as u8;
            }
            probe(&broken, &mut numbers);
        }
    }
}
