//! Frames, heap, page tables.

use crate::monitor::arguments::{Arguments, Failure, Outcome, invalid};
use crate::monitor::command::Context;
use crate::process::tree;
use core::fmt::Write;
use machine::addr::{PAGE_SIZE, VirtAddr};
use machine::mm::{self, Frame, PageFlags, UserPageTable, WalkStep};

/// Shows how memory is used.
pub(in crate::monitor) fn memory(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let statistics = mm::statistics();
    let out = &mut context.out;
    for (name, frames) in [
        ("total", statistics.total),
        ("free", statistics.free),
        ("programs and files", statistics.program),
        ("page tables", statistics.page_tables),
        ("kernel heap", statistics.kernel_heap),
        ("kernel, large objects", statistics.kernel_virtual),
        ("kernel stacks", statistics.kernel_stacks),
        ("devices", statistics.device),
        ("lent to the host", statistics.lent),
    ] {
        writeln!(out, "{name:22} {frames:>8} frames {:>10} KiB", frames * PAGE_SIZE / 1024)?;
    }
    for zone in mm::zones() {
        write!(out, "free blocks of {:6}", zone.name)?;
        for (order, count) in zone.free_blocks.iter().enumerate().filter(|(_, count)| **count > 0) {
            write!(out, " {count}*{}", 1_u64 << order)?;
        }
        writeln!(out)?;
    }
    let limits = mm::watermarks();
    writeln!(out, "reclaim begins below {} free frames, {} are kept for the worst", limits.low, limits.min)?;
    Ok(())
}

/// Shows the size classes of the kernel heap.
pub(in crate::monitor) fn slab(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    arguments.end()?;
    let out = &mut context.out;
    writeln!(
        out,
        "{:17} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "CLASS", "BYTES", "IN USE", "AT HAND", "ALL", "SLABS"
    )?;
    for class in mm::slab_statistics() {
        let all = class.slabs * class.objects_per_slab;
        let (name, size, slabs) = (class.name, class.object_size, class.slabs);
        writeln!(out, "{name:17} {size:>8} {:>8} {:>8} {all:>8} {slabs:>8}", class.in_use, class.at_hand)?;
    }
    Ok(())
}

/// Tries the page tables out, or shows the way to what is at an address.
pub(in crate::monitor) fn page_table(context: &mut Context<'_>, arguments: &mut Arguments<'_>) -> Outcome {
    let address = arguments.optional();
    let pid = arguments.optional_number::<i32>("process")?;
    arguments.end()?;
    let Some(word) = address else { return try_out(context) };
    let number = crate::monitor::arguments::parse_number(word);
    let number = number.map_err(|why| invalid("address", word, why))?;
    let address = VirtAddr::try_new(number)
        .map_err(|_| invalid("address", word, "bits 48 to 63 are not all the same"))?;
    let out = &mut context.out;
    let mut outcome = Ok(());
    let mut show = |step: WalkStep| outcome = outcome.and_then(|()| writeln!(out, "{step}"));
    match pid {
        None => mm::visit_kernel_walk(address, &mut show),
        Some(pid) => {
            let process = tree::find(pid).ok_or(Failure::Refused("there is no such process"))?;
            let space = process.try_address_space().ok_or(Failure::Refused("the process has ended"))?;
            space.visit_walk(address, &mut show);
        }
    }
    outcome?;
    writeln!(context.out, "{number:#x} is {}", mm::describe(number))?;
    Ok(())
}

/// Makes an address space, maps, protects and unmaps pages in it, and shows what the tables say after each step.
fn try_out(context: &mut Context<'_>) -> Outcome {
    let no_memory = |_| Failure::Refused("out of memory");
    let out = &mut context.out;
    let mut table = UserPageTable::new().map_err(no_memory)?;
    let pages = [0x40_0000, 0x7fff_ffff_e000].map(VirtAddr::new);
    for (page, flags) in
        pages.into_iter().zip([PageFlags::READ | PageFlags::WRITE, PageFlags::READ | PageFlags::EXECUTE])
    {
        let frame = Frame::allocate_zeroed().map_err(no_memory)?;
        let physical = frame.address();
        table.map(page, frame, flags).map_err(|_| Failure::Refused("a page cannot be mapped"))?;
        writeln!(out, "mapped {page:?} to {physical:?}: {:?}", table.state(page))?;
    }
    writeln!(out, "resident: {} pages, {} tables", table.resident_pages(), table.table_count())?;
    let [first, second] = pages;
    let page = PAGE_SIZE as u64;
    table.protect(first..first + page, PageFlags::READ);
    writeln!(out, "protected {first:?}: {:?}", table.state(first))?;
    table.unmap(second..second + page, &mut |_, _| {});
    writeln!(out, "unmapped {second:?}: {:?}", table.state(second))?;
    writeln!(out, "resident: {} pages, {} tables", table.resident_pages(), table.table_count())?;
    table.unmap(first..first + page, &mut |_, _| {});
    writeln!(out, "empty: {} pages, {} tables", table.resident_pages(), table.table_count())?;
    Ok(())
}
