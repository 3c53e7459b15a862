//! From the boot protocols (Limine, Multiboot2, PVH) to one [`BootInfo`].
//!
//! In ten lines: the assembly in `entry.s` brings the CPU to 64 bits on the boot stack and calls
//! [`boot_start`] with the protocol and an address. The serial line, the kernel's log, segments and vectors come
//! first, so that whatever goes wrong is reported. The protocol's module reads what it was given into an [`Early`]
//! (no allocator yet; addresses only). [`crate::mm`] builds the kernel's own page tables and takes over
//! the memory; then the strings are copied and the rest of the machine is set up: local APIC, clock, timer.
//! Last, the memory of the boot loader's own data is given back ([`mm::give_back_boot_memory`]), and the kernel's `main` is
//! called with the `BootInfo`, interrupts disabled.
//!
//! # Soundness
//! Until the kernel's own tables stand, memory is reached at `hhdm + physical address`, where the boot code or
//! Limine has mapped it; afterwards through the direct map. What the boot loader left there is not used for
//! anything else, since its places are of kind [`MemoryKind::Kernel`] or [`MemoryKind::BootLoader`] in the map; the latter
//! are given to the allocator when nobody looks there any more: strings have been copied, ACPI's root pointer was followed.

mod limine;
mod multiboot2;
mod pvh;

use crate::addr::{PhysAddr, USER_END};
use crate::mm::{self, EarlyMemory};
use crate::sync::IrqSpinLock;
use crate::{cpu, io, time};
use alloc::{string::String, vec::Vec};
use bootinfo::memory_map::{MemoryMap, Stretch};
use core::arch::global_asm;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

global_asm!(include_str!("entry.s"));

/// What the boot loader told, in the kernel's own memory.
#[derive(Debug)]
pub struct BootInfo {
    /// Which protocol: "limine", "multiboot2" or "pvh".
    pub protocol: &'static str,
    /// The kernel's command line, as given.
    pub command_line: String,
    /// Boot modules; their bytes stay reserved.
    pub modules: Vec<Module>,
    /// ACPI's root pointer.
    pub rsdp: Option<PhysAddr>,
    /// A linear framebuffer.
    pub framebuffer: Option<Framebuffer>,
    /// The memory map, sorted, without overlaps.
    pub memory_map: Vec<MemoryRegion>,
}

/// A file that the boot loader put into memory.
#[derive(Debug, Clone)]
pub struct Module {
    /// Its name or command line.
    pub name: String,
    /// Where it lies.
    pub start: PhysAddr,
    /// Its length in bytes.
    pub length: u64,
}

impl Module {
    /// Its bytes; they are never freed and never written.
    pub fn data(&self) -> &'static [u8] {
        // SAFETY: in the direct map, of kind Kernel, so nobody else has it.
        unsafe { core::slice::from_raw_parts(mm::layout::direct(self.start), self.length as usize) }
    }
}

/// One stretch of physical memory.
#[derive(Debug, Clone, Copy)]
pub struct MemoryRegion {
    /// First byte.
    pub start: PhysAddr,
    /// Length in bytes.
    pub length: u64,
    /// What it may be used for.
    pub kind: MemoryKind,
}

/// Kinds of physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// RAM that is free to use.
    Usable,
    /// RAM that holds ACPI tables.
    AcpiReclaimable,
    /// RAM that belongs to the firmware for ever.
    AcpiNvs,
    /// RAM that holds the kernel or boot modules.
    Kernel,
    /// RAM that held what the boot loader left, until that was taken over.
    BootLoader,
    /// Anything else.
    Reserved,
}

/// A linear framebuffer with direct colours of 8 bits each. `pitch` is in bytes, shifts in bits.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Framebuffer {
    pub address: PhysAddr,
    pub width: u32,
    pub height: u32,
    pub pitch: u32,
    pub bits_per_pixel: u8,
    pub red_shift: u8,
    pub green_shift: u8,
    pub blue_shift: u8,
}

/// Most boot modules that are noted.
const MAX_MODULES: usize = 16;
/// Longest string that is taken over.
const MAX_STRING: u64 = 64 * 1024;

/// Bytes in physical memory; empty: absent.
#[derive(Clone, Copy, Default)]
struct Bytes {
    start: u64,
    length: u64,
}

/// What is known before there is an allocator: physical addresses only.
struct Early {
    protocol: &'static str,
    /// Physical address + this is readable until the kernel's own tables stand.
    hhdm: u64,
    kernel_base: u64,
    map: MemoryMap<MemoryKind, { mm::MAX_REGIONS }>,
    command_line: Bytes,
    modules: [(Bytes, Bytes); MAX_MODULES],
    module_count: usize,
    rsdp: Option<u64>,
    framebuffer: Option<Framebuffer>,
}

