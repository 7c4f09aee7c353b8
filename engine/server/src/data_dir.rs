//! The data directory: who owns it, and what about a server can never change once data is written.
//!
//! ```text
//! DIR/torc.lock         held with flock while a server runs
//! DIR/torc.properties   made last at the first start: its presence means that the directory is complete
//! DIR/shard-N/          one for each shard: its log and snapshots
//! ```

use crate::{machine, units};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::limits;
use torc_reactor::resources::{Want, explain};

/// Of the directory's layout. A newer one is refused.
const FORMAT_VERSION: u64 = 1;
const PROPERTIES: &str = "torc.properties";
/// [`PROPERTIES`] before its rename.
const PROPERTIES_NEW: &str = "torc.properties.new";
const LOCK: &str = "torc.lock";
const LOCK_POLL: Duration = Duration::from_millis(2);
/// How long the lock of a process is waited for that is still there: it may be about to end.
const ALIVE: Duration = Duration::from_secs(1);
/// And of one that is gone: until the kernel has ended what it had begun.
const DYING: Duration = Duration::from_secs(30);
/// Smallest segment that a first start chooses by itself.
const SEGMENT_BYTES_SMALL_DISK: u64 = 4 << 20;

/// What was written at the first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// 22 characters of base64, as Kafka's.
    pub cluster_id: String,
    pub node_id: u32,
    pub shards: u16,
    /// Bytes of a WAL segment.
    pub segment_bytes: u64,
}

/// What the configuration asks for; `None` where it asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    pub node_id: Option<u32>,
    pub shards: Option<u16>,
    pub segment_bytes: Option<u64>,
}

/// A directory that this process owns until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    /// As configured.
    pub path: PathBuf,
    /// What this server is.
    pub identity: Identity,
    /// True if this start made the directory.
    pub fresh: bool,
    /// Its flock ends with the last copy of the descriptor.
    lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum DataDirError {
    /// The operating system refused.
    Io { what: &'static str, path: PathBuf, error: io::Error },
    /// Another process runs on it.
    Locked { path: PathBuf, owner: String },
    /// It holds something that torc did not put there.
    Foreign { path: PathBuf, found: String },
    /// `torc.properties` is not as torc writes it.
    Damaged { path: PathBuf, why: String },
    /// Made by a newer torc.
    Newer { path: PathBuf, version: u64 },
    /// A shard's directory is gone.
    ShardMissing { path: PathBuf },
    /// The configuration asks for what cannot change any more.
    Differs { path: PathBuf, key: &'static str, has: String, asked: String },
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataDirError::Io { what, path, error } => {
                write!(f, "cannot {what} {}: {}", path.display(), explain(Want::Directory, error))
            }
            DataDirError::Locked { path, owner } => write!(
                f,
                "another torc{owner} runs on the data directory {}: stop it, or choose another one with --data-dir",
                path.display()
            ),
            DataDirError::Foreign { path, found } => write!(
                f,
                "the data directory {} is not torc's (it has no {PROPERTIES}) and not empty (it holds `{found}`): \
                 choose an empty one with --data-dir",
                path.display()
            ),
            DataDirError::Damaged { path, why } => {
                write!(f, "{} is damaged: {why}; put the file back as torc wrote it", path.display())
            }
            DataDirError::Newer { path, version } => write!(
                f,
                "{} has format version {version}, this torc knows up to {FORMAT_VERSION}: start the torc that wrote it, \
                 or a newer one",
                path.display()
            ),
            DataDirError::ShardMissing { path } => write!(
                f,
                "{} is missing, and with it the data of a shard: put it back (from the disk it was moved to, or a backup)",
                path.display()
            ),
            DataDirError::Differs { path, key, has, asked } => write!(
                f,
                "the data directory {} was made with {key}={has} and cannot change to {asked}: start without that setting, \
                 or with {has}, or use a new data directory",
                path.display()
            ),
        }
    }
}

impl std::error::Error for DataDirError {}

/// Names a failed call.
fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |error| DataDirError::Io { what, path: path.to_path_buf(), error }
}

impl DataDir {
    /// True if a start has made it.
    pub fn exists(path: &Path) -> bool {
        path.join(PROPERTIES).exists()
    }

