//! What a volatile disk holds: files and directories as they were written, and what is left of them after a power cut.
//!
//! - A page of a file is durable once the file was flushed, or the page written with O_DSYNC. Until then a power cut leaves it as it
//!   was, as it was written, or, by sectors, something of both.
//! - Names are journalled in the order in which they changed. A flush of anything makes all changes before it durable; of later ones
//!   a power cut leaves the first few.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use torc_base::prng::Prng;

pub const PAGE: usize = 4096;
const SECTOR: usize = 512;
/// The number of the root directory.
pub const ROOT: u64 = 1;

type Page = Box<[u8; PAGE]>;
/// The entries of directories, by the directory's number.
type Names = BTreeMap<u64, BTreeMap<OsString, u64>>;

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    NotFound,
    Exists,
    NotEmpty,
    NotDirectory,
    IsDirectory,
    NoSpace,
    /// The power is off.
    Gone,
}

/// A file; pages that are nothing but zeroes are not kept.
#[derive(Default)]
struct File {
    pages: BTreeMap<u64, Page>,
    len: u64,
    /// What pages that are not flushed are on the medium; `None`: zeroes.
    before: BTreeMap<u64, Option<Page>>,
    durable_len: u64,
}

/// A disk in memory.
pub struct Disk {
    files: BTreeMap<u64, File>,
    names: Names,
    /// What names were before each change that is not flushed, the oldest first.
    journal: Vec<Names>,
    /// How often files are open: such a one is there without a name, too.
    open: BTreeMap<u64, u32>,
    next: u64,
    size: u64,
    powered: bool,
}

/// What there is of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub is_directory: bool,
    pub len: u64,
}

impl Disk {
    /// An empty one of so many bytes.
    pub fn new(size: u64) -> Disk {
        let names = BTreeMap::from([(ROOT, BTreeMap::new())]);
        let (files, open) = (BTreeMap::new(), BTreeMap::new());
        Disk { files, names, journal: Vec::new(), open, next: ROOT + 1, size, powered: true }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        self.files.values().map(|file| file.len.next_multiple_of(PAGE as u64)).sum()
    }

    pub fn entry(&self, number: u64) -> Result<Entry, Trouble> {
        self.check()?;
        match self.files.get(&number) {
            Some(file) => Ok(Entry { number, is_directory: false, len: file.len }),
            None if self.names.contains_key(&number) => Ok(Entry { number, is_directory: true, len: PAGE as u64 }),
            None => Err(Trouble::NotFound),
        }
    }

    pub fn find(&self, parent: u64, name: &OsStr) -> Result<Entry, Trouble> {
        self.check()?;
        let directory = self.names.get(&parent).ok_or(Trouble::NotDirectory)?;
        self.entry(*directory.get(name).ok_or(Trouble::NotFound)?)
    }

    pub fn list(&self, number: u64) -> Result<Vec<(OsString, Entry)>, Trouble> {
        self.check()?;
        let directory = self.names.get(&number).ok_or(Trouble::NotDirectory)?;
        directory.iter().map(|(name, number)| Ok((name.clone(), self.entry(*number)?))).collect()
    }

    fn check(&self) -> Result<(), Trouble> {
        if self.powered { Ok(()) } else { Err(Trouble::Gone) }
    }

    /// Names are about to change.
    fn note(&mut self) {
        self.journal.push(self.names.clone());
    }

    /// Makes an empty file or directory.
    pub fn make(&mut self, parent: u64, name: &OsStr, is_directory: bool) -> Result<Entry, Trouble> {
        self.check()?;
        let directory = self.names.get(&parent).ok_or(Trouble::NotDirectory)?;
        if directory.contains_key(name) {
            return Err(Trouble::Exists);
        }
        self.note();
        let number = self.next;
        self.next += 1;
        if is_directory {
            self.names.insert(number, BTreeMap::new());
        } else {
            self.files.insert(number, File::default());
        }
        self.names.get_mut(&parent).expect("just seen").insert(name.to_owned(), number);
        self.entry(number)
    }

    pub fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Trouble> {
        let entry = self.find(parent, name)?;
        if self.names.get(&entry.number).is_some_and(|directory| !directory.is_empty()) {
            return Err(Trouble::NotEmpty);
        }
        self.note();
        self.names.get_mut(&parent).expect("just seen").remove(name);
        self.names.remove(&entry.number);
        Ok(())
    }

    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Trouble> {
        let entry = self.find(from.0, from.1)?;
        let target = self.names.get(&to.0).ok_or(Trouble::NotDirectory)?.get(to.1).copied();
        if target.is_some_and(|target| self.names.get(&target).is_some_and(|directory| !directory.is_empty())) {
            return Err(Trouble::NotEmpty);
        }
        self.note();
        self.names.get_mut(&from.0).expect("just seen").remove(from.1);
        self.names.get_mut(&to.0).expect("just seen").insert(to.1.to_owned(), entry.number);
        if let Some(target) = target {
            self.names.remove(&target);
        }
        Ok(())
    }

    fn file(&mut self, number: u64) -> Result<&mut File, Trouble> {
        self.check()?;
        self.files.get_mut(&number).ok_or(Trouble::IsDirectory)
    }

