//! A file system (FUSE) that loses at a power cut what was not flushed. It takes root and /dev/fuse.

mod disk;
mod fuse;

use crate::failure::{Result, wrong};
use disk::Disk;
use fuse::Served;
use fuser::{BackgroundSession, Config, MountOption};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::prng::Prng;

/// How long a file system may be busy after its last process, and between two looks.
const BUSY_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// A mounted disk; unmounted when dropped.
pub struct VolatileDisk {
    mount: PathBuf,
    disk: Arc<Mutex<Disk>>,
    session: Option<BackgroundSession>,
}

impl VolatileDisk {
    /// An empty one of so many bytes, mounted at `mount`, which is made. It lives in memory.
    ///
    /// # Errors
    /// This machine cannot mount it, and why.
    pub fn new(mount: &Path, bytes: u64) -> Result<VolatileDisk> {
        fs::create_dir_all(mount)?;
        let disk = Arc::new(Mutex::new(Disk::new(bytes)));
        let mut volatile = VolatileDisk { mount: mount.to_path_buf(), disk, session: None };
        volatile.mount()?;
        Ok(volatile)
    }

    fn mount(&mut self) -> Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("torc-check".into()), MountOption::DefaultPermissions];
        match fuser::spawn_mount(Served::new(&self.disk), &self.mount, &config) {
            Ok(session) => self.session = Some(session),
            Err(error) => return wrong(format!("mounting a FUSE file system at {}: {error}", self.mount.display())),
        }
        Ok(())
    }

    /// The power is off: from now on everything fails, and what was not flushed is lost as it falls. Returns how many pages and
    /// how many changes of names are lost.
    pub fn power_off(&self, prng: &mut Prng) -> (u64, u64) {
        self.disk.lock().expect("nobody panics with it").power_off(prng)
    }

    /// It is there again, with what is left. Nobody may have it open any more.
    pub fn power_on(&mut self) -> Result<()> {
        // What the kernel remembers of it is of the time before.
        self.unmount();
        self.disk.lock().expect("nobody panics with it").power_on();
        self.mount()
    }

    fn unmount(&mut self) {
        let Some(session) = self.session.take() else { return };
        // The rings of a process that was just killed may hold its files for a moment longer.
        let until = Instant::now() + BUSY_MAX;
        let mut result = unmount(&self.mount, UnmountFlags::empty());
        while result == Err(Errno::BUSY) && Instant::now() < until {
            thread::sleep(LOOK);
            result = unmount(&self.mount, UnmountFlags::empty());
        }
        if let Err(error) = result.or_else(|_| unmount(&self.mount, UnmountFlags::DETACH)) {
            eprintln!("torc-check: unmounting {}: {error}", self.mount.display());
        } else if result.is_ok() {
            // Its end is that it is unmounted.
            let _ = session.join();
        }
    }
}

impl Drop for VolatileDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[cfg(test)]
mod tests;
