//! The framebuffer that the boot loader set up.

use super::Display;
use machine::boot;
use machine::io::framebuffer::Framebuffer;

pub(super) struct BootDisplay(Framebuffer);

impl BootDisplay {
    pub(super) fn new(found: &boot::Framebuffer) -> Option<Self> {
        Framebuffer::from_boot(found).map(BootDisplay)
    }
}

impl Display for BootDisplay {
    fn name(&self) -> &'static str {
        "boot framebuffer"
    }

    fn size(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    fn write(&self, x: usize, y: usize, pixels: &[u32]) {
        self.0.write(x, y, pixels);
    }
}
