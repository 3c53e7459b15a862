//! /dev/fb0: the ioctls of framebuffers. Source: Linux's linux/fb.h and Documentation/fb/api.rst.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32;
    FBIOGET_VSCREENINFO = 0x4600, "Get what can be changed.";
    FBIOPUT_VSCREENINFO = 0x4601, "Change it.";
    FBIOGET_FSCREENINFO = 0x4602, "Get what cannot be changed.";
    FBIOGETCMAP = 0x4604, "Get the colour map.";
    FBIOPUTCMAP = 0x4605, "Set the colour map.";
    FBIOPAN_DISPLAY = 0x4606, "Show another part of the virtual screen.";
    FBIOGET_CON2FBMAP = 0x460f, "Which framebuffer shows a console?";
    FBIOPUT_CON2FBMAP = 0x4610, "Which framebuffer shows a console.";
    FBIOBLANK = 0x4611, "Make the screen dark, or light again.";
    FBIO_WAITFORVSYNC = 0x4004_4620, "Wait until the beam returns.";
    FB_TYPE_PACKED_PIXELS = 0, "`FixInfo::type`: pixels stand one after another.";
    FB_VISUAL_TRUECOLOR = 2, "`FixInfo::visual`: red, green and blue stand in the pixel.";
    FB_ACCEL_NONE = 0, "`FixInfo::accel`: there is none.";
    FB_ACTIVATE_MASK = 15, "`VarInfo::activate`: when to set it.";
    FB_ACTIVATE_NOW = 0, "`VarInfo::activate`: now.";
    FB_ACTIVATE_TEST = 2, "`VarInfo::activate`: not at all, only round the values.";
    FB_VMODE_NONINTERLACED = 0, "`VarInfo::vmode`: line after line.";
    FB_BLANK_UNBLANK = 0, "`FBIOBLANK`: light.";
    FB_BLANK_POWERDOWN = 4, "`FBIOBLANK`: dark, the highest of its levels.";
}

/// `struct fb_bitfield`: where a colour stands in a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bitfield {
    /// Its lowest bit.
    pub offset: u32,
    /// Bits.
    pub length: u32,
    /// Other than 0: the highest bit is on the right.
    pub msb_right: u32,
}

/// `struct fb_var_screeninfo`, 160 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VarInfo {
    /// Pixels of a line that are shown.
    pub xres: u32,
    /// Lines that are shown.
    pub yres: u32,
    /// Pixels of a line.
    pub xres_virtual: u32,
    /// Lines.
    pub yres_virtual: u32,
    /// The first pixel that is shown.
    pub xoffset: u32,
    /// The first line that is shown.
    pub yoffset: u32,
    /// Bits of a pixel.
    pub bits_per_pixel: u32,
    /// 0: colours; 1: grey; else a code of four characters.
    pub grayscale: u32,
    /// Where red stands.
    pub red: Bitfield,
    /// Where green stands.
    pub green: Bitfield,
    /// Where blue stands.
    pub blue: Bitfield,
    /// Where transparency stands.
    pub transp: Bitfield,
    /// Other than 0: a format of its own.
    pub nonstd: u32,
    /// `FB_ACTIVATE_*`.
    pub activate: u32,
    /// In mm.
    pub height: u32,
    /// In mm.
    pub width: u32,
    /// Not used any more.
    pub accel_flags: u32,
    /// Length of a pixel in ps.
    pub pixclock: u32,
    /// Pixels from synchronisation to picture.
    pub left_margin: u32,
    /// Pixels from picture to synchronisation.
    pub right_margin: u32,
    /// Lines from synchronisation to picture.
    pub upper_margin: u32,
    /// Lines from picture to synchronisation.
    pub lower_margin: u32,
    /// Pixels of horizontal synchronisation.
    pub hsync_len: u32,
    /// Lines of vertical synchronisation.
    pub vsync_len: u32,
    /// `FB_SYNC_*`.
    pub sync: u32,
    /// `FB_VMODE_*`.
    pub vmode: u32,
    /// Quarter turns counterclockwise.
    pub rotate: u32,
    /// Colour space of codes of four characters.
    pub colorspace: u32,
    /// 0.
    pub reserved: [u32; 4],
}

/// `struct fb_fix_screeninfo`, 80 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FixInfo {
    /// Name.
    pub id: [u8; 16],
    /// Physical address of the memory; 0: it has none.
    pub smem_start: u64,
    /// Bytes of memory.
    pub smem_len: u32,
    /// `FB_TYPE_*`.
    pub kind: u32,
    /// Interleave of planes.
    pub type_aux: u32,
    /// `FB_VISUAL_*`.
    pub visual: u32,
    /// Steps of panning; 0: none.
    pub xpanstep: u16,
    /// Steps of panning; 0: none.
    pub ypanstep: u16,
    /// Steps of wrapping around; 0: none.
    pub ywrapstep: u16,
    /// Padding.
    pub pad: u16,
    /// Bytes of a line.
    pub line_length: u32,
    /// Padding.
    pub pad2: u32,
    /// Physical address of registers.
    pub mmio_start: u64,
    /// Bytes of registers.
    pub mmio_len: u32,
    /// `FB_ACCEL_*`.
    pub accel: u32,
    /// `FB_CAP_*`.
    pub capabilities: u16,
    /// 0.
    pub reserved: [u16; 2],
    /// Padding.
    pub pad3: u16,
}

/// `struct fb_cmap`: a part of a colour map; the addresses are of `u16` each, that of transparency may be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ColorMap {
    /// The first entry.
    pub start: u32,
    /// How many.
    pub len: u32,
    /// Address of the reds.
    pub red: u64,
    /// Address of the greens.
    pub green: u64,
    /// Address of the blues.
    pub blue: u64,
    /// Address of the transparencies.
    pub transp: u64,
}

/// `struct fb_con2fbmap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConsoleMap {
    /// Console, from 1.
    pub console: u32,
    /// Framebuffer, from 0.
    pub framebuffer: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_match_linux() {
        let sizes =
            [size_of::<VarInfo>(), size_of::<FixInfo>(), size_of::<ColorMap>(), size_of::<ConsoleMap>()];
        assert_eq!(sizes, [160, 80, 40, 8]);
        assert_eq!(core::mem::offset_of!(FixInfo, line_length), 48);
        assert_eq!(core::mem::offset_of!(FixInfo, mmio_start), 56);
        assert_eq!(core::mem::offset_of!(VarInfo, pixclock), 100);
    }
}
