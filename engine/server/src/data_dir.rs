//! The data directory: who owns it, and what about a server can never change once data is written.
//!
//! ```text
//! DIR/torc.lock         held with flock while a server runs
//! DIR/torc.properties   made last at the first start: its presence means that the directory is complete
//! DIR/torc.forming      before that, while this server waits for others to found a cluster: the number of its disk
//! DIR/torc.served       made when all shards have served for the first time: none of them is without a log from then on
//! DIR/shard-N/          one for each shard: its log and snapshots
//! ```

use crate::cluster::{Founding, Member, Members, hex, listed};
use crate::endpoint::Endpoint;
use crate::{machine, units};
use std::collections::BTreeMap;
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
const FORMAT_VERSION: u64 = 3;
/// Of the directory of a server that founded its cluster, or took the place of one that did.
const FORMAT_VERSION_FOUNDER: u64 = 2;
/// Of the directory of a single server.
const FORMAT_VERSION_SINGLE: u64 = 1;
const PROPERTIES: &str = "torc.properties";
/// [`PROPERTIES`] before its rename.
const PROPERTIES_NEW: &str = "torc.properties.new";
/// How the names of a log's files begin.
const LOG_PREFIX: &str = "wal-";
const SERVED: &str = "torc.served";
/// [`SERVED`] before its rename.
const SERVED_NEW: &str = "torc.served.new";
const FORMING: &str = "torc.forming";
/// [`FORMING`] before its rename.
const FORMING_NEW: &str = "torc.forming.new";
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
    /// Of a server that is one of several.
    pub membership: Option<Membership>,
}

/// What a server of a cluster knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// How the cluster came to be.
    pub founding: Founding,
    /// The number of this directory's disk.
    pub disk: u128,
    /// Of a server that joined later: the servers that there were then, this one among them. Its catalog knows better by now.
    pub joined: Option<Vec<Member>>,
}

impl Membership {
    /// Where a server was when this one joined, or when the cluster was founded.
    pub fn address(&self, node: u32) -> Option<&Endpoint> {
        let joined = self.joined.iter().flatten().find(|member| member.node == node);
        joined.map(|member| &member.address).or(self.founding.members.address(node))
    }
}

/// What the configuration asks for; `None` where it asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub node_id: Option<u32>,
    pub shards: Option<u16>,
    pub segment_bytes: Option<u64>,
    /// All servers of its cluster.
    pub members: Option<Members>,
    /// It is to join a cluster that runs.
    pub joins: bool,
}

/// What a directory is when it has been opened.
#[derive(Debug)]
pub enum Opened {
    Ready(DataDir),
    /// Its server is to be of a cluster, and does not know it yet.
    Unformed(Unformed),
}

