//! A file that is read and never written, past the page cache where the file system can do that: what is seen is what
//! is on the disk, and a server that runs keeps its memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use torc_base::buf::{BufMut, Pool};
use torc_base::limits::PAGE;

/// Read at once, unless one piece that is asked for is longer.
const WINDOW: usize = 1 << 20;

/// A file and the part of it that was read last.
pub struct Source {
    file: File,
    bytes: u64,
    pool: Pool,
    window: Option<BufMut>,
    start: u64,
    filled: usize,
}

impl Source {
    /// Opens the file for reading.
    pub fn open(path: &Path) -> io::Result<Source> {
        let open = |flags| OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = match open(libc::O_DIRECT) {
            // Some file systems have no direct reads.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => open(0)?,
            other => other?,
        };
        let bytes = file.metadata()?.len();
        Ok(Source { file, bytes, pool: Pool::new(usize::MAX, 0), window: None, start: 0, filled: 0 })
    }

    /// Bytes of the file when it was opened.
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Fills `out` from `at`, both of whole pages; shorter only at the file's end. How many bytes there were.
    pub fn read_into(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.file.read_at(&mut out[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // The end of a file that is no whole page long; a direct read from there is not possible.
            if !filled.is_multiple_of(PAGE) {
                break;
            }
        }
        Ok(filled)
    }

    /// `len` bytes from `at`; fewer only at the file's end.
    pub fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let end = self.bytes.min(at + len as u64);
        if at >= end {
            return Ok(&[]);
        }
        if self.window.is_none() || at < self.start || end > self.start + self.filled as u64 {
            self.fill(at, (end - at) as usize)?;
        }
        let window = self.window.as_ref().expect("just filled");
        let from = ((at - self.start) as usize).min(self.filled);
        let to = ((end - self.start) as usize).min(self.filled);
        Ok(&window[from..to])
    }

    fn fill(&mut self, at: u64, len: usize) -> io::Result<()> {
        let page = PAGE as u64;
        let start = at / page * page;
        let wanted = ((at - start) as usize + len).next_multiple_of(PAGE).max(WINDOW);
        let wanted = wanted.min((self.bytes - start).next_multiple_of(page) as usize);
        let mut window = match self.window.take() {
            Some(window) if window.len() >= wanted && window.len() <= wanted.max(WINDOW) => window,
            _ => self.pool.take(wanted).expect("the pool has no limit"),
        };
        self.filled = self.read_into(start, &mut window[..wanted])?;
        self.start = start;
        self.window = Some(window);
        Ok(())
    }
}
