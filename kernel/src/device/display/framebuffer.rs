//! /dev/fb0: the screen for programs that draw themselves.
//!
//! Source: Linux's Documentation/fb/api.rst; what is answered is what Linux answers for a screen of true colours that
//! cannot change its resolution.

use super::canvas::{Canvas, Light};
use super::picture::{PIXEL, Picture};
use crate::device::character::{self, CharacterDevice};
use crate::error::{Error, Result};
use crate::fs::file::{File, FileOperations, OpenFlags};
use crate::fs::io::{Destination, Source};
use crate::mm::PageSource;
use crate::sync::Mutex;
use abi::errno::Errno;
use abi::fb::{self, Bitfield, ColorMap, ConsoleMap, FixInfo, VarInfo};
use abi::stat::DeviceNumber;
use alloc::{sync::Arc, vec};
use machine::mm::user;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Its number.
pub(super) const NUMBER: DeviceNumber = DeviceNumber::new(29, 0);

/// Entries of the colour map, which true colours have no use for, but programs keep.
const COLORS: u32 = 256;

/// Levels of red, green and blue.
type Colors = [[u16; COLORS as usize]; 3];

/// Removes the device file; open files say ENODEV as long as there is no screen.
pub(super) fn unregister() {
    character::unregister(NUMBER);
}

/// Makes the device file.
pub(super) fn register(canvas: &Arc<Canvas>) {
    let level = |index: usize| index as u16 * 0x101;
    let colors = [core::array::from_fn(level); 3];
    let device = Device { canvas: canvas.clone(), colors: Mutex::new("fb0-colours", colors) };
    character::register(NUMBER, "fb0", 0o660, Arc::new(DeviceFile(Arc::new(device))));
}

struct Device {
    canvas: Arc<Canvas>,
    colors: Mutex<Colors>,
}

struct DeviceFile(Arc<Device>);

impl CharacterDevice for DeviceFile {
    fn open(&self, _flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        self.0.canvas.picture()?;
        Ok(Arc::new(OpenFramebuffer(self.0.clone())))
    }
}

/// An open file of it.
struct OpenFramebuffer(Arc<Device>);

impl FileOperations for OpenFramebuffer {
    fn read(&self, _file: &File, offset: &mut u64, to: &mut Destination<'_>) -> Result<usize> {
        self.0.canvas.picture()?.read(offset, to)
    }

    fn write(&self, _file: &File, offset: &mut u64, from: &mut Source<'_>) -> Result<usize> {
        self.0.canvas.picture()?.write(offset, from)
    }

    fn map(&self, _file: &File) -> Result<Arc<dyn PageSource>> {
        Ok(self.0.canvas.picture()?)
    }

    fn ioctl(&self, _file: &File, command: u32, argument: u64) -> Result<u64> {
        let picture = self.0.canvas.picture()?;
        match command {
            fb::FBIOGET_VSCREENINFO => put(argument, &changeable(&picture))?,
            fb::FBIOPUT_VSCREENINFO => put(argument, &check(&picture, &get(argument)?)?)?,
            fb::FBIOGET_FSCREENINFO => put(argument, &self.0.fixed(&picture))?,
            fb::FBIOPAN_DISPLAY => {
                let wanted: VarInfo = get(argument)?;
                if (wanted.xoffset, wanted.yoffset) != (0, 0) {
                    return Err(Error::new(Errno::EINVAL, "the screen shows all there is"));
                }
                put(argument, &changeable(&picture))?;
            }
            fb::FBIOGETCMAP => self.0.get_colors(&get(argument)?)?,
            fb::FBIOPUTCMAP => self.0.set_colors(&get(argument)?)?,
            fb::FBIOBLANK => {
                let light = match u32::try_from(argument) {
                    Ok(fb::FB_BLANK_UNBLANK) => Light::On,
                    Ok(1..=fb::FB_BLANK_POWERDOWN) => Light::Off,
                    _ => return Err(Errno::EINVAL.into()),
                };
                self.0.canvas.set_light(light);
            }
            // What was drawn is seen when it returns.
            fb::FBIO_WAITFORVSYNC => {
                get::<u32>(argument)?;
                self.0.canvas.show_stores();
            }
            fb::FBIOGET_CON2FBMAP => {
                let mut map: ConsoleMap = get(argument)?;
                map.framebuffer = 0;
                put(argument, &map)?;
            }
            fb::FBIOPUT_CON2FBMAP => {
                if get::<ConsoleMap>(argument)?.framebuffer != 0 {
                    return Err(Error::new(Errno::ENODEV, "there is one framebuffer"));
                }
            }
            _ => return Err(Errno::ENOTTY.into()),
        }
        Ok(0)
    }
}