/// The directory of a server that waits for its cluster to be founded. This process owns it until it is dropped.
#[derive(Debug)]
pub struct Unformed {
    path: PathBuf,
    lock: File,
    /// Its number is durable: it is the same after a restart, and another one if the disk is.
    pub disk: u128,
    pub node_id: u32,
    /// Who founds it; `None`: others did, and this server is to join them.
    pub members: Option<Members>,
    pub shards: u16,
    pub segment_bytes: u64,
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
    /// It is there, and what was in it is not.
    ShardEmpty { path: PathBuf },
    /// The configuration asks for what cannot change any more.
    Differs { path: PathBuf, key: &'static str, has: String, asked: String },
    /// It is a single server's, and is to be one of a cluster.
    Single { path: PathBuf },
    /// It is of a cluster that was founded with other servers.
    OtherPeers { path: PathBuf, has: String, asked: String },
    /// It waits for a cluster, and is to be a single server's.
    Forming { path: PathBuf },
    /// A server of a cluster has no number.
    NoNumber { members: Option<String> },
    /// Its number is not among those of its cluster.
    NotNamed { node: u32, members: String },
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
            DataDirError::ShardEmpty { path } => write!(
                f,
                "{} holds no log, though its shard has served before: mount the disk that has it, or put the files back \
                 from a backup",
                path.display()
            ),
            DataDirError::Differs { path, key, has, asked } => write!(
                f,
                "the data directory {} was made with {key}={has} and cannot change to {asked}: start without that setting, \
                 or with {has}, or use a new data directory",
                path.display()
            ),
            DataDirError::Single { path } => write!(
                f,
                "the data directory {} is that of a single server and cannot become one of a cluster: start it without \
                 --peers and --join, or give the cluster's servers new data directories and copy the topics over (torc consume, \
                 torc produce)",
                path.display()
            ),
            DataDirError::OtherPeers { path, has, asked } => write!(
                f,
                "the data directory {} is of a cluster that was founded with torc.peers={has}, and does not start with \
                 {asked}: start it with the list of then, or without one",
                path.display()
            ),
            DataDirError::Forming { path } => write!(
                f,
                "the data directory {} waits for a cluster to be founded: start it with --peers or --join, or use a new \
                 data directory for a single server",
                path.display()
            ),
            DataDirError::NoNumber { members: None } => f.write_str(
                "a server that joins a cluster needs a number that no other has: give it --node-id at its first start",
            ),
            DataDirError::NoNumber { members: Some(members) } => write!(
                f,
                "torc.peers is {members}, but which of these this server is must be said at its first start: give it \
                 --node-id"
            ),
            DataDirError::NotNamed { node, members } => {
                write!(f, "torc.peers does not name this server, whose node.id is {node}: {members}")
            }
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
    pub fn open(path: &Path, wishes: &Wishes, shards: u16, tell: &dyn Fn(&str)) -> Result<Opened, DataDirError> {
        make_with_parents(path)?;
        let lock = take_lock(path, tell)?;
        let properties = path.join(PROPERTIES);
        match fs::read_to_string(&properties) {
            Ok(text) => {
                let identity = Identity::parse(&properties, &text)?;
                identity.grants(path, wishes)?;
                // A cluster knows by itself of a disk that has forgotten something, and has it elsewhere.
                let has_served = path.join(SERVED).exists() && identity.membership.is_none();
                for shard in 0..identity.shards {
                    let path = shard_path(path, shard);
                    if !path.is_dir() {
                        return Err(DataDirError::ShardMissing { path });
                    }
                    if has_served && !holds_log(&path) {
                        return Err(DataDirError::ShardEmpty { path });
                    }
                }
                Ok(Opened::Ready(DataDir { path: path.to_path_buf(), identity, fresh: false, lock }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_foreign(path)?;
                if wishes.members.is_some() || wishes.joins || path.join(FORMING).exists() {
                    return Unformed::open(path, wishes, shards, lock).map(Opened::Unformed);
                }
                let identity = Identity::new(path, wishes, shards)?;
                make(path, &identity)?;
                Ok(Opened::Ready(DataDir { path: path.to_path_buf(), identity, fresh: true, lock }))
            }
            Err(error) => Err(io_error("read", &properties)(error)),
        }
    }

    /// The lock, for whoever must hold it even longer than this process lives.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.try_clone()?.into())
    }

    /// All shards serve: from now on each has a log.
    pub fn note_served(&self) -> Result<(), DataDirError> {
        if self.path.join(SERVED).exists() {
            return Ok(());
        }
        let text =
            "# Written by torc when all its shards served for the first time. A shard without a log has lost it.\n";
        write_durably(&self.path, SERVED_NEW, SERVED, text)
    }

    /// Where shard `shard` keeps its files.
    pub fn shard(&self, shard: u16) -> PathBuf {
        assert!(shard < self.identity.shards);
        shard_path(&self.path, shard)
    }
}

impl Unformed {
    fn open(path: &Path, wishes: &Wishes, shards: u16, lock: File) -> Result<Unformed, DataDirError> {
        let members = wishes.members.clone();
        if members.is_none() && !wishes.joins {
            return Err(DataDirError::Forming { path: path.to_path_buf() });
        }
        let file = path.join(FORMING);
        let before = match fs::read_to_string(&file) {
            Ok(text) => Some(Fields { path: &file, text: &text }.forming()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("read", &file)(error)),
        };
        let node_id = wishes.node_id.or(before.map(|(node, _)| node));
        let Some(node_id) = node_id else {
            return Err(DataDirError::NoNumber { members: members.map(|members| members.to_string()) });
        };
        if let Some(members) = members.as_ref().filter(|members| members.address(node_id).is_none()) {
            return Err(DataDirError::NotNamed { node: node_id, members: members.to_string() });
        }
        let disk = match before {
            Some((node, disk)) if node == node_id => disk,
            Some((node, _)) => return Err(differs(path, "node.id", node.to_string(), node_id.to_string())),
            None => {
                let random = machine::random().map_err(io_error("get randomness for", path))?;
                let disk = u128::from_le_bytes(random).max(1);
                let text = format!(
                    "# Written by torc, which waits for the other servers of its cluster.\n\
                     format.version={FORMAT_VERSION_FOUNDER}\nnode.id={node_id}\ntorc.disk.id={}\n",
                    hex(disk)
                );
                write_durably(path, FORMING_NEW, FORMING, &text)?;
                disk
            }
        };
        let single = Identity::new(path, wishes, shards)?;
        let (shards, segment_bytes) = (single.shards, single.segment_bytes);
        Ok(Unformed { path: path.to_path_buf(), lock, disk, node_id, members, shards, segment_bytes })
    }

    /// Makes the directory one of this cluster, durably. `joined`: the servers that let it in.
    pub fn keep(&self, founding: &Founding, joined: Option<Vec<Member>>) -> Result<Identity, DataDirError> {
        let identity = Identity {
            cluster_id: kafka_id(founding.cluster.to_be_bytes()),
            node_id: self.node_id,
            shards: self.shards,
            segment_bytes: self.segment_bytes,
            membership: Some(Membership { founding: founding.clone(), disk: self.disk, joined }),
        };
        make(&self.path, &identity)?;
        // It says nothing that the other one does not.
        let _ = fs::remove_file(self.path.join(FORMING));
        Ok(identity)
    }

    /// The directory with what [`Unformed::keep`] has made of it.
    pub fn ready(self, identity: Identity) -> DataDir {
        DataDir { path: self.path, identity, fresh: true, lock: self.lock }
    }
}

/// True if torc has made it its data directory.
pub fn holds_data(dir: &Path) -> bool {
    dir.join(PROPERTIES).exists() || dir.join(FORMING).exists()
}

fn shard_path(dir: &Path, shard: u16) -> PathBuf {
    dir.join(format!("shard-{shard}"))
}

/// True if there is a file of a log in a shard's directory, or it cannot be looked at, of which its shard knows better.
fn holds_log(shard: &Path) -> bool {
    let is_of_log = |entry: io::Result<fs::DirEntry>| {
        entry.map_or(true, |entry| entry.file_name().to_string_lossy().starts_with(LOG_PREFIX))
    };
    fs::read_dir(shard).map_or(true, |mut entries| entries.any(is_of_log))
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
        let ours = matches!(name.as_str(), LOCK | PROPERTIES_NEW | FORMING | FORMING_NEW | "lost+found")
            || (name.starts_with("shard-") && empty_shard());
        if !ours {
            return Err(DataDirError::Foreign { path: dir.to_path_buf(), found: name });
        }
    }
    Ok(())
}

/// Makes the directory and those above it that are missing. Their names are durable, too, before anything in it counts.
fn make_with_parents(path: &Path) -> Result<(), DataDirError> {
    let named_in = directories_that_change(path);
    fs::create_dir_all(path).map_err(io_error("make the data directory", path))?;
    named_in.iter().try_for_each(|parent| sync_directory(parent))
}

/// The directories that get a new name when this one is made with those above it, the uppermost one first.
pub(crate) fn directories_that_change(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from("/"),
    };
    let mut changed: Vec<PathBuf> = missing.map(parent).collect();
    changed.reverse();
    changed
}