    /// Opens the directory, or makes it: with what is wished, else so many `shards`, node 1, and segments that fit
    /// the disk. Locks it against other processes; `tell` gets a line if that has to wait.
    pub fn open(path: &Path, wishes: Wishes, shards: u16, tell: &dyn Fn(&str)) -> Result<DataDir, DataDirError> {
        fs::create_dir_all(path).map_err(io_error("make the data directory", path))?;
        let lock = take_lock(path, tell)?;
        let properties = path.join(PROPERTIES);
        match fs::read_to_string(&properties) {
            Ok(text) => {
                let identity = Identity::parse(&properties, &text)?;
                identity.grants(path, wishes)?;
                for shard in 0..identity.shards {
                    let path = shard_path(path, shard);
                    if !path.is_dir() {
                        return Err(DataDirError::ShardMissing { path });
                    }
                }
                Ok(DataDir { path: path.to_path_buf(), identity, fresh: false, lock })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(path)?;
                let identity = Identity::new(path, wishes, shards)?;
                make(path, &identity)?;
                Ok(DataDir { path: path.to_path_buf(), identity, fresh: true, lock })
            }
            Err(error) => Err(io_error("read", &properties)(error)),
        }
    }

    /// The lock, for whoever must hold it even longer than this process lives.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    /// Where shard `shard` keeps its files.
    pub fn shard(&self, shard: u16) -> PathBuf {
        assert!(shard < self.identity.shards);
        shard_path(&self.path, shard)
    }
}

/// True if torc has made it its data directory.
pub fn holds_data(dir: &Path) -> bool {
    dir.join(PROPERTIES).exists()
}

fn shard_path(dir: &Path, shard: u16) -> PathBuf {
    dir.join(format!("shard-{shard}"))
}

/// Locks the directory. The lock file says who holds it, for the message to the next one.
///
/// A killed server's lock is held until its last write has ended, which can be after the process is gone: that is
/// waited for.
fn take_lock(dir: &Path, tell: &dyn Fn(&str)) -> Result<File, DataDirError> {
    let path = dir.join(LOCK);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(io_error("open the lock file", &path))?;
    let began = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                let patience = if owner.is_some_and(machine::is_alive) { ALIVE } else { DYING };
                if began.elapsed() >= patience {
                    let owner = owner.map_or(String::new(), |pid| format!(" (process {pid})"));
                    return Err(DataDirError::Locked { path: dir.to_path_buf(), owner });
                }
                if !std::mem::replace(&mut told, true) {
                    let dir = dir.display();
                    tell(&format!("{dir} is still locked: waiting for the last writes of the server that had it"));
                }
                thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path)(error)),
        }
    }
    // The pid only makes a message better: on a full disk the server must start without it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// What a first start may find: nothing, or what an interrupted first start and mkfs leave behind.
fn refuse_foreign(dir: &Path) -> Result<(), DataDirError> {
    let entries = fs::read_dir(dir).map_err(io_error("list", dir))?;
    for entry in entries {
        let entry = entry.map_err(io_error("list", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let empty_shard = || fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none());
        let ours = matches!(name.as_str(), LOCK | PROPERTIES_NEW | "lost+found")
            || (name.starts_with("shard-") && empty_shard());
        if !ours {
            return Err(DataDirError::Foreign { path: dir.to_path_buf(), found: name });
        }
    }
    Ok(())
}

/// Makes the shards' directories, then `torc.properties`; each step durable before the next.
fn make(dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    for shard in 0..identity.shards {
        let path = shard_path(dir, shard);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("make the shard's directory", &path)(error));
            }
            _ => {}
        }
    }
    let sync_dir = || File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("flush", dir));
    sync_dir()?;
    let (new, properties) = (dir.join(PROPERTIES_NEW), dir.join(PROPERTIES));
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(identity.to_properties().as_bytes())?;
        file.sync_all()
    };
    write().map_err(io_error("write", &new))?;
    fs::rename(&new, &properties).map_err(io_error("put in place", &properties))?;
    sync_dir()
}

impl Identity {
    fn new(dir: &Path, wishes: Wishes, shards: u16) -> Result<Identity, DataDirError> {
        let space = machine::space(dir).map_err(io_error("ask for the free space of", dir))?;
        let random = machine::random().map_err(io_error("get randomness for", dir))?;
        Ok(Identity {
            cluster_id: cluster_id(random),
            node_id: wishes.node_id.unwrap_or(1),
            shards: wishes.shards.unwrap_or(shards),
            segment_bytes: wishes.segment_bytes.unwrap_or(segment_bytes_for(space.total)),
        })
    }

