//! The machine as its kernel tells it under /proc and /sys.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where the kernel's files and the data are.
pub struct Machine {
    /// `/`; another one in tests.
    root: PathBuf,
    /// The data directory, which need not exist yet.
    data_dir: PathBuf,
}

/// A mounted file system.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    pub kind: String,
    /// Of the mount and of the file system.
    pub options: Vec<String>,
}

/// A soft limit of this process: `None` is "without".
#[derive(Clone, Copy)]
pub enum Limit {
    /// Open files.
    Files,
    /// Bytes of locked memory.
    Locked,
}

impl Machine {
    /// The machine whose files are under `root`.
    pub fn new(root: PathBuf, data_dir: PathBuf) -> Machine {
        Machine { root, data_dir }
    }

    /// A file of the kernel without its line break, if it can be read.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok().map(|text| text.trim().to_string())
    }

    /// `read` of a file that shows all choices, with the one in force in brackets.
    pub fn chosen(&self, path: &str) -> Option<String> {
        let text = self.read(path)?;
        let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
        Some(chosen.unwrap_or(&text).to_string())
    }

    /// Files that match `before N after`, for every number N, such as those of all cores.
    pub fn numbered(&self, before: &str, after: &str) -> Vec<String> {
        let (folder, prefix) = before.rsplit_once('/').expect("a path");
        let names = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let numbers = names.filter(|name| name.strip_prefix(prefix).is_some_and(|n| n.parse::<u32>().is_ok()));
        let mut paths: Vec<String> = numbers.map(|name| format!("{folder}/{name}{after}")).collect();
        paths.retain(|path| self.root.join(path).exists());
        paths.sort();
        paths
    }

    /// Writes each value to its file, until one cannot be written.
    pub fn write_all(&self, writes: &[(String, &'static str)]) -> Result<(), String> {
        for (path, value) in writes {
            let path = self.root.join(path);
            fs::write(&path, value).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }

    /// The folder of the queue of the disk that holds the data, from the root. `None` if there is no such one disk.
    pub fn queue(&self) -> Option<String> {
        let dev = self.data_parent()?.1;
        let block = self.root.join(format!("sys/dev/block/{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev)));
        let block = fs::canonicalize(block).ok()?;
        let disk = if block.join("partition").exists() { block.parent()? } else { &block };
        let queue = disk.join("queue");
        let root = fs::canonicalize(&self.root).ok()?;
        queue.is_dir().then(|| queue.strip_prefix(root).ok().map(|path| path.to_string_lossy().into_owned()))?
    }

    /// The mount that holds the data.
    pub fn mount(&self) -> Option<Mount> {
        mount_of(&self.read("proc/self/mountinfo")?, &self.data_parent()?.0)
    }

    /// The data directory, or what there is of it, and its device.
    fn data_parent(&self) -> Option<(PathBuf, u64)> {
        let data = std::path::absolute(&self.data_dir).ok()?;
        let there = data.ancestors().find(|path| path.exists())?;
        let there = fs::canonicalize(there).ok()?;
        let dev = fs::metadata(&there).ok()?.dev();
        Some((there, dev))
    }

    /// The soft limit of this process, as `/proc/self/limits` has it. The outer `None`: it does not tell.
    pub fn limit(&self, limit: Limit) -> Option<Option<u64>> {
        let name = match limit {
            Limit::Files => "Max open files",
            Limit::Locked => "Max locked memory",
        };
        let limits = self.read("proc/self/limits")?;
        let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
        match line.split_whitespace().next()? {
            "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        }
    }
}

/// The mount of `path` in a `mountinfo`: of those above it the deepest, of two on one place the later.
pub fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mut best: Option<(usize, Mount)> = None;
    for line in mountinfo.lines() {
        // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue
        let (mine, of_fs) = line.split_once(" - ")?;
        let mut mine = mine.split(' ').skip(4);
        let (point, options) = (unescaped(mine.next()?), mine.next()?);
        let mut of_fs = of_fs.split(' ');
        let (kind, of_fs) = (of_fs.next()?, of_fs.nth(1).unwrap_or(""));
        let depth = Path::new(&point).components().count();
        if path.starts_with(&point) && best.as_ref().is_none_or(|(other, _)| *other <= depth) {
            let options = options.split(',').chain(of_fs.split(',')).map(str::to_string).collect();
            best = Some((depth, Mount { kind: kind.to_string(), options }));
        }
    }
    best.map(|(_, mount)| mount)
}

/// Blanks in a path stand there as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
