//! From a block of a file to a block of the disk.
//!
//! The inode holds 12 pointers to data blocks, then one each to a single, double and triple indirect block, whose
//! slots are pointers in turn ("Inode Table", i_block). A pointer of 0 is a hole, at any height. The height of an
//! indirect block is its distance to the data: slots at height 0 point to data.
//!
//! [`MapCache`] keeps the indirect block of each height that was used last, so a sequential pass reads and writes
//! each of them once. Blocks of a file are counted from 0 in units of the block size.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::attributes::FileKind;
use crate::error::Error;
use crate::geometry::{Block, Geometry, Ino, Run};
use crate::inode::{DIRECT_POINTERS, Inode};
use crate::io::BlockIo;
use crate::mount::FileSystem;
use crate::node::{Locked, NodeState};
use crate::space::{Claim, Request, length_for};

/// The number of heights: up to triple indirect.
pub(crate) const HEIGHTS: usize = 3;
/// The size of a pointer in an indirect block.
const SLOT_BYTES: usize = 4;

/// What lies at a place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// These blocks of the disk.
    Data(Run),
    /// Nothing: at least so many blocks read as zeros.
    Hole(u64),
}

/// An indirect block in memory.
pub(crate) struct Indirect {
    block: Block,
    bytes: Box<[u8]>,
    is_dirty: bool,
}

impl Indirect {
    /// One of the pointers, unchecked.
    fn slot(&self, index: usize) -> u32 {
        read_slot(&self.bytes, index)
    }

    fn set_slot(&mut self, index: usize, block: u32) {
        self.bytes[index * SLOT_BYTES..][..SLOT_BYTES].copy_from_slice(&block.to_le_bytes());
        self.is_dirty = true;
    }
}

/// One of the pointers in an indirect block, unchecked.
pub(crate) fn read_slot(bytes: &[u8], index: usize) -> u32 {
    let bytes = &bytes[index * SLOT_BYTES..][..SLOT_BYTES];
    u32::from_le_bytes(bytes.try_into().expect("the slice has the size of a slot"))
}

/// What a node remembers of its block map.
#[derive(Default)]
pub(crate) struct MapCache {
    heights: [Option<Indirect>; HEIGHTS],
    /// The block of the file allocated last, and where it lies: the next goes behind it.
    last: Option<(u64, u32)>,
}

/// The way from the inode to a block of the file.
struct Path {
    /// Which pointer of the inode.
    root: usize,
    /// How many indirect blocks lie on the way.
    depth: usize,
    /// The slot at each height below `depth`.
    slots: [usize; HEIGHTS],
}

impl Path {
    fn new(geometry: &Geometry, file_block: u64) -> Result<Self, Error> {
        if file_block < DIRECT_POINTERS as u64 {
            return Ok(Self { root: file_block as usize, depth: 0, slots: [0; HEIGHTS] });
        }
        let bits = geometry.slot_bits();
        let mut rest = file_block - DIRECT_POINTERS as u64;
        for depth in 1..=HEIGHTS {
            let span = 1u64 << (bits * depth as u32);
            if rest < span {
                let slot = |height: usize| (rest >> (bits * height as u32)) as usize & ((1 << bits) - 1);
                return Ok(Self {
                    root: DIRECT_POINTERS + depth - 1,
                    depth,
                    slots: [slot(0), slot(1), slot(2)],
                });
            }
            rest -= span;
        }
        Err(Error::FileTooLarge)
    }

    /// How many blocks of the file the subtree behind a slot at `height` covers, from this path's block on.
    fn rest_of_subtree(&self, geometry: &Geometry, height: usize) -> u64 {
        let bits = geometry.slot_bits();
        let offset: u64 = (0..height).map(|below| (self.slots[below] as u64) << (bits * below as u32)).sum();
        (1u64 << (bits * height as u32)) - offset
    }
}

impl Geometry {
    /// How many bits of a block number choose a slot of an indirect block.
    pub(crate) fn slot_bits(&self) -> u32 {
        self.block_bits - 2
    }

    /// How many pointers an indirect block holds.
    pub(crate) fn slots_per_block(&self) -> usize {
        1 << self.slot_bits()
    }
}

/// How far the walk along a path came.
enum Walk {
    /// To the pointers among which the block's own is: in the inode, or at height 0.
    Leaf,
    /// To a pointer of 0 that leads to an indirect block of this height.
    Missing(usize),
}