impl Early {
    const fn new() -> Self {
        const NONE: Bytes = Bytes { start: 0, length: 0 };
        Self {
            protocol: "",
            hhdm: mm::layout::DIRECT_MAP,
            kernel_base: KERNEL_LOAD_ADDRESS,
            map: MemoryMap::new(MemoryKind::Reserved),
            command_line: NONE,
            modules: [(NONE, NONE); MAX_MODULES],
            module_count: 0,
            rsdp: None,
            framebuffer: None,
        }
    }

    /// Physical memory, before the kernel's own tables stand.
    fn bytes(&self, start: u64, length: u64) -> &'static [u8] {
        // SAFETY: see Soundness.
        unsafe { core::slice::from_raw_parts((self.hhdm + start) as *const u8, length as usize) }
    }

    /// A string up to its zero byte.
    fn string(&self, start: u64) -> Bytes {
        if start == 0 {
            return Bytes::default();
        }
        let length = (0..MAX_STRING).find(|&at| self.bytes(start + at, 1)[0] == 0).unwrap_or(0);
        Bytes { start, length }
    }

    /// Adds a module and sets its memory aside.
    fn add_module(&mut self, data: Bytes, name: Bytes) {
        if self.module_count < MAX_MODULES && data.length > 0 {
            self.modules[self.module_count] = (data, name);
            self.module_count += 1;
        }
    }

    /// Adds a stretch of the firmware's map, by its e820 type. RAM is said first, the rest overrides it.
    fn add_memory(&mut self, start: u64, length: u64, kind: u32) {
        let kind = match kind {
            bootinfo::e820::RAM => MemoryKind::Usable,
            bootinfo::e820::ACPI => MemoryKind::AcpiReclaimable,
            bootinfo::e820::NVS => MemoryKind::AcpiNvs,
            _ => MemoryKind::Reserved,
        };
        self.map.set(start, length, kind);
    }

    /// Sets bytes aside that the boot loader left in usable memory, in whole pages.
    fn reserve(&mut self, bytes: Bytes, kind: MemoryKind) {
        if bytes.length > 0 {
            let start = bytes.start & !0xfff;
            let end = (bytes.start + bytes.length).next_multiple_of(4096);
            self.map.set(start, end - start, kind);
        }
    }

    /// Sets aside everything that must survive, and before that what must survive for a while.
    fn reserve_all(&mut self) {
        self.reserve_while_starting(self.command_line);
        for index in 0..self.module_count {
            self.reserve_while_starting(self.modules[index].1);
        }
        let image = image_range();
        let length = image.end - image.start;
        self.reserve(Bytes { start: self.kernel_base, length }, MemoryKind::Kernel);
        for index in 0..self.module_count {
            self.reserve(self.modules[index].0, MemoryKind::Kernel);
        }
    }

    /// Sets bytes aside that are read for the last time before the kernel's `main`, where the map calls them usable:
    /// elsewhere they are safe, and not to be given to anyone.
    fn reserve_while_starting(&mut self, bytes: Bytes) {
        let (start, end) = (bytes.start & !0xfff, (bytes.start + bytes.length).next_multiple_of(4096));
        let is_meant = |stretch: &Stretch<MemoryKind>| {
            stretch.kind == MemoryKind::Usable && stretch.start < end && start < stretch.end
        };
        // Each turn takes a stretch, or the part that is meant, off the usable ones.
        while bytes.length > 0
            && let Some(stretch) = self.map.stretches().iter().copied().find(is_meant)
        {
            let (start, end) = (stretch.start.max(start), stretch.end.min(end));
            self.map.set(start, end - start, MemoryKind::BootLoader);
        }
    }
}

/// Where the linker script puts the image in physical memory.
const KERNEL_LOAD_ADDRESS: u64 = 0x100_0000;

/// Physical address minus virtual address of the image, wrapping.
static IMAGE_OFFSET: AtomicU64 = AtomicU64::new(0);

/// The image in virtual addresses, with the symbol table behind it. Only while the boot loader's mapping is in use.
fn image_range() -> Range<u64> {
    unsafe extern "C" {
        static __kernel_start: u8;
        static __kernel_end: u8;
    }
    let end = &raw const __kernel_end as u64;
    &raw const __kernel_start as u64..end.max(crate::backtrace::symbols_end())
}

