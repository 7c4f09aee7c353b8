//! What a path on the command line stands for: a server's data directory, one shard of it, or single segment files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use torc_wal::segment::Slot;

/// Held with flock while a server runs on the data directory.
const LOCK: &str = "torc.lock";

/// Why there is nothing to show.
#[derive(Debug)]
pub enum InspectError {
    /// The operating system refused.
    Io { what: &'static str, path: PathBuf, error: io::Error },
    /// Neither a data directory, nor a shard's, nor a segment.
    NotTorc { path: PathBuf },
    /// The offset cannot be followed.
    Unknown(String),
}

impl InspectError {
    /// Names a failed call.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InspectError {
        move |error| InspectError::Io { what, path: path.to_path_buf(), error }
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectError::Io { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            InspectError::NotTorc { path } => write!(
                f,
                "{} is neither a data directory of torc (with shard-0 in it), nor a shard's directory (with wal-000001), \
                 nor one of its files",
                path.display()
            ),
            InspectError::Unknown(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for InspectError {}

/// A shard's directory, or some files of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard's directory.
    pub dir: PathBuf,
    /// The shard's number, if the directory's name tells it.
    pub shard: Option<u16>,
    /// Only these files, by name; `None`: all.
    pub files: Option<Vec<String>>,
}

/// All that the paths stand for, shards in rising order.
pub fn resolve(paths: &[PathBuf]) -> Result<Vec<Place>, InspectError> {
    let mut places = Vec::new();
    let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in paths {
        let kind = fs::metadata(path).map_err(InspectError::io("look at", path))?;
        if !kind.is_dir() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let known = Slot::of_name(&name).is_some() || name.starts_with("checkpoint-");
            let dir = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
            let dir = dir.filter(|_| known).ok_or_else(|| InspectError::NotTorc { path: path.clone() })?;
            files.entry(dir.to_path_buf()).or_default().push(name);
            continue;
        }
        let names = names(path)?;
        let mut shards: Vec<u16> = names.iter().filter_map(|name| shard_number(name)).collect();
        shards.sort_unstable();
        if !shards.is_empty() {
            let place = |n| Place { dir: path.join(format!("shard-{n}")), shard: Some(n), files: None };
            places.extend(shards.into_iter().map(place));
        } else if number_of(path).is_some() || names.iter().any(|name| Slot::of_name(name).is_some()) {
            places.push(Place { dir: path.clone(), shard: number_of(path), files: None });
        } else {
            return Err(InspectError::NotTorc { path: path.clone() });
        }
    }
    places.extend(files.into_iter().map(|(dir, files)| Place { shard: number_of(&dir), dir, files: Some(files) }));
    Ok(places)
}

/// Names in a directory, sorted.
pub fn names(dir: &Path) -> Result<Vec<String>, InspectError> {
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let read = || fs::read_dir(dir)?.map(|entry| entry.map(name)).collect::<io::Result<Vec<String>>>();
    let mut names = read().map_err(InspectError::io("list", dir))?;
    names.sort_unstable();
    Ok(names)
}

fn shard_number(name: &str) -> Option<u16> {
    let number = name.strip_prefix("shard-")?.parse().ok()?;
    (format!("shard-{number}") == name).then_some(number)
}

fn number_of(dir: &Path) -> Option<u16> {
    let dir = dir.canonicalize().ok()?;
    shard_number(&dir.file_name()?.to_string_lossy())
}

impl Place {
    /// The directory of shard 0, where the topics' names are; this one if it has no number.
    pub fn first_shard(&self) -> PathBuf {
        match self.shard {
            Some(0) | None => self.dir.clone(),
            Some(_) => self.dir.join("..").join("shard-0"),
        }
    }

    /// The server that runs on the data directory, if one does.
    pub fn server(&self) -> Option<String> {
        let path = self.dir.join("..").join(LOCK);
        let file = File::open(&path).ok()?;
        // Shared, and let go at once: a server that starts at this moment waits longer than that.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).unwrap_or_default();
                Some(if pid.trim().is_empty() { "a server".into() } else { format!("process {}", pid.trim()) })
            }
            _ => None,
        }
    }
}
