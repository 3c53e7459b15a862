//! Paths and contents.

use crate::directory::{self, Entry, Record};
use crate::name::{self, Long};
use crate::parameters::{BOOT_SECTOR, ENTRY};
use crate::table::Table;
use crate::{Disk, Error, Kind, Parameters};

/// Bytes of a directory that are looked at: it cannot be larger (section 6).
const DIRECTORY_BYTES: u64 = 65_536 * ENTRY;
/// Parts that a path may have.
const DEPTH: usize = 128;

/// A file system on a disk.
#[derive(Debug)]
pub struct FileSystem<D> {
    disk: D,
    parameters: Parameters,
    table: Table,
}

/// Where a file or directory is read: it moves on.
#[derive(Clone, Debug)]
pub struct Reader {
    place: Place,
    /// Bytes from the start of the file.
    position: u64,
    /// Where the file ends.
    end: u64,
    /// Whether it ends where its chain does, if that is sooner: directories do not tell their length.
    ends_with_chain: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// The root directory of FAT12 and FAT16: bytes in one piece.
    Root,
    /// A cluster that the position is in, or at the end of, and how many came before.
    Cluster { cluster: u32, index: u64 },
}

impl<D: Disk> FileSystem<D> {
    /// The one on this disk.
    ///
    /// # Errors
    /// [`Error::NotFat`], [`Error::Read`].
    pub fn new(disk: D) -> Result<Self, Error> {
        let mut sector = [0; BOOT_SECTOR];
        if !disk.read(0, &mut sector) {
            return Err(Error::Read);
        }
        let parameters = Parameters::parse(&sector)?;
        Ok(Self { disk, parameters, table: Table::default() })
    }

    /// What its boot sector says.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What a path leads to, from the root directory on. Parts are divided by slashes.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotADirectory`], and what reading says.
    pub fn find(&mut self, path: &str) -> Result<Entry, Error> {
        let mut found = Entry::root(self.parameters.root_cluster);
        for (depth, part) in path.split('/').filter(|part| !part.is_empty() && *part != ".").enumerate() {
            if depth == DEPTH {
                return Err(Error::NotFound);
            }
            let mut next = None;
            self.list(&found, &mut |entry| {
                if !name::is_same(&entry.name, part) {
                    return true;
                }
                next = Some(entry.clone());
                false
            })?;
            found = next.ok_or(Error::NotFound)?;
        }
        Ok(found)
    }

    /// Visits the entries of a directory until `visit` says `false`.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], and what reading says.
    pub fn list(&mut self, directory: &Entry, visit: &mut dyn FnMut(&Entry) -> bool) -> Result<(), Error> {
        if !directory.is_directory {
            return Err(Error::NotADirectory);
        }
        let (place, end) = match (directory.cluster, self.parameters.kind) {
            (0, Kind::Fat12 | Kind::Fat16) => (Place::Root, u64::from(self.parameters.root_entries) * ENTRY),
            (cluster, _) => (Place::Cluster { cluster, index: 0 }, DIRECTORY_BYTES),
        };
        let mut reader = Reader { place, position: 0, end, ends_with_chain: true };
        let mut long = Long::new();
        let mut bytes = [0; ENTRY as usize];
        // The end of its clusters may be the end of a directory.
        while self.read(&mut reader, &mut bytes)? == bytes.len() {
            match directory::read(&bytes, &mut long, self.parameters.kind) {
                Record::End => return Ok(()),
                Record::Skipped => {}
                Record::Entry(entry) => {
                    if !visit(&entry) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a file from its beginning.
    ///
    /// # Errors
    /// [`Error::IsADirectory`].
    pub fn open(&self, file: &Entry) -> Result<Reader, Error> {
        if file.is_directory {
            return Err(Error::IsADirectory);
        }
        let place = Place::Cluster { cluster: file.cluster, index: 0 };
        Ok(Reader { place, position: 0, end: file.size.into(), ends_with_chain: false })
    }

    /// Fills `buffer` from where the reader is; tells how many bytes there were: less only at the end.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Corrupt`].
    pub fn read(&mut self, reader: &mut Reader, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() && reader.position < reader.end {
            let Some((offset, room)) = self.locate(reader)? else { break };
            let wanted = (buffer.len() - done).min(usize::try_from(room).unwrap_or(usize::MAX));
            if !self.disk.read(offset, &mut buffer[done..done + wanted]) {
                return Err(Error::Read);
            }
            done += wanted;
            reader.position += wanted as u64;
        }
        Ok(done)
    }

    /// Where the reader is on the disk, and how many bytes follow there in one piece. `None`: the chain of a directory is at
    /// its end.
    fn locate(&mut self, reader: &mut Reader) -> Result<Option<(u64, u64)>, Error> {
        let left = reader.end - reader.position;
        let Place::Cluster { mut cluster, mut index } = reader.place else {
            return Ok(Some((self.parameters.root_offset() + reader.position, left)));
        };
        let cluster_bytes = self.parameters.cluster_bytes();
        if !self.parameters.has_cluster(cluster) {
            return Err(Error::Corrupt("a file begins at a cluster that is not there"));
        }
        // The position moves by bytes that were read, so it is in this cluster or at the start of the next one.
        while index < reader.position / cluster_bytes {
            match self.table.next(&self.disk, &self.parameters, cluster)? {
                Some(next) => cluster = next,
                None if reader.ends_with_chain => return Ok(None),
                None => return Err(Error::Corrupt("a file's chain is shorter than its length")),
            }
            index += 1;
        }
        reader.place = Place::Cluster { cluster, index };
        let within = reader.position % cluster_bytes;
        let offset = self.parameters.cluster_offset(cluster) + within;
        Ok(Some((offset, (cluster_bytes - within).min(left))))
    }
}