fn sync_directory(dir: &Path) -> Result<(), DataDirError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("flush", dir))
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
    sync_directory(dir)?;
    write_durably(dir, PROPERTIES_NEW, PROPERTIES, &identity.to_properties())
}

/// Puts a file in place as a whole; it is durable when this returns.
fn write_durably(dir: &Path, new: &str, name: &str, text: &str) -> Result<(), DataDirError> {
    let (new, name) = (dir.join(new), dir.join(name));
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(io_error("write", &new))?;
    fs::rename(&new, &name).map_err(io_error("put in place", &name))?;
    sync_directory(dir)
}

fn differs(path: &Path, key: &'static str, has: String, asked: String) -> DataDirError {
    DataDirError::Differs { path: path.to_path_buf(), key, has, asked }
}

impl Identity {
    /// A single server's.
    fn new(dir: &Path, wishes: &Wishes, shards: u16) -> Result<Identity, DataDirError> {
        let space = machine::space(dir).map_err(io_error("ask for the free space of", dir))?;
        let random = machine::random().map_err(io_error("get randomness for", dir))?;
        Ok(Identity {
            cluster_id: cluster_id(random),
            node_id: wishes.node_id.unwrap_or(1),
            shards: wishes.shards.unwrap_or(shards),
            segment_bytes: wishes.segment_bytes.unwrap_or(segment_bytes_for(space.total)),
            membership: None,
        })
    }

