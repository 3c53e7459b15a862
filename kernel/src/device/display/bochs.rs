//! The standard VGA of QEMU and Bochs, driven by its own "DISPI" registers: any resolution, 32 bits a pixel.
//!
//! Source: QEMU, docs/specs/standard-vga.rst; the register numbers are those of the Bochs VBE extensions.

use super::Display;
use crate::device::bus::{Driver, InService, Kept};
use crate::device::pci::{PciDevice, PciFunction};
use crate::error::{Error, Result};
use abi::errno::Errno;
use alloc::{boxed::Box, sync::Arc};
use machine::cpu;
use machine::io::framebuffer::{Framebuffer, PixelFormat};
use machine::mm::Mmio;

const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x1111;

/// Base address registers: pixels, registers.
const PIXELS: usize = 0;
const REGISTERS: usize = 2;

/// Offsets in the registers: those of VGA (from port 0x3c0 on), those of DISPI (16 bits each).
const VGA: usize = 0x400;
const DISPI: usize = 0x500;

/// The attribute controller of VGA, and bit 5, without which the screen stays dark.
const VGA_ATTRIBUTES: usize = 0x00;
const VGA_STATUS: usize = 0x1a;
const VGA_UNBLANK: u8 = 0x20;

/// DISPI registers.
#[derive(Clone, Copy)]
enum Register {
    Id = 0,
    Width = 1,
    Height = 2,
    BitsPerPixel = 3,
    Enable = 4,
    VirtualWidth = 6,
    XOffset = 8,
    YOffset = 9,
    /// In units of 64 KiB.
    Memory = 10,
}

const IDS: core::ops::RangeInclusive<u16> = 0xb0c0..=0xb0cf;
const ENABLED: u16 = 0x01;
const LINEAR: u16 = 0x40;

const BYTES_PER_PIXEL: usize = 4;

/// The driver.
pub(crate) struct BochsDriver;

impl Driver<PciDevice> for BochsDriver {
    fn name(&self) -> &'static str {
        "bochs-display"
    }

    fn matches(&self, device: &PciDevice) -> bool {
        let function = device.function();
        (function.vendor, function.device) == (VENDOR, DEVICE)
    }

    fn attach(&self, device: &Arc<PciDevice>) -> Result<Box<dyn InService>> {
        let function = device.claim(self.name())?;
        super::add(Arc::new(Bochs::new(function)?));
        Ok(Box::new(Kept))
    }
}

struct Bochs {
    framebuffer: Framebuffer,
    /// Claimed as long as the pixels are used.
    _function: PciFunction,
}

impl Bochs {
    fn new(function: PciFunction) -> Result<Self> {
        let unusable = |what| Error::new(Errno::ENODEV, what);
        let registers = function.map_bar(REGISTERS)?;
        if registers.len() < DISPI + 2 * (Register::Memory as usize + 1) {
            return Err(unusable("too few registers"));
        }
        if !IDS.contains(&read(&registers, Register::Id)) {
            return Err(unusable("no DISPI registers"));
        }
        let (address, length) = function.take_bar(PIXELS)?;
        let memory = usize::from(read(&registers, Register::Memory)) << 16;
        let memory = memory.min(length);
        let wanted = super::wanted();
        let pitch = wanted.width * BYTES_PER_PIXEL;
        if pitch.checked_mul(wanted.height).is_none_or(|bytes| bytes > memory) {
            return Err(unusable("its memory is too small for this resolution"));
        }
        let (Ok(width), Ok(height)) = (u16::try_from(wanted.width), u16::try_from(wanted.height)) else {
            return Err(unusable("no such resolution"));
        };

        let mode = [
            (Register::Enable, 0),
            (Register::Width, width),
            (Register::Height, height),
            (Register::BitsPerPixel, 8 * BYTES_PER_PIXEL as u16),
            (Register::VirtualWidth, width),
            (Register::XOffset, 0),
            (Register::YOffset, 0),
            (Register::Enable, ENABLED | LINEAR),
        ];
        // It moves the window at 0xa0000.
        cpu::stop_machine(|| {
            mode.into_iter().for_each(|(register, value)| write(&registers, register, value))
        });
        // Reading the status makes the next write to the attribute controller one of an index.
        registers.read::<u8>(VGA + VGA_STATUS);
        registers.write(VGA + VGA_ATTRIBUTES, VGA_UNBLANK);

        let framebuffer = Framebuffer::map(address, wanted.width, wanted.height, pitch, PixelFormat::XRGB)
            .ok_or(unusable("its memory cannot be mapped"))?;
        Ok(Self { framebuffer, _function: function })
    }
}

fn read(registers: &Mmio, register: Register) -> u16 {
    registers.read(DISPI + 2 * register as usize)
}

fn write(registers: &Mmio, register: Register, value: u16) {
    registers.write(DISPI + 2 * register as usize, value);
}

impl Display for Bochs {
    fn name(&self) -> &'static str {
        "bochs-display"
    }

    fn size(&self) -> (usize, usize) {
        (self.framebuffer.width(), self.framebuffer.height())
    }

    fn write(&self, x: usize, y: usize, pixels: &[u32]) {
        self.framebuffer.write(x, y, pixels);
    }
}