    fn to_properties(&self) -> String {
        format!(
            "# Written by torc at its first start; it must never change.\nformat.version={FORMAT_VERSION}\ncluster.id={}\n\
             node.id={}\ntorc.shards={}\ntorc.wal.segment.bytes={}\n",
            self.cluster_id, self.node_id, self.shards, self.segment_bytes
        )
    }

    fn parse(path: &Path, text: &str) -> Result<Identity, DataDirError> {
        let damaged = |why: String| DataDirError::Damaged { path: path.to_path_buf(), why };
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let value = |key: &str| {
            let found = lines().find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key));
            found.map(|(_, value)| value.trim()).ok_or_else(|| damaged(format!("`{key}` is missing")))
        };
        let number = |key: &str, min: u64, max: u64| {
            let text = value(key)?;
            let number = text.parse().ok().filter(|n| (min..=max).contains(n));
            number.ok_or_else(|| damaged(format!("`{key}` is `{text}`, it must be from {min} to {max}")))
        };
        let version = number("format.version", 1, u64::MAX)?;
        if version > FORMAT_VERSION {
            return Err(DataDirError::Newer { path: path.to_path_buf(), version });
        }
        let cluster_id = value("cluster.id")?.to_string();
        if cluster_id.is_empty() {
            return Err(damaged("`cluster.id` is empty".to_string()));
        }
        let segment = number("torc.wal.segment.bytes", limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX)?;
        if !segment.is_power_of_two() {
            return Err(damaged(format!("`torc.wal.segment.bytes` is `{segment}`, no power of two")));
        }
        Ok(Identity {
            cluster_id,
            node_id: number("node.id", 0, i32::MAX as u64)? as u32,
            shards: number("torc.shards", 1, limits::SHARDS_MAX as u64)? as u16,
            segment_bytes: segment,
        })
    }

    /// Refuses wishes that this directory cannot fulfil.
    fn grants(&self, dir: &Path, wishes: Wishes) -> Result<(), DataDirError> {
        let differs =
            |key, has: String, asked: String| Err(DataDirError::Differs { path: dir.to_path_buf(), key, has, asked });
        if let Some(asked) = wishes.shards.filter(|asked| *asked != self.shards) {
            return differs("torc.shards", self.shards.to_string(), asked.to_string());
        }
        if let Some(asked) = wishes.node_id.filter(|asked| *asked != self.node_id) {
            return differs("node.id", self.node_id.to_string(), asked.to_string());
        }
        if let Some(asked) = wishes.segment_bytes.filter(|asked| *asked != self.segment_bytes) {
            return differs("torc.wal.segment.bytes", units::size(self.segment_bytes), units::size(asked));
        }
        Ok(())
    }
}

/// The segment size for a file system of `total` bytes: a 64th of it, so that several shards have several each, yet
/// not more than the default and not less than 4 MiB; a power of two.
pub fn segment_bytes_for(total: u64) -> u64 {
    let share = (total / 64).clamp(SEGMENT_BYTES_SMALL_DISK, limits::SEGMENT_BYTES);
    1 << share.ilog2()
}

/// The space that is held back on a file system of `total` bytes, if the configuration does not say.
pub fn reserve_bytes_for(total: u64) -> u64 {
    (total / 32).min(256 << 20)
}

/// A new cluster's id: Kafka's text of 128 random bits, never with a `-` in front (it would look like an option on a
/// command line).
pub fn cluster_id(mut random: [u8; 16]) -> String {
    // `-` is letter 62, 0b111110.
    if random[0] >> 2 == 62 {
        random[0] &= 0x7f;
    }
    kafka_id(random)
}

/// 128 bits as Kafka writes them, topic ids too: base64 for URLs, 22 letters, without padding.
pub fn kafka_id(bytes: [u8; 16]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(bytes);
    let letter = |i: u32| match 122u32.checked_sub(6 * i) {
        Some(shift) => (bits >> shift) as usize & 63,
        None => (bits << 4) as usize & 63,
    };
    (0..22).map(|i| char::from(LETTERS[letter(i)])).collect()
}
