//! What must not be possible, tried; and what the kernel's tables say of its sections.

use crate::mm::{Layout, Randomization};
use alloc::{format, vec::Vec};
use machine::mm::{Forbidden, attempt, describe, protections, visit_kernel_mappings};
use test_macro::kernel_test;

const IMAGE: u64 = 0xffff_ffff_8000_0000;

#[kernel_test]
fn the_cpu_protects_the_kernel_as_far_as_it_can() {
    let (available, enabled) = protections();
    assert_eq!(enabled, available, "not all that the CPU has is on");
}

#[kernel_test]
fn sections_of_the_image_have_their_permissions() {
    static CONSTANT: u64 = 1;
    static DATA: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(1);
    let text = sections_of_the_image_have_their_permissions as *const () as u64;
    let mut found = Vec::new();
    visit_kernel_mappings(&mut |page| {
        for (name, address) in
            [("text", text), ("constant", &raw const CONSTANT as u64), ("data", DATA.as_ptr() as u64)]
        {
            assert!(address >= IMAGE, "{name} is at {address:#x}");
            if page.addresses.contains(&address) {
                found.push((name, page.writable, page.executable));
            }
        }
    });
    found.sort_unstable();
    assert_eq!(found, [("constant", false, false), ("data", true, false), ("text", false, true)]);
}

#[kernel_test]
fn nothing_is_mapped_low_in_the_kernels_own_table() {
    assert!(machine::mm::is_lower_half_empty());
}

#[kernel_test(should_panic)]
fn storing_to_code_faults() {
    attempt(Forbidden::WriteText);
}

#[kernel_test(should_panic)]
fn storing_to_code_through_the_direct_map_faults() {
    attempt(Forbidden::WriteTextInDirectMap);
}

#[kernel_test(should_panic)]
fn storing_to_a_constant_faults() {
    attempt(Forbidden::WriteConstant);
}

#[kernel_test(should_panic)]
fn executing_data_faults() {
    attempt(Forbidden::ExecuteData);
}

#[kernel_test(should_panic)]
fn executing_the_direct_map_faults() {
    attempt(Forbidden::ExecuteDirectMap);
}

#[kernel_test(should_panic)]
fn reading_address_0_faults() {
    attempt(Forbidden::ReadNull);
}

#[kernel_test(should_panic)]
fn leaving_the_stack_faults() {
    attempt(Forbidden::ReadBelowStack);
}

#[kernel_test]
fn fault_reports_name_the_place() {
    let local = 0u8;
    let mut address = &raw const local as u64;
    let is_stack = |address: u64| format!("{}", describe(address)).starts_with("kernel stack");
    assert!(is_stack(address));
    while is_stack(address) {
        address -= 4096;
    }
    let owner = crate::sched::current_id();
    assert_eq!(
        format!("{}", describe(address)),
        format!("a guard page: the stack of thread {owner} overflowed")
    );
    for (address, words) in [
        (8, "a null pointer"),
        (0x7000_0000_0000, "a program's memory"),
        (0x8000_0000_0000, "no address at all"),
        (0xffff_bfff_ffff_0000, "the direct map, where there is no RAM"),
        (0xffff_c07f_ffff_f000, "the device area, where nothing is mapped"),
        (0xffff_c0ff_ffff_f000, "the stack area, where no stack is"),
        (0xffff_ffff_ffff_f000, "beside the kernel's image"),
    ] {
        assert_eq!(format!("{}", describe(address)), words, "{address:#x}");
    }
}

/// How many bits of some numbers were both 0 and 1.
fn bits_of_chance(numbers: &[u64]) -> u32 {
    numbers.iter().fold(0, |bits, number| bits | (number ^ numbers[0])).count_ones()
}

#[kernel_test]
fn addresses_are_left_to_28_bits_of_chance() {
    // A bit that is left to chance stays the same in all of them once in 2^127 runs.
    let layouts: Vec<Layout> = (0..128).map(|_| Layout::new(8 << 20, Randomization::On)).collect();
    for (name, place) in [
        ("stack", (|layout| layout.stack_top) as fn(&Layout) -> u64),
        ("mappings", |layout| layout.map_top),
        ("program", |layout| layout.program_base),
    ] {
        let places: Vec<u64> = layouts.iter().map(place).collect();
        assert!(bits_of_chance(&places) >= 28, "{name}: {} bits", bits_of_chance(&places));
    }
    let heaps: Vec<u64> = layouts.iter().map(|layout| layout.heap_gap).collect();
    assert!(bits_of_chance(&heaps) >= 13);
    for layout in &layouts {
        assert!(layout.map_top + (8 << 20) < layout.stack_top, "the stack has no room to grow");
        assert!(layout.program_base + (1 << 40) < layout.map_top, "program and mappings may meet");
    }
    let fixed = || {
        let layout = Layout::new(8 << 20, Randomization::Off);
        [layout.stack_top, layout.map_top, layout.program_base, layout.heap_gap]
    };
    assert_eq!(fixed(), fixed());
}