    fn to_properties(&self) -> String {
        let version = match &self.membership {
            None => FORMAT_VERSION_SINGLE,
            Some(Membership { joined: None, .. }) => FORMAT_VERSION_FOUNDER,
            Some(_) => FORMAT_VERSION,
        };
        let mut text = format!(
            "# Written by torc at its first start; it must never change.\nformat.version={version}\ncluster.id={}\n\
             node.id={}\ntorc.shards={}\ntorc.wal.segment.bytes={}\n",
            self.cluster_id, self.node_id, self.shards, self.segment_bytes
        );
        if let Some(Membership { founding, disk, joined }) = &self.membership {
            let founders: Vec<String> =
                founding.founders.iter().map(|(node, disk)| format!("{node}:{}", hex(*disk))).collect();
            text += &format!(
                "torc.disk.id={}\ntorc.peers={}\ntorc.founders={}\n",
                hex(*disk),
                founding.members,
                founders.join(",")
            );
            if let Some(servers) = joined {
                text += &format!("torc.joined={}\n", listed(servers));
            }
        }
        text
    }

    fn parse(path: &Path, text: &str) -> Result<Identity, DataDirError> {
        let fields = Fields { path, text };
        let version = fields.version()?;
        let cluster_id = fields.value("cluster.id")?.to_string();
        if cluster_id.is_empty() {
            return Err(fields.damaged("`cluster.id` is empty".to_string()));
        }
        let segment = fields.number("torc.wal.segment.bytes", limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX)?;
        if !segment.is_power_of_two() {
            return Err(fields.damaged(format!("`torc.wal.segment.bytes` is `{segment}`, no power of two")));
        }
        let node_id = fields.number("node.id", 0, i32::MAX as u64)? as u32;
        let membership = match version {
            FORMAT_VERSION_SINGLE => None,
            _ => Some(fields.membership(&cluster_id, node_id, version)?),
        };
        Ok(Identity {
            cluster_id,
            node_id,
            shards: fields.number("torc.shards", 1, limits::SHARDS_MAX as u64)? as u16,
            segment_bytes: segment,
            membership,
        })
    }

    /// Refuses wishes that this directory cannot fulfil.
    fn grants(&self, dir: &Path, wishes: &Wishes) -> Result<(), DataDirError> {
        let differs = |key, has: String, asked: String| Err(differs(dir, key, has, asked));
        if let Some(asked) = wishes.shards.filter(|asked| *asked != self.shards) {
            return differs("torc.shards", self.shards.to_string(), asked.to_string());
        }
        if let Some(asked) = wishes.node_id.filter(|asked| *asked != self.node_id) {
            return differs("node.id", self.node_id.to_string(), asked.to_string());
        }
        if let Some(asked) = wishes.segment_bytes.filter(|asked| *asked != self.segment_bytes) {
            return differs("torc.wal.segment.bytes", units::size(self.segment_bytes), units::size(asked));
        }
        let path = || dir.to_path_buf();
        match (&self.membership, &wishes.members) {
            (None, _) if wishes.members.is_some() || wishes.joins => Err(DataDirError::Single { path: path() }),
            (Some(has), Some(asked)) if has.founding.members != *asked => {
                let (has, asked) = (has.founding.members.to_string(), asked.to_string());
                Err(DataDirError::OtherPeers { path: path(), has, asked })
            }
            _ => Ok(()),
        }
    }
}