impl FileSystem {
    /// Where the contents of a file lie, from one of its blocks on: a run on the disk, at most `limit` blocks, or
    /// a hole, which may be longer than is said. A page cache can use this to transfer pages itself.
    pub fn map_blocks(&self, ino: Ino, file_block: u64, limit: u32) -> Result<Mapping, Error> {
        self.watch(|| {
            let node = self.node(ino)?;
            let mut locked = self.lock(&node);
            if !locked.inode.has_block_map(&self.geometry) {
                return Err(Error::InvalidArgument);
            }
            self.map(&mut locked, file_block, limit)
        })
    }

    /// Where all blocks of a file lie that no user has, in its order. It must not have holes.
    pub(crate) fn whole_map(&self, ino: Ino) -> Result<Vec<Run>, Error> {
        let mut state = NodeState::new(self.load_inode(ino)?);
        if state.inode.kind() != FileKind::Regular {
            return Err(Error::Corrupt("journal is not a file"));
        }
        let blocks = self.geometry.blocks_for(state.inode.size());
        let mut runs = Vec::new();
        let mut done = 0;
        while done < blocks {
            let limit = u32::try_from(blocks - done).unwrap_or(u32::MAX);
            let Mapping::Data(run) = self.map(&mut state, done, limit)? else {
                return Err(Error::Corrupt("journal has a hole"));
            };
            done += u64::from(run.length);
            runs.push(run);
        }
        Ok(runs)
    }

    /// The mapping of a file from one of its blocks on. Pointers are looked at for at most `limit` blocks.
    pub(crate) fn map(&self, state: &mut NodeState, file_block: u64, limit: u32) -> Result<Mapping, Error> {
        let path = Path::new(&self.geometry, file_block)?;
        let NodeState { inode, map, .. } = state;
        if let Walk::Missing(height) = self.walk(inode, map, &path)? {
            return Ok(Mapping::Hole(path.rest_of_subtree(&self.geometry, height + 1)));
        }
        let leaf = Leaf::new(inode, map, &path, &self.geometry);
        let first = leaf.pointer(leaf.index);
        if first == 0 {
            return Ok(Mapping::Hole(u64::from(leaf.holes(limit.max(1)))));
        }
        let follows = |&step: &u32| first.checked_add(step) == Some(leaf.pointer(leaf.index + step as usize));
        let length = (1..limit.min(leaf.rest())).take_while(follows).count() as u32 + 1;
        self.geometry.data_run(Run { start: first, length }).map(Mapping::Data)
    }

    /// What allocations for the caller may take.
    pub(crate) fn free_claim(&self) -> Claim {
        let may_use_all = self.context.may_use_reserved_blocks();
        Claim::Free { reserved: if may_use_all { 0 } else { self.geometry.reserved_blocks } }
    }

    /// How many blocks a hole at `file_block` needs on the way to it: indirect blocks that are missing. None if it shares
    /// them with `neighbour`, a hole before it that has been counted already.
    pub(crate) fn missing_on_way(
        &self,
        state: &mut NodeState,
        file_block: u64,
        neighbour: Option<u64>,
    ) -> Result<u32, Error> {
        let path = Path::new(&self.geometry, file_block)?;
        let NodeState { inode, map, .. } = state;
        let Walk::Missing(height) = self.walk(inode, map, &path)? else { return Ok(0) };
        let shares = |other: &Path| other.root == path.root && other.slots[1..] == path.slots[1..];
        match neighbour.map(|block| Path::new(&self.geometry, block)).transpose()? {
            Some(other) if shares(&other) => Ok(0),
            _ => Ok(height as u32 + 1),
        }
    }

