//! Where new blocks go: the strategy, behind an interface so that a better one can take its place.

use super::bitmap;
use crate::error::Error;
use crate::geometry::{Ino, Run};

/// What a file needs.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Who asks.
    pub owner: Ino,
    /// Where the block would lie best, as a rule behind the file's previous one.
    pub goal: u32,
    /// How many contiguous blocks can be used; at least 1.
    pub wanted: u32,
    /// How many blocks behind these the file is likely to want soon: others keep out of them while they can.
    pub ahead: u32,
}

/// What a strategy may look at.
pub trait FreeSpace {
    /// The number of block groups.
    fn group_count(&self) -> u32;
    /// The first block of a group.
    fn group_start(&self, group: u32) -> u32;
    /// How many blocks a group has.
    fn group_length(&self, group: u32) -> u32;
    /// How many blocks of a group are free.
    fn free_in_group(&self, group: u32) -> u32;
    /// The group of a block, and its bit in the group's bitmap.
    fn locate(&self, block: u32) -> (u32, u32);
    /// The bitmap of a group, the lowest bit first, 1 for blocks in use.
    fn bitmap(&mut self, group: u32) -> Result<&[u8], Error>;
    /// If the block lies in the window of a file other than `owner`, the end of that window.
    fn blocked_until(&self, block: u32, owner: Ino) -> Option<u32>;
    /// The part of a run before the next window of a file other than `owner`.
    fn clip(&self, run: Run, owner: Ino) -> Run;
}

/// A strategy for choosing blocks.
pub trait BlockFinder: Send + Sync {
    /// Chooses 1 to `wanted` contiguous free blocks; `None` if there are none.
    fn find(&self, space: &mut dyn FreeSpace, request: Request) -> Result<Option<Run>, Error>;
}

/// The standard strategy: the goal itself, else the nearest place behind it where 8 blocks are free (a byte of the
/// bitmap), else any free block of the group, else the same in the following groups. Other files' windows are
/// respected while there is anything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct NearGoal;

/// How a scan treats the windows of other files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Windows {
    Respect,
    Ignore,
}

/// What a scan looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Byte,
    Bit,
}

impl BlockFinder for NearGoal {
    fn find(&self, space: &mut dyn FreeSpace, request: Request) -> Result<Option<Run>, Error> {
        let (goal_group, goal_bit) = space.locate(request.goal);
        for windows in [Windows::Respect, Windows::Ignore] {
            if let Some(run) = at_goal(space, request, windows)? {
                return Ok(Some(run));
            }
            for step in 0..=space.group_count() {
                let group = (goal_group + step) % space.group_count();
                let from = if step == 0 { goal_bit } else { 0 };
                if space.free_in_group(group) == 0 {
                    continue;
                }
                for pattern in [Pattern::Byte, Pattern::Bit] {
                    if let Some(run) = scan(space, request, windows, pattern, group, from)? {
                        return Ok(Some(run));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn at_goal(space: &mut dyn FreeSpace, request: Request, windows: Windows) -> Result<Option<Run>, Error> {
    let (group, bit) = space.locate(request.goal);
    if space.free_in_group(group) == 0 || bitmap::is_set(space.bitmap(group)?, bit) {
        return Ok(None);
    }
    if windows == Windows::Respect && space.blocked_until(request.goal, request.owner).is_some() {
        return Ok(None);
    }
    run_from(space, request, windows, group, bit).map(Some)
}

/// Looks for a pattern in a group from a bit on.
fn scan(
    space: &mut dyn FreeSpace,
    request: Request,
    windows: Windows,
    pattern: Pattern,
    group: u32,
    mut from: u32,
) -> Result<Option<Run>, Error> {
    let (start, length) = (space.group_start(group), space.group_length(group));
    while from < length {
        let bits = space.bitmap(group)?;
        let found = match pattern {
            Pattern::Byte => bitmap::find_zero_byte(bits, from..length),
            Pattern::Bit => bitmap::find_zero(bits, from..length),
        };
        let Some(bit) = found else { return Ok(None) };
        match space.blocked_until(start + bit, request.owner) {
            Some(end) if windows == Windows::Respect => from = end - start,
            _ => return run_from(space, request, windows, group, bit).map(Some),
        }
    }
    Ok(None)
}

/// The run of free blocks from a free block on.
fn run_from(
    space: &mut dyn FreeSpace,
    request: Request,
    windows: Windows,
    group: u32,
    bit: u32,
) -> Result<Run, Error> {
    let start = space.group_start(group) + bit;
    let end = space.group_length(group).min(bit.saturating_add(request.wanted));
    let run = Run { start, length: bitmap::zero_run(space.bitmap(group)?, bit..end) };
    Ok(if windows == Windows::Respect { space.clip(run, request.owner) } else { run })
}