/// A file of `key=value`, as torc wrote it.
struct Fields<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Fields<'a> {
    fn damaged(&self, why: String) -> DataDirError {
        DataDirError::Damaged { path: self.path.to_path_buf(), why }
    }

    fn value(&self, key: &str) -> Result<&'a str, DataDirError> {
        let mut lines = self.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let found = lines.find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key));
        found.map(|(_, value)| value.trim()).ok_or_else(|| self.damaged(format!("`{key}` is missing")))
    }

    fn number(&self, key: &str, min: u64, max: u64) -> Result<u64, DataDirError> {
        let text = self.value(key)?;
        let number = text.parse().ok().filter(|n| (min..=max).contains(n));
        number.ok_or_else(|| self.damaged(format!("`{key}` is `{text}`, it must be from {min} to {max}")))
    }

    fn version(&self) -> Result<u64, DataDirError> {
        let version = self.number("format.version", 1, u64::MAX)?;
        if version > FORMAT_VERSION {
            return Err(DataDirError::Newer { path: self.path.to_path_buf(), version });
        }
        Ok(version)
    }

    fn disk(&self) -> Result<u128, DataDirError> {
        let text = self.value("torc.disk.id")?;
        number_of_hex(text).ok_or_else(|| self.damaged(format!("`torc.disk.id` is `{text}`, no number of 128 bits")))
    }

    /// Of [`FORMING`]: the server's number and its disk's.
    fn forming(&self) -> Result<(u32, u128), DataDirError> {
        self.version()?;
        Ok((self.number("node.id", 0, i32::MAX as u64)? as u32, self.disk()?))
    }

    fn membership(&self, cluster_id: &str, node: u32, version: u64) -> Result<Membership, DataDirError> {
        let cluster = number_of_kafka_id(cluster_id).filter(|cluster| *cluster != 0);
        let cluster = cluster.ok_or_else(|| self.damaged(format!("`cluster.id` is `{cluster_id}`, no cluster's")))?;
        let members = self.value("torc.peers")?;
        let members = Members::parse(members).map_err(|why| self.damaged(format!("`torc.peers`: {why}")))?;
        let founders = self.value("torc.founders")?;
        let founder = |text: &str| text.split_once(':').and_then(|(n, d)| Some((n.parse().ok()?, number_of_hex(d)?)));
        let parsed: Option<BTreeMap<u32, u128>> = founders.split(',').map(founder).collect();
        let complete = |founders: &BTreeMap<u32, u128>| {
            founders.len() == members.len() && members.iter().all(|member| founders.contains_key(&member.node))
        };
        let Some(founders) = parsed.filter(complete) else {
            return Err(self.damaged(format!("`torc.founders` is `{founders}`, not a disk of each server")));
        };
        let joined = if version == FORMAT_VERSION_FOUNDER { None } else { Some(self.joined(node)?) };
        if joined.is_none() && members.address(node).is_none() {
            return Err(self.damaged(format!("`torc.peers` does not name server {node}, which this is")));
        }
        Ok(Membership { founding: Founding { cluster, members, founders }, disk: self.disk()?, joined })
    }

    /// The servers that let this one in, and itself.
    fn joined(&self, node: u32) -> Result<Vec<Member>, DataDirError> {
        let list = self.value("torc.joined")?;
        let members: Result<Vec<Member>, String> = list.split(',').map(Member::parse).collect();
        let members = members.map_err(|why| self.damaged(format!("`torc.joined`: {why}")))?;
        if !members.iter().any(|member| member.node == node) {
            return Err(self.damaged(format!("`torc.joined` does not name server {node}, which this is")));
        }
        Ok(members)
    }
}

fn number_of_hex(text: &str) -> Option<u128> {
    let sound = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| sound)
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

/// A new cluster's id: Kafka's text of 128 random bits.
pub fn cluster_id(random: [u8; 16]) -> String {
    kafka_id(cluster_number(random).to_be_bytes())
}

/// The same as a number: never 0, and never one whose text begins with `-` (it would look like an option on a command line).
pub fn cluster_number(mut random: [u8; 16]) -> u128 {
    // `-` is letter 62, 0b111110.
    if random[0] >> 2 == 62 {
        random[0] &= 0x7f;
    }
    u128::from_be_bytes(random).max(1)
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Letters of 128 bits.
const ID_LETTERS: usize = 22;

/// 128 bits as Kafka writes them, topic ids too: base64 for URLs, 22 letters, without padding.
pub fn kafka_id(bytes: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(bytes);
    let letter = |i: usize| match 122usize.checked_sub(6 * i) {
        Some(shift) => (bits >> shift) as usize & 63,
        None => (bits << 4) as usize & 63,
    };
    (0..ID_LETTERS).map(|i| char::from(LETTERS[letter(i)])).collect()
}

/// What [`kafka_id`] wrote; `None` if it did not write that.
pub fn number_of_kafka_id(text: &str) -> Option<u128> {
    let mut bits = 0;
    for (at, letter) in text.bytes().enumerate() {
        let value = LETTERS.iter().position(|other| *other == letter)? as u128;
        bits = match at {
            // The last letter has two bits of the number.
            21 => bits << 2 | value >> 4,
            _ => bits << 6 | value,
        };
    }
    (text.len() == ID_LETTERS && kafka_id(bits.to_be_bytes()) == text).then_some(bits)
}