/// Whether an address lies in the kernel's code.
pub(crate) fn is_code(address: u64) -> bool {
    unsafe extern "C" {
        static __text_start: u8;
        static __text_end: u8;
    }
    (&raw const __text_start as u64..&raw const __text_end as u64).contains(&address)
}

/// Where the direct map shows an address of the kernel image; `None` before the kernel's own tables stand.
pub(crate) fn image_in_direct_map(address: u64) -> Option<u64> {
    match IMAGE_OFFSET.load(Ordering::Acquire) {
        0 => None,
        offset => Some(mm::layout::DIRECT_MAP + address.wrapping_add(offset)),
    }
}

/// The boot CPU's first stack, which becomes that of its idle task.
pub(crate) fn stack_range() -> Range<u64> {
    unsafe extern "C" {
        static boot_stack: u8;
        static boot_stack_top: u8;
    }
    &raw const boot_stack as u64..&raw const boot_stack_top as u64
}

/// Reports a fault of the boot loader or the machine that no code here can mend.
fn refuse(why: &str) -> ! {
    io::serial::emergency_write(b"boot: ");
    io::serial::emergency_write(why.as_bytes());
    io::serial::emergency_write(b"\r\n");
    io::power::halt()
}

/// The first Rust code; called by `entry.s` with interrupts disabled.
#[unsafe(no_mangle)]
extern "sysv64" fn boot_start(protocol: u64, info: u64) -> ! {
    unsafe extern "Rust" {
        fn kernel_early();
        fn kernel_main(boot: BootInfo) -> !;
    }
    io::serial::early_init();
    // SAFETY: `entry!` defines it with this type; it is the only definition.
    unsafe { kernel_early() };
    cpu::init_boot();
    let boot = collect(protocol, info);
    cpu::apic::init_boot();
    crate::acpi::init(boot.rsdp);
    time::init_clock();
    cpu::apic::connect_nmis();
    crate::irq::init();
    time::init_timer();
    mm::give_back_boot_memory();
    // SAFETY: `entry!` defines it with this type; it is the only definition.
    unsafe { kernel_main(boot) }
}

/// What the loader says. In a function of its own: `boot_start` never returns, and would hold the lock for ever.
fn collect(protocol: u64, info: u64) -> BootInfo {
    static EARLY: IrqSpinLock<Early> = IrqSpinLock::new("boot", Early::new());
    let early = &mut *EARLY.lock();
    match protocol {
        1 => multiboot2::collect(early, info),
        2 => pvh::collect(early, info),
        3 => limine::collect(early),
        _ => refuse("started by an unknown protocol: want Limine, Multiboot2 or PVH"),
    }
    early.reserve_all();
    take_over(early)
}

/// Gives the memory to [`crate::mm`] and copies what the boot loader left.
fn take_over(early: &Early) -> BootInfo {
    const NONE: MemoryRegion =
        MemoryRegion { start: PhysAddr::zero(), length: 0, kind: MemoryKind::Reserved };
    static REGIONS: IrqSpinLock<[MemoryRegion; mm::MAX_REGIONS]> =
        IrqSpinLock::new("boot regions", [NONE; mm::MAX_REGIONS]);
    let regions = &mut *REGIONS.lock();
    let stretches = early.map.stretches().iter().filter(|s| s.start < 1 << 52);
    let mut count = 0;
    for (region, stretch) in regions.iter_mut().zip(stretches) {
        let length = stretch.end.min(1 << 52) - stretch.start;
        *region = MemoryRegion { start: PhysAddr::new(stretch.start), length, kind: stretch.kind };
        count += 1;
    }
    let regions = &regions[..count];
    let kernel_base = PhysAddr::new(early.kernel_base);
    let offset = early.kernel_base.wrapping_sub(image_range().start);
    mm::init(&EarlyMemory { regions, hhdm: early.hhdm, kernel_base });
    IMAGE_OFFSET.store(offset, Ordering::Release);

    let text = |bytes: Bytes| {
        let mut copy = alloc::vec![0; bytes.length as usize];
        if mm::read_physical(PhysAddr::new(bytes.start), &mut copy) {
            String::from_utf8_lossy(&copy).into_owned()
        } else {
            String::new()
        }
    };
    BootInfo {
        protocol: early.protocol,
        command_line: text(early.command_line),
        modules: early.modules[..early.module_count]
            .iter()
            .map(|&(data, name)| Module {
                name: text(name),
                start: PhysAddr::new(data.start),
                length: data.length,
            })
            .collect(),
        rsdp: early.rsdp.map(PhysAddr::new),
        framebuffer: early.framebuffer,
        memory_map: regions.to_vec(),
    }
}

const _: () = assert!(USER_END < mm::layout::DIRECT_MAP);
