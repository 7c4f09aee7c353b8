//! Which core a shard runs on, and how many shards a new data directory gets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use torc_base::limits;

/// The cores for the shards. A flush that ends on the shard's own core wakes it at once; from another core it must first wake
/// that one, which in a virtual machine takes as long as the flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Without the interrupted one.
    cores: Vec<usize>,
    /// All interrupts of the disk come to it.
    interrupted: Option<usize>,
}

impl Placement {
    /// Over `cores`, of which `interrupted` takes all interrupts of the disk, if there is such a one.
    pub fn new(mut cores: Vec<usize>, interrupted: Option<usize>) -> Placement {
        assert!(!cores.is_empty());
        let interrupted = interrupted.filter(|core| cores.contains(core));
        cores.retain(|core| Some(*core) != interrupted);
        Placement { cores, interrupted }
    }

    fn count(&self) -> usize {
        self.cores.len() + usize::from(self.interrupted.is_some())
    }

    /// Shards that suit the machine: one for each core. Of two cores of which one takes all of the disk's interrupts the other
    /// is left to the kernel and to clients: a shard there would be slower and slow down the first.
    pub fn default_shards(&self) -> u16 {
        match self.count() {
            2 if self.interrupted.is_some() => 1,
            cores => cores.clamp(1, limits::SHARDS_MAX) as u16,
        }
    }

    /// The core of each of `shards`. More shards than cores share them in turn. The interrupted core is for the shard that
    /// gets the first partition: shard 1, if there is one.
    pub fn cores(&self, shards: u16) -> Vec<usize> {
        let mut order = self.cores.clone();
        if let Some(core) = self.interrupted {
            order.insert(order.len().min(usize::from(shards > 1)), core);
        }
        order.into_iter().cycle().take(usize::from(shards)).collect()
    }

    /// Cores for shards that do not get theirs: all that shards are put on by default.
    pub fn others(&self) -> Vec<usize> {
        self.cores(self.default_shards())
    }
}

/// The core that takes all interrupts of the disk under `path`, if the disk has one queue and the kernel tells. `None` for
/// disks with a queue to each core, which interrupt the core that asked, and for those that are made of others.
pub fn interrupted_core(path: &Path) -> Option<usize> {
    // The directory may still have to be made.
    let dev = path.ancestors().chain([Path::new(".")]).find_map(|path| fs::metadata(path).ok())?.dev();
    let number = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
    interrupted_by(Path::new("/"), &number)
}

/// The same for the block device of that number, as `sys` and `proc` under `root` have it.
pub(crate) fn interrupted_by(root: &Path, number: &str) -> Option<usize> {
    let block = fs::canonicalize(root.join("sys/dev/block").join(number)).ok()?;
    let disk = if block.join("partition").exists() { block.parent()? } else { &block };
    if fs::read_dir(disk.join("mq")).ok()?.count() != 1 {
        return None;
    }
    // The controller with its interrupts is some steps above.
    let device = fs::canonicalize(disk.join("device")).ok()?;
    let interrupts = device.ancestors().find_map(|above| fs::read_dir(above.join("msi_irqs")).ok())?;
    let numbers = interrupts.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // Others, for changed settings, hardly ever come.
    let (count, busiest) = numbers.map(|number| (times_come(root, &number), number)).max()?;
    let affinity = root.join("proc/irq").join(busiest).join("effective_affinity_list");
    // A list is no number: they may come to any of several cores.
    fs::read_to_string(affinity).ok()?.trim().parse().ok().filter(|_| count > 0)
}

/// How often an interrupt has come to any core.
fn times_come(root: &Path, interrupt: &str) -> u64 {
    let counts =
        fs::read_to_string(root.join("sys/kernel/irq").join(interrupt).join("per_cpu_count")).unwrap_or_default();
    counts.trim().split(',').filter_map(|count| count.parse::<u64>().ok()).sum()
}