    /// Gives a hole at `file_block` 1 to `limit` contiguous blocks. `fill` writes to them before the file has them; the
    /// caller sees to it, if it does not.
    pub(crate) fn allocate(
        &self,
        locked: &mut Locked<'_>,
        file_block: u64,
        limit: u32,
        claim: Claim,
        fill: &mut dyn FnMut(Run) -> Result<(), Error>,
    ) -> Result<Run, Error> {
        if locked.is_deleted {
            return Err(Error::NotFound);
        }
        let path = Path::new(&self.geometry, file_block)?;
        let ino = locked.ino();
        locked.inode_mut();
        let state = &mut **locked;
        let missing = match self.walk(&state.inode, &mut state.map, &path)? {
            Walk::Leaf => 0,
            Walk::Missing(height) => height + 1,
        };
        if missing > 0 {
            // The caches of the missing heights are about to be replaced.
            self.write_map(&mut state.map)?;
        }
        let goal = self.goal(state, ino, &path, file_block, missing);
        let wanted = if missing > 0 {
            limit.min(path.rest_of_subtree(&self.geometry, 1) as u32)
        } else {
            Leaf::new(&state.inode, &state.map, &path, &self.geometry).holes(limit)
        };
        let ahead = length_for(state.inode.sectors() / self.geometry.sectors_per_block());
        let fresh = self.take_blocks(state, Request { owner: ino, goal, wanted, ahead }, missing, claim)?;
        if let Err(error) = fill(fresh.data) {
            self.cancel(state, &fresh)?;
            return Err(error);
        }
        self.attach(state, &path, &fresh, missing);
        state.map.last = Some((file_block + u64::from(fresh.data.length) - 1, fresh.data.end() - 1));
        Ok(fresh.data)
    }

    /// Follows the path as far as it exists; the indirect blocks on it are then in the cache.
    fn walk(&self, inode: &Inode, map: &mut MapCache, path: &Path) -> Result<Walk, Error> {
        let mut pointer = inode.pointer(path.root);
        for height in (0..path.depth).rev() {
            if pointer == 0 {
                return Ok(Walk::Missing(height));
            }
            let block = self.geometry.data_block(pointer)?;
            pointer = self.load_indirect(map, height, block)?.slot(path.slots[height]);
        }
        Ok(Walk::Leaf)
    }

