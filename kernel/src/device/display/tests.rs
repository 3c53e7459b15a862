//! Tests of the picture: what is stored is shown, in its place, once.

use super::picture::Picture;
use crate::fs::io::{Destination, Source};
use crate::mm::PageSource;
use abi::errno::Errno;
use alloc::{vec, vec::Vec};
use test_macro::kernel_test;

/// Rows that end inside of pages.
const WIDTH: usize = 700;
const HEIGHT: usize = 13;

fn picture() -> Picture {
    Picture::new(WIDTH, HEIGHT).expect("there is memory")
}

/// What a screen shows of the changes: pixels that were not shown stay `None`.
fn shown(picture: &Picture) -> Vec<Option<u32>> {
    let mut screen = vec![None; WIDTH * HEIGHT];
    picture.take_changes(|x, y, pixels| {
        assert!(x + pixels.len() <= WIDTH && y < HEIGHT, "{} pixels at {x},{y}", pixels.len());
        for (index, &pixel) in pixels.iter().enumerate() {
            screen[y * WIDTH + x + index] = Some(pixel);
        }
    });
    screen
}

fn write(picture: &Picture, offset: usize, bytes: &[u8]) -> Result<usize, Errno> {
    picture.write(&mut (offset as u64), &mut Source::kernel(bytes)).map_err(|error| error.errno)
}

#[kernel_test]
fn what_is_written_is_shown_once_where_it_belongs() {
    let picture = picture();
    let pixels: Vec<u32> = (0..1500).collect();
    let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
    let first = 2 * WIDTH + 650;
    assert_eq!(write(&picture, first * 4, &bytes), Ok(6000));
    let screen = shown(&picture);
    for (index, pixel) in pixels.iter().enumerate() {
        assert_eq!(screen[first + index], Some(*pixel), "pixel {index}");
    }
    assert_eq!(screen[0], None, "the first page did not change");
    assert!(shown(&picture).iter().all(Option::is_none), "nothing changed since");
}

#[kernel_test]
fn a_page_that_a_program_may_store_to_is_shown() {
    let picture = picture();
    picture.page(3).expect("there are more").write(8, &0x12_3456_u32.to_le_bytes());
    assert!(shown(&picture).iter().all(Option::is_none));
    picture.prepare_store(3).expect("it is inside");
    assert_eq!(shown(&picture)[3 * 1024 + 2], Some(0x12_3456));
    assert!(picture.page(1_000_000).is_err() && picture.page(u64::MAX).is_err());
    picture.mark_dirty(u64::MAX);
    picture.mark_all();
    assert!(shown(&picture).iter().all(Option::is_some));
}

#[kernel_test]
fn what_the_console_draws_is_read_and_not_shown_again() {
    let picture = picture();
    picture.put(WIDTH - 2, 5, &[7, 8, 9]);
    picture.put(WIDTH, 0, &[1]);
    picture.put(0, HEIGHT, &[1]);
    assert!(shown(&picture).iter().all(Option::is_none));
    let mut bytes = [0; 16];
    let mut offset = ((5 * WIDTH + WIDTH - 2) * 4) as u64;
    let moved = picture.read(&mut offset, &mut Destination::kernel(&mut bytes));
    assert_eq!(moved.ok(), Some(16));
    assert_eq!(bytes, [7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[kernel_test]
fn nothing_goes_beyond_the_last_pixel() {
    let picture = picture();
    let end = WIDTH * HEIGHT * 4;
    assert_eq!(write(&picture, end - 4, &[1; 8]), Ok(4));
    assert_eq!(write(&picture, end, &[1]), Err(Errno::ENOSPC));
    assert_eq!(write(&picture, end + 1, &[1]), Err(Errno::EFBIG));
    assert_eq!(write(&picture, usize::MAX, &[1]), Err(Errno::EFBIG));
    let mut offset = end as u64 - 3;
    let mut bytes = [0; 8];
    assert_eq!(picture.read(&mut offset, &mut Destination::kernel(&mut bytes)).ok(), Some(3));
    assert_eq!(picture.read(&mut offset, &mut Destination::kernel(&mut bytes)).ok(), Some(0));
    assert!(Picture::new(usize::MAX, 2).is_err() && Picture::new(1 << 40, 1 << 10).is_err());
}
