//! The vDSO and its page, as frames that the kernel maps into programs.
//!
//! # Soundness
//! The page's frame is allocated once and never freed; the kernel reaches it through the direct map, as atomics only.

use super::keeper;
use crate::addr::PAGE_SIZE;
use crate::cpu::{current_id, msr};
use crate::mm::{Frame, OutOfMemory, layout};
use crate::sync::Once;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use timekeeping::page::{CpuNumber, SharedPage};

/// The shared object, built by `build.rs`.
static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vdso.so"));

struct Shared {
    frame: Frame,
    page: &'static SharedPage,
}

static SHARED: Once<Shared> = Once::new();

/// The page that programs see, once there is one.
pub(super) fn page() -> Option<&'static SharedPage> {
    SHARED.get().map(|shared| shared.page)
}

/// The frame of the page that programs map read-only, right before the image.
///
/// # Errors
/// The first time: no memory.
pub fn page_frame() -> Result<Frame, OutOfMemory> {
    let shared = SHARED.try_call_once(|| {
        let frame = Frame::allocate_zeroed()?;
        let place = layout::direct(frame.address()).cast::<SharedPage>();
        // SAFETY: the frame is this function's alone, a page long, and aligned to a page.
        unsafe { place.write(SharedPage::new()) };
        // SAFETY: `SHARED` keeps the frame for ever; all fields are atomic.
        let page = unsafe { &*place };
        page.set_cpu_number(cpu_number());
        keeper::publish(&page.clock);
        Ok(Shared { frame, page })
    })?;
    Ok(shared.frame.clone())
}

/// Length of the image in bytes.
pub fn image_length() -> usize {
    IMAGE.len()
}

/// A copy of page `index` of the image, filled up with zeros.
///
/// # Errors
/// No memory.
pub fn image_frame(index: usize) -> Result<Frame, OutOfMemory> {
    let frame = Frame::allocate_zeroed()?;
    let start = (index * PAGE_SIZE).min(IMAGE.len());
    frame.write(0, &IMAGE[start..(start + PAGE_SIZE).min(IMAGE.len())]);
    Ok(frame)
}

/// The instruction that tells programs the CPU's number.
fn cpu_number() -> CpuNumber {
    const RDPID: u32 = 1 << 22;
    const RDTSCP: u32 = 1 << 27;
    if __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ecx & RDPID != 0 {
        CpuNumber::Rdpid
    } else if __cpuid(0x8000_0000).eax >= 0x8000_0001 && __cpuid(0x8000_0001).edx & RDTSCP != 0 {
        CpuNumber::Rdtscp
    } else {
        CpuNumber::Kernel
    }
}

/// Lets the instruction tell the number of the CPU that runs this.
pub(super) fn init_cpu() {
    if cpu_number() != CpuNumber::Kernel {
        // SAFETY: the register exists with either instruction; it means what is written there.
        unsafe { msr::write(msr::TSC_AUX, current_id() as u64) };
    }
}
