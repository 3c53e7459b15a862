//! The text mode of VGA (IBM VGA/XGA Technical Reference Manual): cells of a character and an attribute each.

use super::IoPorts;
use crate::addr::PhysAddr;
use crate::mm::Mmio;

/// Where the cells are, and how many bytes belong to them.
const MEMORY: u64 = 0xb_8000;
const LENGTH: usize = 0x8000;

/// The ports 0x3c0 to 0x3df: a colour display.
const PORTS: (u16, u16) = (0x3c0, 0x20);
/// Miscellaneous output, to be read; bit 0: colour addresses.
const MISCELLANEOUS: u16 = 0x0c;
/// Graphics controller: index and value.
const GRAPHICS: u16 = 0x0e;
/// Bit 0: graphics; bits 2 and 3: 3 for memory at 0xb8000.
const GRAPHICS_MODE: u8 = 0x06;
/// CRT controller: index and value.
const CRT: u16 = 0x14;
const HORIZONTAL_END: u8 = 0x01;
/// Bits 1 and 6 are the bits 8 and 9 of the vertical end.
const OVERFLOW: u8 = 0x07;
/// Bits 0 to 4: lines of a character, less one.
const MAXIMUM_SCAN_LINE: u8 = 0x09;
/// Bit 5: no cursor.
const CURSOR_START: u8 = 0x0a;
const NO_CURSOR: u8 = 1 << 5;
/// High and low byte of the first cell that is shown.
const START: [u8; 2] = [0x0c, 0x0d];
/// High and low byte of the cell with the cursor.
const CURSOR: [u8; 2] = [0x0e, 0x0f];
const VERTICAL_END: u8 = 0x12;

/// A screen in text mode.
pub struct VgaText {
    memory: Mmio,
    ports: IoPorts,
    columns: usize,
    rows: usize,
}

impl VgaText {
    /// The one that the firmware left in text mode, in colours; `None` if there is none, or its registers say something
    /// that cannot be.
    pub fn find() -> Option<VgaText> {
        let ports = IoPorts::claim(PORTS.0, PORTS.1, "vga")?;
        // Where nothing is, all bits are set.
        let has_colors = ports.read_u8(MISCELLANEOUS);
        let mode = indexed(&ports, GRAPHICS, GRAPHICS_MODE);
        if has_colors == u8::MAX || has_colors & 1 == 0 || mode & 0b1101 != 0b1100 {
            return None;
        }
        let columns = usize::from(indexed(&ports, CRT, HORIZONTAL_END)) + 1;
        let overflow = usize::from(indexed(&ports, CRT, OVERFLOW));
        let end = usize::from(indexed(&ports, CRT, VERTICAL_END));
        let lines = (end | (overflow >> 1 & 1) << 8 | (overflow >> 6 & 1) << 9) + 1;
        let rows = lines / (usize::from(indexed(&ports, CRT, MAXIMUM_SCAN_LINE) & 0x1f) + 1);
        if rows == 0 || columns * rows * 2 > LENGTH {
            return None;
        }
        let screen = VgaText { memory: Mmio::map(PhysAddr::new(MEMORY), LENGTH)?, ports, columns, rows };
        START.iter().for_each(|&register| screen.set(register, 0));
        Some(screen)
    }

    /// Cells of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Puts cells into `row` from `column` on: the character (code page 437) in the low byte, in the high one its
    /// colour, and in bits 12 to 14 the colour behind it. Those outside are left out. Any context.
    pub fn write(&self, row: usize, column: usize, cells: &[u16]) {
        if row < self.rows && column < self.columns {
            let cells = &cells[..cells.len().min(self.columns - column)];
            self.memory.write_all((row * self.columns + column) * 2, cells);
        }
    }

    /// Shows the cursor in a cell, row and column, or nowhere. One caller at a time.
    pub fn set_cursor(&self, place: Option<(usize, usize)>) {
        let shape = indexed(&self.ports, CRT, CURSOR_START) & !NO_CURSOR;
        let Some((row, column)) = place.filter(|&(row, column)| row < self.rows && column < self.columns)
        else {
            return self.set(CURSOR_START, shape | NO_CURSOR);
        };
        let bytes = ((row * self.columns + column) as u16).to_be_bytes();
        CURSOR.iter().zip(bytes).for_each(|(&register, byte)| self.set(register, byte));
        self.set(CURSOR_START, shape);
    }

    /// Sets a register of the CRT controller.
    fn set(&self, register: u8, value: u8) {
        self.ports.write_u8(CRT, register);
        self.ports.write_u8(CRT + 1, value);
    }
}

/// Reads register `register` of the controller whose index port is at `offset`.
fn indexed(ports: &IoPorts, offset: u16, register: u8) -> u8 {
    ports.write_u8(offset, register);
    ports.read_u8(offset + 1)
}
