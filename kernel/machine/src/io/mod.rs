//! What hangs on ports for ever: ACPI's events, port ranges, PCI configuration space, serial lines, VGA text, the ways to end.

pub mod acpi_events;
pub mod framebuffer;
pub mod pci_config;
pub(crate) mod port;
mod ports;
pub mod power;
pub mod serial;
mod vga_text;

pub use ports::{IoPorts, owned_ports};
pub use vga_text::VgaText;
