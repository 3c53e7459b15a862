//! Tab stops.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

const EVERY: usize = 8;

/// The columns where a tab ends.
#[derive(Clone, Debug)]
pub(crate) struct Tabs(Vec<bool>);

impl Tabs {
    /// A stop in every eighth column.
    pub(crate) fn new(columns: usize) -> Result<Tabs, TryReserveError> {
        let mut tabs = Tabs(Vec::new());
        tabs.resize(columns)?;
        Ok(tabs)
    }

    /// A stop in every eighth column.
    pub(crate) fn reset(&mut self) {
        self.0.iter_mut().enumerate().for_each(|(column, stop)| *stop = column % EVERY == 0);
    }

    /// Sets or clears the stop of a column.
    pub(crate) fn set(&mut self, column: usize, is_stop: bool) {
        if let Some(stop) = self.0.get_mut(column) {
            *stop = is_stop;
        }
    }

    /// Clears all.
    pub(crate) fn clear(&mut self) {
        self.0.fill(false);
    }

    /// The first stop after a column.
    pub(crate) fn next(&self, column: usize) -> Option<usize> {
        (column + 1..self.0.len()).find(|&column| self.0[column])
    }

    /// The last stop before a column.
    pub(crate) fn previous(&self, column: usize) -> Option<usize> {
        (0..column.min(self.0.len())).rev().find(|&column| self.0[column])
    }

    /// Takes or adds columns; new ones have the usual stops.
    pub(crate) fn resize(&mut self, columns: usize) -> Result<(), TryReserveError> {
        let old = self.0.len();
        self.0.try_reserve_exact(columns.saturating_sub(old))?;
        self.0.truncate(columns);
        self.0.extend((old..columns).map(|column| column % EVERY == 0));
        Ok(())
    }
}