    fn load_indirect<'a>(
        &self,
        map: &'a mut MapCache,
        height: usize,
        block: Block,
    ) -> Result<&'a Indirect, Error> {
        let cached = &mut map.heights[height];
        if cached.as_ref().is_none_or(|indirect| indirect.block != block) {
            if let Some(old) = cached {
                self.write_indirect(old)?;
            }
            // Reuse the memory of the block that leaves.
            let mut bytes = match cached.take() {
                Some(old) => old.bytes,
                None => vec![0; self.geometry.block_size()].into_boxed_slice(),
            };
            self.io.read(self.geometry.offset(block.0), &mut bytes)?;
            *cached = Some(Indirect { block, bytes, is_dirty: false });
        }
        Ok(cached.as_ref().expect("present or just read"))
    }

    fn write_indirect(&self, indirect: &mut Indirect) -> Result<(), Error> {
        if indirect.is_dirty {
            self.io.write(self.geometry.offset(indirect.block.0), &indirect.bytes)?;
            indirect.is_dirty = false;
        }
        Ok(())
    }

    /// Writes the cached indirect blocks that changed, those next to the data first.
    pub(crate) fn write_map(&self, map: &mut MapCache) -> Result<(), Error> {
        map.heights.iter_mut().flatten().try_for_each(|indirect| self.write_indirect(indirect))
    }

    /// Where the block would lie best: behind the file's previous block.
    fn goal(&self, state: &NodeState, ino: Ino, path: &Path, file_block: u64, missing: usize) -> u32 {
        if let Some((last_file_block, last_block)) = state.map.last
            && last_file_block + 1 == file_block
        {
            return last_block.saturating_add(1);
        }
        if missing == 0 {
            let leaf = Leaf::new(&state.inode, &state.map, path, &self.geometry);
            if let Some(before) = leaf.nearest_before() {
                return before.saturating_add(1);
            }
            if let Some(indirect) = leaf.indirect {
                return indirect.block.0.saturating_add(1);
            }
        }
        self.geometry.group_start(self.geometry.inode_group(ino).0)
    }

    /// Takes `missing` single blocks for pointers and then those of the request for data; all, or none.
    fn take_blocks(
        &self,
        state: &mut NodeState,
        request: Request,
        missing: usize,
        claim: Claim,
    ) -> Result<Fresh, Error> {
        let mut space = self.space.lock();
        let mut take = |goal, wanted| {
            let request = Request { goal, wanted, ..request };
            space.allocate_blocks(&self.io, &self.geometry, request, claim)
        };
        let mut pointers = [None; HEIGHTS];
        let mut next = request.goal;
        let mut result = Ok(());
        for pointer in &mut pointers[..missing] {
            match take(next, 1) {
                Ok(run) => {
                    *pointer = Some(run);
                    next = run.end();
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let data = result.and_then(|()| take(next, request.wanted)).and_then(|run| {
            let sectors = (missing as u32 + run.length).checked_mul(self.geometry.sectors_per_block());
            match sectors.and_then(|sectors| state.inode.sectors().checked_add(sectors)) {
                Some(sectors) => {
                    state.inode.set_sectors(sectors);
                    Ok(run)
                }
                None => space.cancel_blocks(&self.io, &self.geometry, run).and(Err(Error::FileTooLarge)),
            }
        });
        if data.is_err() {
            for run in pointers.into_iter().flatten() {
                space.cancel_blocks(&self.io, &self.geometry, run)?;
            }
        }
        Ok(Fresh { pointers, data: data? })
    }

    /// Gives back blocks that are not to be attached.
    fn cancel(&self, state: &mut NodeState, fresh: &Fresh) -> Result<(), Error> {
        let mut space = self.space.lock();
        for run in fresh.pointers.into_iter().flatten().chain([fresh.data]) {
            space.cancel_blocks(&self.io, &self.geometry, run)?;
            let sectors = run.length * self.geometry.sectors_per_block();
            state.inode.set_sectors(state.inode.sectors().saturating_sub(sectors));
        }
        Ok(())
    }

    /// Hangs new blocks into the map.
    fn attach(&self, state: &mut NodeState, path: &Path, fresh: &Fresh, missing: usize) {
        let heights = &mut state.map.heights;
        // The new indirect blocks, the highest first; each gets the pointer to the next below.
        for (position, run) in fresh.pointers[..missing].iter().flatten().enumerate() {
            let bytes = vec![0; self.geometry.block_size()].into_boxed_slice();
            heights[missing - 1 - position] =
                Some(Indirect { block: Block(run.start), bytes, is_dirty: true });
        }
        let mut set = |height: usize, slot: usize, block: u32| {
            if height == path.depth {
                state.inode.set_pointer(path.root + slot, block);
            } else {
                heights[height].as_mut().expect("the walk loaded it").set_slot(slot, block);
            }
        };
        for (position, run) in fresh.pointers[..missing].iter().flatten().enumerate() {
            let above = missing - position;
            let slot = if above == path.depth { 0 } else { path.slots[above] };
            set(above, slot, run.start);
        }
        let first = if path.depth == 0 { 0 } else { path.slots[0] };
        for step in 0..fresh.data.length {
            set(0, first + step as usize, fresh.data.start + step);
        }
    }
}

/// Blocks just taken: for pointers, the highest first, and for data.
struct Fresh {
    pointers: [Option<Run>; HEIGHTS],
    data: Run,
}

/// The pointers among which a block's own is.
struct Leaf<'a> {
    inode: &'a Inode,
    /// The indirect block at height 0; without it, the direct pointers.
    indirect: Option<&'a Indirect>,
    /// The block's own pointer.
    index: usize,
    count: usize,
}

impl<'a> Leaf<'a> {
    /// The path has been walked to its end.
    fn new(inode: &'a Inode, map: &'a MapCache, path: &Path, geometry: &Geometry) -> Self {
        if path.depth == 0 {
            Self { inode, indirect: None, index: path.root, count: DIRECT_POINTERS }
        } else {
            let indirect = map.heights[0].as_ref();
            Self { inode, indirect, index: path.slots[0], count: geometry.slots_per_block() }
        }
    }

    fn pointer(&self, index: usize) -> u32 {
        self.indirect.map_or_else(|| self.inode.pointer(index), |indirect| indirect.slot(index))
    }

    /// How many pointers there are from the block's own on.
    fn rest(&self) -> u32 {
        (self.count - self.index) as u32
    }

    /// How many pointers from the block's own on are 0, at most `limit`.
    fn holes(&self, limit: u32) -> u32 {
        let end = self.index + limit.min(self.rest()) as usize;
        (self.index..end).take_while(|&index| self.pointer(index) == 0).count() as u32
    }

    /// The pointer that is nearest before the block's own and not 0.
    fn nearest_before(&self) -> Option<u32> {
        (0..self.index).rev().map(|index| self.pointer(index)).find(|&pointer| pointer != 0)
    }
}
