//! What systemd is told, as sd_notify(3) has it: that the server is ready, that it stops, and again and again that its shards
//! turn. A few lines over a datagram socket: no library is worth that.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::thread;
use std::time::Duration;

/// A service manager that does not read holds nobody up for longer.
const WRITE_TIME: Duration = Duration::from_secs(1);
/// Looks in the time after which systemd gives a silent service up.
const LOOKS: u32 = 4;

/// The way to the service manager, if one started this process and wants to know.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

/// How a watchdog sees and prods the shards.
pub struct Pulse {
    /// Turns of each shard so far.
    pub turns: Box<dyn Fn() -> Vec<u64> + Send>,
    /// Makes each shard turn, even one that has nothing to do.
    pub wake: Box<dyn Fn() + Send>,
    /// False from when the shards are asked to end: systemd then watches no more.
    pub goes_on: Box<dyn Fn() -> bool + Send>,
    /// Told when a shard stands still, and not again before it turns.
    pub stuck: Box<dyn Fn(usize) + Send>,
}

impl Notify {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. Fails if the socket that is named cannot be used.
    pub fn from_environment() -> io::Result<Notify> {
        let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return Ok(Notify::default());
        };
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let for_me = env::var_os("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(process::id().into());
        let watchdog = number("WATCHDOG_USEC").filter(|us| *us > 0 && for_me).map(Duration::from_micros);
        Notify::to(&socket, watchdog)
    }

    /// To a socket by its path, or by its abstract name behind `@`. A `watchdog` wants to hear of the shards that often.
    pub fn to(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<Notify> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(socket)?,
        };
        let datagrams = UnixDatagram::unbound()?;
        datagrams.connect_addr(&address)?;
        datagrams.set_write_timeout(Some(WRITE_TIME))?;
        Ok(Notify { socket: Some(datagrams), watchdog })
    }

    /// The server serves; `status` is what `systemctl status` shows.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The server ends, in order.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// From now on says that the server is alive as long as every shard turns when it is woken.
    pub fn watch(&self, pulse: Pulse) -> io::Result<()> {
        let (Some(watchdog), Some(socket)) = (self.watchdog, &self.socket) else { return Ok(()) };
        let notify = Notify { socket: Some(socket.try_clone()?), watchdog: None };
        let run = move || notify.pulse(&pulse, watchdog / LOOKS);
        thread::Builder::new().name("watchdog".to_string()).spawn(run)?;
        Ok(())
    }

    fn pulse(&self, pulse: &Pulse, interval: Duration) {
        let mut stuck = None;
        loop {
            let before = (pulse.turns)();
            (pulse.wake)();
            thread::sleep(interval);
            if !(pulse.goes_on)() {
                return;
            }
            let now = (pulse.turns)();
            let still = before.iter().zip(&now).position(|(before, now)| before == now);
            match still {
                None => self.send("WATCHDOG=1"),
                Some(shard) if stuck != still => (pulse.stuck)(shard),
                Some(_) => {}
            }
            stuck = still;
        }
    }

    /// A message that cannot be sent is no reason to stop serving, so errors are dropped.
    fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(message.as_bytes());
        }
    }
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
