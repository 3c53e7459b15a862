//! From the compiler's call-frame programs to rows, with `gimli` as their interpreter.

use crate::encode::{Function, normalized};
use crate::{Base, Kind, Row, Table};
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, LittleEndian, RegisterRule, UnwindContext,
    UnwindOffset, UnwindSection, UnwindTableRow, X86_64,
};
use object::{Object, ObjectSection};

type Reader<'a> = gimli::EndianSlice<'a, LittleEndian>;

/// Where the CPU's trap frame lies below the frame address: RIP and RSP.
const TRAP_RIP: i64 = -40;
const TRAP_RSP: i64 = -16;

/// All functions that an ELF file describes in `.eh_frame` or `.debug_frame`, by address, with their rows.
///
/// # Errors
/// It is no ELF file, or its frames are malformed.
pub fn functions(file: &[u8]) -> Result<Vec<Function>, String> {
    let elf = object::File::parse(file).map_err(|error| error.to_string())?;
    let mut functions = Vec::new();
    if let Some(section) = elf.section_by_name(".eh_frame") {
        let data = section.data().map_err(|error| error.to_string())?;
        let bases = BaseAddresses::default().set_eh_frame(section.address());
        let mut frames = EhFrame::new(data, LittleEndian);
        frames.set_address_size(8);
        read(&frames, &bases, &mut functions)?;
    }
    if let Some(section) = elf.section_by_name(".debug_frame") {
        let data = section.data().map_err(|error| error.to_string())?;
        let mut frames = DebugFrame::new(data, LittleEndian);
        frames.set_address_size(8);
        read(&frames, &BaseAddresses::default(), &mut functions)?;
    }
    // Functions that the linker threw away are described at address 0.
    functions.retain(|function| function.start != 0);
    functions.sort_by_key(|function| function.start);
    functions.dedup_by_key(|function| function.start);
    Ok(functions)
}

/// Compares a table with the functions it was made from, at every address.
///
/// # Errors
/// The first difference, in words.
pub fn verify(table: &Table<'_>, functions: &[Function]) -> Result<(), String> {
    let mut end = 0;
    for function in functions.iter().filter(|function| function.start < function.end) {
        // `build` leaves out what overlaps.
        if function.start < end {
            continue;
        }
        end = function.end;
        for address in function.start..function.end {
            let (wanted, found) = (normalized(function.row(address)), table.lookup(address));
            if found != Some(wanted) {
                return Err(format!("{address:#x}: the frames say {wanted:?}, the table {found:?}"));
            }
        }
    }
    Ok(())
}

fn read<'a, S>(section: &S, bases: &BaseAddresses, functions: &mut Vec<Function>) -> Result<(), String>
where
    S: UnwindSection<Reader<'a>>,
    S::Offset: UnwindOffset<usize>,
{
    let text = |error: gimli::Error| format!("call frames: {error}");
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    while let Some(entry) = entries.next().map_err(text)? {
        let CieOrFde::Fde(partial) = entry else { continue };
        let description = partial.parse(S::cie_from_offset).map_err(text)?;
        let start = description.initial_address();
        let mut rows: Vec<(u64, Row)> = Vec::new();
        let mut table = description.rows(section, bases, &mut context).map_err(text)?;
        while let Some(row) = table.next_row().map_err(text)? {
            let (at, row) = (row.start_address(), convert(row));
            match rows.last_mut() {
                Some(last) if last.0 == at => last.1 = row,
                Some(last) if last.1 == row => {}
                _ => rows.push((at, row)),
            }
        }
        if !rows.is_empty() {
            functions.push(Function { start, end: start.wrapping_add(description.len()), rows });
        }
    }
    Ok(())
}

/// Words of 8 bytes from a distance in bytes.
fn words(bytes: i64) -> Option<u32> {
    (bytes >= 0 && bytes % 8 == 0).then(|| u32::try_from(bytes / 8).ok()).flatten()
}

fn convert(row: &UnwindTableRow<usize>) -> Row {
    try_convert(row).unwrap_or(Row::UNKNOWN)
}

fn try_convert(row: &UnwindTableRow<usize>) -> Option<Row> {
    let kind = match (row.register(X86_64::RA), row.register(X86_64::RSP)) {
        (Some(RegisterRule::Offset(-8)), None) => Kind::Call,
        (Some(RegisterRule::Offset(TRAP_RIP)), Some(RegisterRule::Offset(TRAP_RSP))) => Kind::Trap,
        (Some(RegisterRule::Undefined), _) => return Some(Row::END),
        _ => return None,
    };
    let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
    let base = match *register {
        X86_64::RSP => Base::Stack,
        X86_64::RBP => Base::Frame,
        _ => return None,
    };
    let saved = match row.register(X86_64::RBP) {
        // Nothing said means that the register is untouched.
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => 0,
        Some(RegisterRule::Offset(offset)) => words(offset.checked_neg()?)?,
        _ => return None,
    };
    Some(Row { kind, base, offset: words(*offset)?, saved })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::build;

    /// A table of a real program, this one: compared at every address of its code.
    #[test]
    fn the_table_of_this_program_says_what_its_call_frames_say() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let functions = functions(&file).unwrap();
        let code: u64 = functions.iter().map(|function| function.end - function.start).sum();
        assert!(functions.len() > 500, "only {} functions", functions.len());
        let bytes = build(functions.clone()).unwrap();
        let table = Table::parse(&bytes).unwrap();
        assert_eq!(verify(&table, &functions), Ok(()));
        assert!(bytes.len() as u64 * 100 <= code * 15, "{} bytes for {code} of code", bytes.len());
    }

    #[test]
    fn a_wrong_table_is_noticed() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut functions = functions(&file).unwrap();
        let bytes = build(functions.clone()).unwrap();
        let row = &mut functions.last_mut().unwrap().rows[0].1;
        row.offset += 1;
        assert!(verify(&Table::parse(&bytes).unwrap(), &functions).is_err());
    }
}
