//! What a loop is told at its start.

use crate::address::Name;
use crate::places::Places;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use torc_base::buf::Pool;
use torc_base::ids::ShardId;
use torc_base::limits::{CONNECTIONS_MAX, RECV_BUF_BYTES, RECV_BUFS, RECV_MEMORY};
use torc_base::turns::TurnMeter;

/// How a durable write reaches stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// One write with RWF_DSYNC.
    Dsync,
    /// A write linked with an fdatasync.
    WriteThenFdatasync,
    /// Whichever takes less time; small writes try the other one now and then.
    Adaptive,
}

/// Settings of one loop.
pub struct LoopSettings {
    /// The shard, for log lines.
    pub shard: ShardId,
    /// Core to pin the thread to.
    pub core: Option<usize>,
    /// Directory of the shard's files; must exist.
    pub directory: PathBuf,
    /// Where clients connect; see [`listen`]. Their places are their [`torc_base::ids::ListenerId`]s.
    pub listeners: Vec<TcpListener>,
    /// How durable writes are made so.
    pub sync: Sync,
    /// Microseconds that the loop may spin before it sleeps while the core is busy; 0 never spins.
    pub spin_us: u32,
    /// Entries of the submission queue, a power of two.
    pub ring_entries: u32,
    /// Provided receive buffers, a power of two.
    pub recv_bufs: u16,
    /// Bytes of a provided receive buffer, a multiple of the page.
    pub recv_buf_bytes: usize,
    /// Where receive buffers come from.
    pub recv_pool: Pool,
    /// Connections served at once; further ones are closed when they come.
    pub connections_max: usize,
    /// The same for all loops of the process, which share it.
    pub places: Arc<Places>,
    /// File slots: a `FileId` is below this. Lowered to the limit of open files if that is lower.
    pub files_max: u32,
    /// Open files with O_DIRECT where the file system can.
    pub direct: bool,
    /// A descriptor that the kernel shall keep open until nothing of this loop is in flight any more, even if the
    /// process is killed: the lock of the data directory. Else a write of a killed server could land after its
    /// successor has read the log.
    pub hold: Option<OwnedFd>,
    /// A pool whose arena (`Pool::with_arena`) is registered with the kernel: writes from it skip the lookup of their
    /// pages. Its memory counts against the limit of locked memory; if that refuses, writes are plain ones.
    pub registered: Option<Pool>,
    /// Told when turns begin and end; the core tells it what they are at.
    pub turns: Arc<TurnMeter>,
}

impl LoopSettings {
    /// Defaults for `shard`, with its files in `directory`.
    pub fn new(shard: ShardId, directory: PathBuf) -> LoopSettings {
        LoopSettings {
            shard,
            core: None,
            directory,
            listeners: Vec::new(),
            sync: Sync::Adaptive,
            spin_us: 0,
            ring_entries: 1024,
            recv_bufs: RECV_BUFS as u16,
            recv_buf_bytes: RECV_BUF_BYTES,
            recv_pool: Pool::new(RECV_MEMORY, 2 * RECV_BUFS * RECV_BUF_BYTES),
            connections_max: CONNECTIONS_MAX,
            places: Places::unlimited(),
            files_max: 16 << 10,
            direct: true,
            hold: None,
            registered: None,
            turns: Arc::default(),
        }
    }
}

/// Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A listening socket that shares its address with those of the other shards (SO_REUSEPORT) and whose connections
/// send without delay (TCP_NODELAY is inherited).
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let name = Name::new(address);
    let socket = socket(&name)?;
    for (level, option) in [
        (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    ] {
        set_option(&socket, level, option, 1)?;
    }
    let (start, bytes) = name.as_raw();
    // SAFETY: `name` is a whole address and outlives the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), start, bytes) })?;
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(TcpListener::from(socket))
}

/// A TCP socket for addresses of that family.
pub(crate) fn socket(name: &Name) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(name.family(), libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    check(fd)?;
    // SAFETY: `fd` was just opened and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option whose value is an `i32`.
pub(crate) fn set_option(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let bytes = size_of::<i32>() as u32;
    // SAFETY: the option's value is an i32 that outlives the call.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), bytes) })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