/// What a program could change.
fn changeable(picture: &Picture) -> VarInfo {
    let (width, height) = picture.size();
    let (width, height) = (width as u32, height as u32);
    let color = |offset| Bitfield { offset, length: 8, msb_right: 0 };
    VarInfo {
        xres: width,
        yres: height,
        xres_virtual: width,
        yres_virtual: height,
        bits_per_pixel: 8 * PIXEL as u32,
        red: color(16),
        green: color(8),
        blue: color(0),
        // Unknown, in mm.
        height: u32::MAX,
        width: u32::MAX,
        vmode: fb::FB_VMODE_NONINTERLACED,
        ..VarInfo::default()
    }
}

/// What comes of a wish: what there is, or EINVAL if that is not enough.
fn check(picture: &Picture, wanted: &VarInfo) -> Result<VarInfo> {
    let there = changeable(picture);
    let is_other = wanted.xres > there.xres
        || wanted.yres > there.yres
        || wanted.xres_virtual > there.xres_virtual
        || wanted.yres_virtual > there.yres_virtual
        || wanted.bits_per_pixel > there.bits_per_pixel
        || (wanted.bits_per_pixel != 0 && wanted.bits_per_pixel < 24)
        || wanted.grayscale != 0
        || wanted.nonstd != 0
        || (wanted.xoffset, wanted.yoffset) != (0, 0);
    if is_other {
        return Err(Error::new(Errno::EINVAL, "the screen cannot do that"));
    }
    let activate = wanted.activate & fb::FB_ACTIVATE_MASK;
    if activate != fb::FB_ACTIVATE_NOW && activate != fb::FB_ACTIVATE_TEST {
        return Err(Error::new(Errno::EINVAL, "it is set now or not at all"));
    }
    Ok(VarInfo { activate: wanted.activate, ..there })
}

impl Device {
    fn fixed(&self, picture: &Picture) -> FixInfo {
        let mut id = [0; 16];
        let name = self.canvas.display().name().as_bytes();
        let length = name.len().min(id.len() - 1);
        id[..length].copy_from_slice(&name[..length]);
        FixInfo {
            id,
            smem_len: picture.length() as u32,
            kind: fb::FB_TYPE_PACKED_PIXELS,
            visual: fb::FB_VISUAL_TRUECOLOR,
            line_length: picture.pitch() as u32,
            accel: fb::FB_ACCEL_NONE,
            ..FixInfo::default()
        }
    }

    fn get_colors(&self, map: &ColorMap) -> Result<()> {
        let range = range(map)?;
        let colors = *self.colors.lock();
        for (address, levels) in [map.red, map.green, map.blue].into_iter().zip(&colors) {
            user::copy_to(address, levels[range.clone()].as_bytes())?;
        }
        if map.transp != 0 {
            user::copy_to(map.transp, vec![0_u16; range.len()].as_bytes())?;
        }
        Ok(())
    }

    fn set_colors(&self, map: &ColorMap) -> Result<()> {
        let range = range(map)?;
        let mut colors = *self.colors.lock();
        for (address, levels) in [map.red, map.green, map.blue].into_iter().zip(&mut colors) {
            user::copy_from(levels[range.clone()].as_mut_bytes(), address)?;
        }
        *self.colors.lock() = colors;
        Ok(())
    }
}

/// The entries that a program means; EINVAL beyond the last.
fn range(map: &ColorMap) -> Result<core::ops::Range<usize>> {
    let end = map.start.checked_add(map.len).filter(|end| *end <= COLORS);
    let end = end.ok_or(Error::new(Errno::EINVAL, "no such colours"))?;
    Ok(map.start as usize..end as usize)
}

/// Copies a value to the program.
fn put<T: IntoBytes + Immutable>(address: u64, value: &T) -> Result<()> {
    Ok(user::copy_to(address, value.as_bytes())?)
}

/// Copies a value from the program.
fn get<T: FromZeros + FromBytes + IntoBytes>(address: u64) -> Result<T> {
    let mut value = T::new_zeroed();
    user::copy_from(value.as_mut_bytes(), address)?;
    Ok(value)
}
