use crate::placement::{Placement, interrupted_by, interrupted_core};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn a_shard_for_each_core_in_turn() {
    let machine = Placement::new(vec![0, 1, 2, 3], None);
    assert_eq!(machine.default_shards(), 4);
    assert_eq!(machine.cores(6), [0, 1, 2, 3, 0, 1]);
    assert_eq!(machine.others(), [0, 1, 2, 3]);
    assert_eq!(Placement::new(vec![0, 1], None).default_shards(), 2, "no core is better than the other");
    let single = Placement::new(vec![7], Some(7));
    assert_eq!((single.default_shards(), single.cores(2)), (1, vec![7, 7]));
}

#[test]
fn of_two_cores_the_one_with_the_disk_is_the_shards() {
    let machine = Placement::new(vec![0, 1], Some(1));
    assert_eq!((machine.default_shards(), machine.cores(1)), (1, vec![1]));
    assert_eq!(machine.others(), [1], "the other one is left to clients");
    let confined = Placement::new(vec![0, 1], Some(5));
    assert_eq!((confined.default_shards(), confined.cores(1)), (2, vec![0]), "the disk's core is not ours");
    assert_eq!(Placement::new(vec![0, 1, 2, 3], Some(2)).default_shards(), 4);
}

#[test]
fn the_first_partition_is_on_the_disks_core() {
    assert_eq!(Placement::new(vec![0, 1], Some(0)).cores(2), [1, 0]);
    assert_eq!(Placement::new(vec![0, 1], Some(1)).cores(2), [0, 1]);
    let machine = Placement::new(vec![0, 1, 2, 3], Some(3));
    assert_eq!(machine.cores(1), [3]);
    assert_eq!(machine.cores(2), [0, 3]);
    assert_eq!(machine.cores(5), [0, 3, 1, 2, 0]);
}

/// A kernel's account of one disk, 254:0, and its partition 254:1: queues, and interrupts as (number, counts, cores).
fn kernel(root: &Path, queues: usize, interrupts: &[(u32, &str, &str)]) {
    let controller = root.join("sys/devices/pci0/0000:00:02.0/virtio1");
    let disk = controller.join("block/vda");
    for queue in 0..queues {
        fs::create_dir_all(disk.join("mq").join(queue.to_string())).unwrap();
    }
    fs::create_dir_all(disk.join("vda1")).unwrap();
    fs::write(disk.join("vda1/partition"), "1\n").unwrap();
    symlink(&controller, disk.join("device")).unwrap();
    fs::create_dir_all(root.join("sys/dev/block")).unwrap();
    symlink(&disk, root.join("sys/dev/block/254:0")).unwrap();
    symlink(disk.join("vda1"), root.join("sys/dev/block/254:1")).unwrap();
    let listed = controller.parent().unwrap().join("msi_irqs");
    fs::create_dir_all(&listed).unwrap();
    for (number, counts, cores) in interrupts {
        let number = number.to_string();
        fs::write(listed.join(&number), "msix\n").unwrap();
        let (counted, steered) = (root.join("sys/kernel/irq").join(&number), root.join("proc/irq").join(&number));
        fs::create_dir_all(&counted).unwrap();
        fs::write(counted.join("per_cpu_count"), format!("{counts}\n")).unwrap();
        fs::create_dir_all(&steered).unwrap();
        fs::write(steered.join("effective_affinity_list"), format!("{cores}\n")).unwrap();
    }
}

#[test]
fn a_disk_of_one_queue_interrupts_one_core() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    kernel(&root, 1, &[(35, "1,0", "0"), (36, "20,104658781", "1")]);
    assert_eq!(interrupted_by(&root, "254:0"), Some(1));
    assert_eq!(interrupted_by(&root, "254:1"), Some(1), "a partition is asked for its disk");
    assert_eq!(interrupted_by(&root, "9:0"), None, "no such device");
}

#[test]
fn what_the_kernel_does_not_tell_is_no_core() {
    for (queues, interrupts) in [
        (2, &[(36, "9,9", "1")][..]),
        (1, &[(36, "9,9", "0-1")]),
        (1, &[(36, "0,0", "1")]),
        (1, &[]),
        (0, &[(36, "9,9", "1")]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        kernel(&root, queues, interrupts);
        assert_eq!(interrupted_by(&root, "254:0"), None, "{queues} queues, {interrupts:?}");
    }
}

#[test]
fn what_this_machine_says_is_one_of_its_cores() {
    let found = interrupted_core(Path::new("surely/not/there"));
    assert!(found.is_none_or(|core| Path::new(&format!("/sys/devices/system/cpu/cpu{core}")).exists()), "{found:?}");
}
