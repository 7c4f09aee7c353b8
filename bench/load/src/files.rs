//! Files that results go to. They are opened before a run, so that nobody waits for a result that cannot be kept.

use crate::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// A file that will be written once.
#[derive(Debug)]
pub struct Sink {
    path: PathBuf,
    file: File,
    /// It was not there before, and has not been written.
    is_new: bool,
}

impl Sink {
    /// Opens `path` for writing. What stands in it stays until something is written.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn open(path: &Path) -> Result<Sink, Error> {
        let is_new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(Error::io(format!("opening {} for the result", path.display())))?;
        Ok(Sink { path: path.to_path_buf(), file, is_new })
    }

    /// Puts `bytes` in place of what stands in the file. If they do not fit, it is left empty: half a result misleads.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), Error> {
        self.is_new = false;
        let result = self.replace(bytes);
        if result.is_err() && self.is_regular() {
            // The first error is the one to tell.
            let _ = self.file.set_len(0);
        }
        result.map_err(Error::io(format!("writing {}", self.path.display())))
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let regular = self.is_regular();
        if regular {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        self.file.write_all(bytes)?;
        // Some file systems find only now that there is no room.
        if regular { self.file.sync_all() } else { Ok(()) }
    }

    fn is_regular(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.is_file())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.is_new {
            // A file without a result would only be in the way.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
