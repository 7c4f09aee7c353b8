//! A ZooKeeper's data directory: the newest snapshot that is whole, and the logs behind it.

mod jute;
mod log;
mod snapshot;
mod state;

#[cfg(test)]
mod files_tests;

pub use state::{Kept, Node, State, parent};

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The folder of the one format that there is.
const FOLDER: &str = "version-2";

/// What a directory says.
#[derive(Debug)]
pub struct Loaded {
    pub state: State,
    /// The snapshot's file.
    pub snapshot: PathBuf,
    /// Changes that were made on it from the logs.
    pub replayed: u64,
    /// Newer snapshots that are damaged or were not written whole, and why.
    pub passed_over: Vec<String>,
}

/// Files of that kind, with the zxids in their names, in rising order.
fn files(dir: &Path, prefix: &str) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(prefix) else { continue };
        let digits = rest.split('.').next().unwrap_or_default();
        if let Ok(zxid) = i64::from_str_radix(digits, 16) {
            files.push((zxid, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The folder with the files.
fn folder(dir: &Path) -> PathBuf {
    let inner = dir.join(FOLDER);
    if inner.is_dir() { inner } else { dir.to_path_buf() }
}

/// Reads a data directory, and `logs` if its logs are elsewhere.
///
/// # Errors
/// What is wrong, with the file's name.
pub fn load(dir: &Path, logs: Option<&Path>) -> Result<Loaded, String> {
    let dir = folder(dir);
    let logs = logs.map_or_else(|| dir.clone(), folder);
    let list =
        |dir: &Path, prefix| files(dir, prefix).map_err(|error| format!("cannot read {}: {error}", dir.display()));
    let mut passed_over = Vec::new();
    for (zxid, path) in list(&dir, "snapshot.")?.into_iter().rev() {
        let read = contents(&path).map_err(|error| error.to_string());
        match read.and_then(|bytes| snapshot::read(&bytes, zxid).map_err(|damage| damage.to_string())) {
            Ok(state) => {
                let mut loaded = Loaded { state, snapshot: path, replayed: 0, passed_over };
                replay(&mut loaded, zxid, &list(&logs, "log.")?)?;
                return Ok(loaded);
            }
            Err(why) => passed_over.push(format!("{}: {why}", path.display())),
        }
    }
    match passed_over.is_empty() {
        true => {
            Err(format!("{} has no snapshot: it is no data directory of ZooKeeper's, or an empty one", dir.display()))
        }
        false => Err(format!("no snapshot is whole: {}", passed_over.join("; "))),
    }
}

/// Makes what the logs say on a snapshot of `zxid`.
fn replay(loaded: &mut Loaded, zxid: i64, logs: &[(i64, PathBuf)]) -> Result<(), String> {
    // The last that begins at the snapshot or before has what follows on it.
    let first = logs.iter().rposition(|(begins, _)| *begins <= zxid + 1).unwrap_or(0);
    for (_, path) in &logs[first.min(logs.len())..] {
        let bytes = contents(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let replayed = log::replay(&bytes, &mut loaded.state);
        loaded.replayed += replayed.map_err(|damage| format!("{} is damaged {damage}", path.display()))?;
    }
    Ok(())
}

/// A file's bytes, decompressed if its name says that it is compressed.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
            Ok(plain)
        }
        Some("snappy") => {
            unsnap(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no Snappy stream"))
        }
        _ => Ok(bytes),
    }
}

/// The stream of snappy-java: a head of 16 bytes, then blocks, each with its length.
fn unsnap(bytes: &[u8]) -> Option<Vec<u8>> {
    const HEAD: &[u8] = b"\x82SNAPPY\0";
    let mut rest = bytes.strip_prefix(HEAD)?.get(8..)?;
    let (mut plain, mut decoder) = (Vec::new(), snap::raw::Decoder::new());
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        plain.extend(decoder.decompress_vec(behind.get(..length)?).ok()?);
        rest = &behind[length..];
    }
    Some(plain)
}

/// Writes a data directory with `state` in it. Returns the snapshot's file.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn save(dir: &Path, state: &State) -> Result<PathBuf, String> {
    let folder = dir.join(FOLDER);
    let failed = |doing: &str, path: &Path, error: io::Error| format!("cannot {doing} {}: {error}", path.display());
    std::fs::create_dir_all(&folder).map_err(|error| failed("make", &folder, error))?;
    let mut entries = std::fs::read_dir(&folder).map_err(|error| failed("read", &folder, error))?;
    if entries.next().is_some() {
        return Err(format!("{} has files already: choose a new directory", folder.display()));
    }
    let path = folder.join(format!("snapshot.{:x}", state.zxid));
    // Under its name only when it is whole.
    let temporary = folder.join("exporting");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(&snapshot::write(state))?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(&folder)?.sync_all()
    };
    write().map_err(|error| failed("write", &path, error))?;
    Ok(path)
}
