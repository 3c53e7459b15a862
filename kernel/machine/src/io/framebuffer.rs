//! Pixels in memory that a screen shows.

use crate::addr::PhysAddr;
use crate::boot;
use crate::mm::Mmio;

/// How a pixel lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelFormat {
    /// Bytes of a pixel: 2, 3 or 4.
    pub bytes: usize,
    /// Where the 8 bits of red begin (5 or 6 bits in pixels of two bytes).
    pub red_shift: u8,
    /// Of green.
    pub green_shift: u8,
    /// Of blue.
    pub blue_shift: u8,
}

impl PixelFormat {
    /// Four bytes, 0xXXRRGGBB as a little-endian number.
    pub const XRGB: PixelFormat = PixelFormat { bytes: 4, red_shift: 16, green_shift: 8, blue_shift: 0 };

    /// A colour 0xRRGGBB as a pixel.
    fn encode(self, rgb: u32) -> u32 {
        let [_, red, green, blue] = rgb.to_be_bytes().map(u32::from);
        if self.bytes == 2 {
            // 5, 6 and 5 bits.
            return red >> 3 << self.red_shift
                | green >> 2 << self.green_shift
                | blue >> 3 << self.blue_shift;
        }
        red << self.red_shift | green << self.green_shift | blue << self.blue_shift
    }
}

/// A linear framebuffer.
pub struct Framebuffer {
    memory: Mmio,
    address: PhysAddr,
    width: usize,
    height: usize,
    pitch: usize,
    format: PixelFormat,
}

impl Framebuffer {
    /// Maps `height` rows of `width` pixels, `pitch` bytes from row to row. `None` if that is no framebuffer, overlaps
    /// RAM or cannot be mapped.
    pub fn map(
        address: PhysAddr,
        width: usize,
        height: usize,
        pitch: usize,
        format: PixelFormat,
    ) -> Option<Framebuffer> {
        let is_sane = matches!(format.bytes, 2..=4)
            && [format.red_shift, format.green_shift, format.blue_shift].iter().all(|shift| *shift <= 24)
            && width > 0
            && height > 0
            && width.checked_mul(format.bytes)? <= pitch;
        let length = pitch.checked_mul(height)?;
        let memory = if is_sane { Mmio::map_combining(address, length)? } else { return None };
        Some(Framebuffer { memory, address, width, height, pitch, format })
    }

    /// Maps the one that the boot protocol found.
    pub fn from_boot(found: &boot::Framebuffer) -> Option<Framebuffer> {
        let format = PixelFormat {
            bytes: usize::from(found.bits_per_pixel).div_ceil(8),
            red_shift: found.red_shift,
            green_shift: found.green_shift,
            blue_shift: found.blue_shift,
        };
        Framebuffer::map(
            found.address,
            found.width as usize,
            found.height as usize,
            found.pitch as usize,
            format,
        )
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes from row to row.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// How its pixels lie in memory.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Where it is.
    pub fn address(&self) -> PhysAddr {
        self.address
    }

    /// Writes pixels 0xRRGGBB into row `y` from column `x` on; those outside are left out.
    pub fn write(&self, x: usize, y: usize, pixels: &[u32]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let pixels = &pixels[..pixels.len().min(self.width - x)];
        let start = y * self.pitch + x * self.format.bytes;
        match self.format.bytes {
            4 if self.format == PixelFormat::XRGB => self.memory.write_all(start, pixels),
            4 => {
                for (index, &pixel) in pixels.iter().enumerate() {
                    self.memory.write(start + index * 4, self.format.encode(pixel));
                }
            }
            2 => {
                for (index, &pixel) in pixels.iter().enumerate() {
                    self.memory.write(start + index * 2, self.format.encode(pixel) as u16);
                }
            }
            _ => {
                for (index, &pixel) in pixels.iter().enumerate() {
                    let [first, second, third, _] = self.format.encode(pixel).to_le_bytes();
                    let at = start + index * 3;
                    self.memory.write(at, first);
                    self.memory.write(at + 1, second);
                    self.memory.write(at + 2, third);
                }
            }
        }
    }
}
