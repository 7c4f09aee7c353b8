//! A file system (FUSE) that loses at a power cut what was not flushed. It takes root and /dev/fuse.

mod disk;
mod fuse;

use crate::failure::{Result, wrong};
use disk::Disk;
use fuse::Served;
use fuser::{BackgroundSession, Config, MountOption};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use torc_base::prng::Prng;

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
        if let Some(session) = self.session.take()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("torc-check: unmounting {}: {error}", self.mount.display());
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
