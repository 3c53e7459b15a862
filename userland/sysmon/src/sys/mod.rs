//! What no library makes safe: the memory of the framebuffer, and the ioctls of framebuffer and console.
//!
//! # Soundness
//!
//! The mapping lives as long as the [`Framebuffer`] and is written through bounds checks. The ioctls get structures of
//! the sizes that Linux documents, owned by the caller for the time of the call.
#![allow(unsafe_code, reason = "the layer that makes the ioctls and the mapping safe for the program")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::ptr::null_mut;

use rustix::io::Errno;
use rustix::ioctl::{self, IntegerSetter, Opcode, Updater};
use rustix::mm::{self, MapFlags, ProtFlags};

const FBIOGET_VSCREENINFO: Opcode = 0x4600;
const FBIOGET_FSCREENINFO: Opcode = 0x4602;
const KDSETMODE: Opcode = 0x4b3a;

/// `struct fb_var_screeninfo` as words: resolution, virtual resolution, offset, bits of a pixel, ...; each colour has
/// an offset and a length.
type VarInfo = [u32; 40];
/// `struct fb_fix_screeninfo` as words; the length of the memory is the seventh, that of a line the thirteenth.
type FixInfo = [u32; 20];

/// Who draws on a console.
#[derive(Clone, Copy)]
pub(crate) enum Drawing {
    /// The console its text.
    Text = 0,
    /// A program.
    Graphics = 1,
}

/// Says who draws on the console that `terminal` is.
///
/// # Errors
/// It is no console, or somebody else's.
pub(crate) fn set_drawing(terminal: impl AsFd, drawing: Drawing) -> Result<(), Errno> {
    // SAFETY: KDSETMODE takes a number.
    let request = unsafe { IntegerSetter::<KDSETMODE>::new_usize(drawing as usize) };
    // SAFETY: as above.
    unsafe { ioctl::ioctl(terminal, request) }
}

/// The memory of a screen with 32 bits a pixel, 0xRRGGBB.
pub(crate) struct Framebuffer {
    address: *mut c_void,
    length: usize,
    width: usize,
    height: usize,
    pitch: usize,
}

impl Framebuffer {
    /// Maps a framebuffer.
    ///
    /// # Errors
    /// It cannot be opened, is of another kind, or says what cannot be.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let (mut variable, mut fixed): (VarInfo, FixInfo) = ([0; 40], [0; 20]);
        // SAFETY: the kernel writes 160 bytes, the size of the array.
        let request = unsafe { Updater::<FBIOGET_VSCREENINFO, VarInfo>::new(&mut variable) };
        // SAFETY: as above.
        unsafe { ioctl::ioctl(&file, request) }?;
        // SAFETY: the kernel writes 80 bytes, the size of the array.
        let request = unsafe { Updater::<FBIOGET_FSCREENINFO, FixInfo>::new(&mut fixed) };
        // SAFETY: as above.
        unsafe { ioctl::ioctl(&file, request) }?;
        let [width, height, .., bits] = variable[..7] else { unreachable!("seven words") };
        let offsets = [variable[8], variable[11], variable[14]];
        let (width, height, pitch) = (width as usize, height as usize, fixed[12] as usize);
        let length = fixed[6] as usize;
        let is_usable = bits == 32
            && offsets == [16, 8, 0]
            && width > 0
            && pitch >= width * 4
            && pitch.checked_mul(height).is_some_and(|bytes| bytes <= length);
        if !is_usable {
            return Err(io::Error::other(format!("{bits} bits a pixel, or in an unknown order")));
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new range, wherever there is room.
        let address = unsafe { mm::mmap(null_mut(), length, protection, MapFlags::SHARED, &file, 0) }?;
        Ok(Self { address, length, width, height, pitch })
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Writes the first pixels of a row.
    ///
    /// # Panics
    /// If there is no such row, or it is shorter.
    pub(crate) fn write(&mut self, y: usize, pixels: &[u32]) {
        assert!(y < self.height && pixels.len() <= self.width, "{} pixels in row {y}", pixels.len());
        let start = y * self.pitch;
        assert!(start + pixels.len() * 4 <= self.length, "row {y} is outside of the mapping");
        let row = self.address.wrapping_byte_add(start).cast::<u32>();
        // SAFETY: inside of the mapping, which nobody borrows; rows begin at multiples of four bytes or are copied by bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(pixels.as_ptr().cast::<u8>(), row.cast::<u8>(), pixels.len() * 4)
        };
    }
}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping any more.
        let outcome = unsafe { mm::munmap(self.address, self.length) };
        outcome.expect("it was mapped");
    }
}