    pub fn read(&mut self, number: u64, at: u64, length: usize) -> Result<Vec<u8>, Trouble> {
        let file = self.file(number)?;
        let end = file.len.min(at.saturating_add(length as u64));
        let mut out = vec![0; end.saturating_sub(at) as usize];
        for_pages(at, out.len(), |page, within, part| {
            if let Some(bytes) = file.pages.get(&page) {
                out[part].copy_from_slice(&bytes[within]);
            }
        });
        Ok(out)
    }

    /// `durable`: it is on the medium when this returns (O_DSYNC).
    pub fn write(&mut self, number: u64, at: u64, data: &[u8], durable: bool) -> Result<(), Trouble> {
        let end = at + data.len() as u64;
        let room = self.size.saturating_sub(self.used());
        let file = self.file(number)?;
        if end.saturating_sub(file.len) > room {
            return Err(Trouble::NoSpace);
        }
        for_pages(at, data.len(), |number, within, part| file.put(number, within, &data[part], durable));
        let grows = end > file.len;
        file.len = file.len.max(end);
        if durable && file.durable_len < end {
            file.durable_len = end;
        }
        if durable && grows {
            self.journal.clear();
        }
        Ok(())
    }

    /// Cuts a file, or makes it longer by zeroes.
    pub fn set_len(&mut self, number: u64, len: u64) -> Result<(), Trouble> {
        let room = self.size.saturating_sub(self.used());
        let file = self.file(number)?;
        if len.saturating_sub(file.len) > room {
            return Err(Trouble::NoSpace);
        }
        if len < file.len {
            let from = len / PAGE as u64;
            let within = (len % PAGE as u64) as usize;
            for page in file.pages.range(from..).map(|(page, _)| *page).collect::<Vec<_>>() {
                let from = if page == from_page(len) { within } else { 0 };
                file.put(page, from..PAGE, &vec![0; PAGE - from], false);
            }
        }
        file.len = len;
        Ok(())
    }

    /// A file, and all names, are on the medium.
    pub fn flush(&mut self, number: u64) -> Result<(), Trouble> {
        self.check()?;
        if let Some(file) = self.files.get_mut(&number) {
            file.before.clear();
            file.durable_len = file.len;
        }
        self.journal.clear();
        self.forget();
        Ok(())
    }

    /// Files that have no name any more, and will have none after a power cut either.
    fn forget(&mut self) {
        let trees = self.journal.iter().chain([&self.names]);
        let named: BTreeSet<u64> = trees.flat_map(|names| names.values().flat_map(BTreeMap::values)).copied().collect();
        self.files.retain(|number, _| named.contains(number) || self.open.contains_key(number));
    }

    pub fn opened(&mut self, number: u64) {
        *self.open.entry(number).or_default() += 1;
    }

    pub fn closed(&mut self, number: u64) {
        if let Some(count) = self.open.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&number);
                self.forget();
            }
        }
    }

    /// What was not flushed is gone, or not, as it falls; nothing more can be done until [`power_on`](Disk::power_on). Returns how
    /// many pages are not what was written, and how many changes of names are lost.
    pub fn power_off(&mut self, prng: &mut Prng) -> (u64, u64) {
        self.powered = false;
        self.open.clear();
        let (mut pages, changes) = (0, self.journal.len());
        let kept = prng.below(changes as u64 + 1) as usize;
        if kept < changes {
            self.names = self.journal.swap_remove(kept);
        }
        self.journal.clear();
        for file in self.files.values_mut() {
            pages += file.lose(prng);
        }
        self.forget();
        (pages, (changes - kept) as u64)
    }

    pub fn power_on(&mut self) {
        self.powered = true;
    }
}

impl File {
    /// Puts bytes into one page.
    fn put(&mut self, page: u64, within: std::ops::Range<usize>, bytes: &[u8], durable: bool) {
        if durable {
            self.before.remove(&page);
        } else if !self.before.contains_key(&page) {
            self.before.insert(page, self.pages.get(&page).cloned());
        }
        let old = self.pages.get_mut(&page);
        if old.is_none() && bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]))[within].copy_from_slice(bytes);
    }

    fn lose(&mut self, prng: &mut Prng) -> u64 {
        let mut lost = 0;
        for (page, old) in std::mem::take(&mut self.before) {
            let new = self.pages.remove(&page);
            let (old, new) = (old.unwrap_or_else(zeroes), new.unwrap_or_else(zeroes));
            let mut left = old;
            match prng.below(3) {
                0 => {}
                1 => left.clone_from(&new),
                _ => {
                    for sector in (0..PAGE).step_by(SECTOR).filter(|_| prng.below(2) == 0) {
                        left[sector..sector + SECTOR].copy_from_slice(&new[sector..sector + SECTOR]);
                    }
                }
            }
            lost += u64::from(left != new);
            if left.iter().any(|byte| *byte != 0) {
                self.pages.insert(page, left);
            }
        }
        if prng.below(2) == 0 {
            self.len = self.durable_len;
        }
        self.durable_len = self.len;
        lost
    }
}

fn zeroes() -> Page {
    Box::new([0; PAGE])
}

fn from_page(at: u64) -> u64 {
    at / PAGE as u64
}

/// Calls `f` for each page that a range touches: its number, what of it, and what of the range.
fn for_pages(at: u64, length: usize, mut f: impl FnMut(u64, std::ops::Range<usize>, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < length {
        let here = at + done as u64;
        let from = (here % PAGE as u64) as usize;
        let count = (PAGE - from).min(length - done);
        f(from_page(here), from..from + count, done..done + count);
        done += count;
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
