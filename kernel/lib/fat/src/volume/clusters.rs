//! The clusters of a file or directory.

use crate::table::end_mark;
use crate::{Error, Item, Medium, Volume};
use alloc::vec;

/// A cluster of a chain that somebody was at: the next one is found from there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// How many come before.
    index: u32,
    /// Its number; 0: the place is nowhere.
    cluster: u32,
}

impl<M: Medium> Volume<M> {
    /// Bytes of a cluster.
    pub(super) fn cluster_bytes(&self) -> u64 {
        self.parameters.cluster_bytes()
    }

    pub(super) fn next(&mut self, cluster: u32) -> Result<Option<u32>, Error> {
        self.table.next(&self.disk, &self.parameters, cluster)
    }

    fn set(&mut self, cluster: u32, value: u32) -> Result<(), Error> {
        self.table.set(&self.disk, &self.parameters, cluster, value)
    }

    /// Goes to the cluster before which there are `index`; where the chain ends sooner, to its last one.
    fn walk(&mut self, first: u32, index: u32, from: &mut Place) -> Result<(), Error> {
        if !self.parameters.has_cluster(first) {
            return Err(Error::Corrupt("a file begins at a cluster that is not there"));
        }
        if from.cluster == 0 || from.index > index {
            *from = Place { index: 0, cluster: first };
        }
        while from.index < index {
            let Some(next) = self.next(from.cluster)? else { break };
            *from = Place { index: from.index + 1, cluster: next };
            if from.index > self.parameters.clusters {
                return Err(Error::Corrupt("a chain is a circle"));
            }
        }
        Ok(())
    }

    /// Where a file's bytes are from `offset` on: the place on the disk, and how many follow in one piece, up to `limit`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Read`].
    pub fn locate(
        &mut self,
        item: &Item,
        from: &mut Place,
        offset: u32,
        limit: u32,
    ) -> Result<(u64, u32), Error> {
        let size = self.cluster_bytes();
        let index = (u64::from(offset) / size) as u32;
        self.walk(item.cluster, index, from)?;
        if from.index != index {
            return Err(Error::Corrupt("a file's chain is shorter than its length"));
        }
        let within = u64::from(offset) % size;
        let start = self.parameters.cluster_offset(from.cluster) + within;
        let (mut length, mut last) = (size - within, *from);
        while length < u64::from(limit) {
            match self.next(last.cluster)? {
                Some(next) if next == last.cluster + 1 => {
                    last = Place { index: last.index + 1, cluster: next };
                    length += size;
                }
                _ => break,
            }
        }
        *from = last;
        Ok((start, length.min(u64::from(limit)) as u32))
    }

    /// A free cluster, which is the last of a chain from now on: of the one that ends with `last`, if there is one.
    pub(super) fn allocate(&mut self, last: Option<u32>) -> Result<u32, Error> {
        let count = self.parameters.clusters;
        let start = self.next_free - 2;
        for step in 0..count {
            let cluster = 2 + (start + step) % count;
            if self.table.value(&self.disk, &self.parameters, cluster)? != 0 {
                continue;
            }
            self.set(cluster, end_mark(self.parameters.kind))?;
            if let Some(last) = last {
                self.set(last, cluster)?;
            }
            self.free = self.free.map(|free| free.saturating_sub(1));
            self.next_free = if cluster - 1 < count { cluster + 1 } else { 2 };
            return Ok(cluster);
        }
        self.free = Some(0);
        Err(Error::Full)
    }

    /// Fills a cluster with zeros.
    pub(super) fn clear(&mut self, cluster: u32) -> Result<(), Error> {
        let zeros = vec![0; self.cluster_bytes() as usize];
        self.write(self.parameters.cluster_offset(cluster), &zeros)
    }

    /// Gives back a chain of clusters, as far as it makes sense.
    fn free_chain(&mut self, first: u32) -> Result<(), Error> {
        let mut next = Some(first);
        while let Some(cluster) = next.filter(|cluster| self.parameters.has_cluster(*cluster)) {
            let value = self.table.value(&self.disk, &self.parameters, cluster)?;
            if value == 0 {
                break;
            }
            self.set(cluster, 0)?;
            self.free = self.free.map(|free| free + 1);
            next = Some(value);
        }
        Ok(())
    }

    /// Gives back the clusters of an item that has lost its name.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn free(&mut self, item: &Item) -> Result<(), Error> {
        if item.cluster == 0 { Ok(()) } else { self.free_chain(item.cluster) }
    }

    /// Makes sure that a file has clusters for `size` bytes, whatever is in them. Its entry is the caller's to
    /// [`update`](Self::update).
    ///
    /// # Errors
    /// [`Error::Full`]: it has those that it had before. [`Error::Corrupt`], [`Error::Read`], [`Error::Write`].
    pub fn reserve(&mut self, item: &mut Item, from: &mut Place, size: u32) -> Result<(), Error> {
        let wanted = u64::from(size).div_ceil(self.cluster_bytes()) as u32;
        if wanted == 0 {
            return Ok(());
        }
        let mut last = None;
        if item.cluster != 0 {
            self.walk(item.cluster, wanted - 1, from)?;
            if from.index == wanted - 1 {
                return Ok(());
            }
            last = Some(from.cluster);
        }
        let have = if last.is_some() { from.index + 1 } else { 0 };
        let (mut first, mut end) = (None, last);
        for _ in have..wanted {
            match self.allocate(end) {
                Ok(cluster) => {
                    first.get_or_insert(cluster);
                    end = Some(cluster);
                }
                Err(error) => {
                    if let Some(first) = first {
                        self.free_chain(first)?;
                    }
                    if let Some(last) = last {
                        self.set(last, end_mark(self.parameters.kind))?;
                    }
                    return Err(error);
                }
            }
        }
        if let (0, Some(first)) = (item.cluster, first) {
            item.cluster = first;
        }
        Ok(())
    }

    /// Gives back the clusters that a file does not need for `size` bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Read`], [`Error::Write`].
    pub fn shrink(&mut self, item: &mut Item, size: u32) -> Result<(), Error> {
        let kept = u64::from(size).div_ceil(self.cluster_bytes()) as u32;
        if item.cluster == 0 {
            return Ok(());
        }
        if kept == 0 {
            let first = core::mem::take(&mut item.cluster);
            return self.free_chain(first);
        }
        let mut last = Place::default();
        self.walk(item.cluster, kept - 1, &mut last)?;
        if let Some(next) = self.next(last.cluster)? {
            self.set(last.cluster, end_mark(self.parameters.kind))?;
            self.free_chain(next)?;
        }
        Ok(())
    }
}
