//! A full disk: producers are told, consumers go on, deleting a topic heals it, restarts work.

use crate::content::{self, Sender};
use crate::failure::{Result, wrong};
use crate::kill::{now_ms, wait_until};
use crate::process::{Launch, Server};
use crate::report::{Report, ms};
use crate::wire::{ACKS_ALL, Client, Produce, STORAGE_ERROR, batches};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use torc_net::kafka::records::{self, Codec};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub torc: PathBuf,
    /// An empty directory.
    pub dir: PathBuf,
    /// Bytes of the file system.
    pub bytes: u64,
    pub shards: u16,
    /// Times that it is filled and healed.
    pub cycles: u32,
}

/// An ext4 of its own, in a file; unmounted when dropped.
pub struct SmallDisk {
    mount: PathBuf,
}

impl SmallDisk {
    /// Makes and mounts it below `dir`. The error says why this machine cannot: it takes root and loop devices.
    pub fn new(dir: &Path, bytes: u64) -> Result<SmallDisk> {
        let (image, mount) = (dir.join("disk.img"), dir.join("disk"));
        File::create(&image)?.set_len(bytes)?;
        fs::create_dir(&mount)?;
        command("mkfs.ext4", &["-q", "-F", &image.display().to_string()])?;
        command("mount", &["-o", "loop", &image.display().to_string(), &mount.display().to_string()])?;
        Ok(SmallDisk { mount })
    }

    fn free(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.mount).or_else(|errno| wrong(errno.to_string()))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that was just killed may hold it for a moment longer.
        for _ in 0..50 {
            if command("umount", &[&self.mount.display().to_string()]).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        eprintln!("torc-check: {} stays mounted", self.mount.display());
    }
}

fn command(name: &str, args: &[&str]) -> Result<()> {
    match Command::new(name).args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => wrong(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => wrong(format!("{name}: {error}")),
    }
}

/// Whose records must survive everything.
const KEPT: &str = "kept";
/// Whose deletion heals.
const FILLER: &str = "filler";
const PARTITIONS: i32 = 3;
const FILLER_BYTES: usize = 200_000;
/// Batches of the kept topic that are written before each filling.
const KEPT_BATCHES: u32 = 60;
const HEALED_WITHIN: Duration = Duration::from_secs(15);

/// Fills, reads, restarts, heals.
pub fn run(plan: &Plan) -> Result<Report> {
    let mut report = Report::new("diskfull");
    let disk = SmallDisk::new(&plan.dir, plan.bytes)?;
    let mut launch = Launch::new(&plan.torc, &plan.dir).shards(Some(plan.shards));
    launch.data = disk.mount.join("data");
    let mut server = launch.start()?;
    Client::connect(server.kafka)?.create_topic(KEPT, PARTITIONS, &[])?;
    // How many batches of the kept topic each partition holds.
    let mut kept = vec![0; PARTITIONS as usize];
    for cycle in 1..=plan.cycles {
        keep(server.kafka, &mut kept)?;
        Client::connect(server.kafka)?.create_topic(FILLER, PARTITIONS, &[])?;
        let full = format!("cycle {cycle}, full");
        fill(&server, &disk, plan, &full, &mut report)?;
        consumers(server.kafka, &kept, &full, &mut report)?;
        server.kill()?;
        server = launch.start()?;
        report.number(format!("cycle {cycle}: restart_full_after_kill_ms"), ms(server.ready));
        consumers(server.kafka, &kept, &format!("{full}, after kill -9"), &mut report)?;
        still_refused(server.kafka, &format!("{full}, after kill -9"), &mut report)?;
        let stopped = server.stop().map_or_else(|failure| failure.to_string(), |()| "exit code 0".to_string());
        report.demand(format!("{full}: SIGTERM"), stopped == "exit code 0", stopped.clone());
        server = launch.start()?;
        report.number(format!("cycle {cycle}: restart_full_after_sigterm_ms"), ms(server.ready));
        consumers(server.kafka, &kept, &format!("{full}, after SIGTERM"), &mut report)?;
        heal(&server, &mut kept, cycle, &mut report)?;
        consumers(server.kafka, &kept, &format!("cycle {cycle}, healed"), &mut report)?;
    }
    server.kill()?;
    let mut server = launch.start()?;
    consumers(server.kafka, &kept, "after the last restart", &mut report)?;
    let fenced = server.metric("torc_fenced")?;
    report.demand("no shard is fenced", fenced == 0.0, format!("{fenced} fenced"));
    server.stop()?;
    drop(disk);
    Ok(report)
}

/// Sends batch `number` of the kept topic's partition; the error code.
fn keep_one(client: &mut Client, partition: i32, number: u32) -> Result<i16> {
    let sender = Sender { producer: partition as u16, idempotent: None };
    let batch = content::batch(sender, number, &[500], Codec::None, now_ms());
    Ok(client.produce(Produce { topic: KEPT, partition, acks: ACKS_ALL, batch })?.error)
}

fn keep(address: SocketAddr, kept: &mut [u32]) -> Result<()> {
    let mut client = Client::connect(address)?;
    for n in 0..KEPT_BATCHES {
        let partition = n as usize % kept.len();
        let code = keep_one(&mut client, partition as i32, kept[partition])?;
        if code != 0 {
            return wrong(format!("a disk with room refused a batch with error {code}"));
        }
        kept[partition] += 1;
    }
    Ok(())
}

fn filler(client: &mut Client, partition: i32, number: u32) -> Result<i16> {
    let sender = Sender { producer: 100, idempotent: None };
    let batch = content::batch(sender, number, &[FILLER_BYTES], Codec::None, now_ms());
    Ok(client.produce(Produce { topic: FILLER, partition, acks: ACKS_ALL, batch })?.error)
}

/// Produces to the filler until every partition refuses.
fn fill(server: &Server, disk: &SmallDisk, plan: &Plan, when: &str, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(server.kafka)?;
    let (mut taken, mut others) = (0u64, Vec::new());
    let limit = (2 * plan.bytes / FILLER_BYTES as u64) as u32;
    let mut refused = vec![false; PARTITIONS as usize];
    let began = Instant::now();
    for n in 0..limit {
        let partition = n as i32 % PARTITIONS;
        match filler(&mut client, partition, n)? {
            0 => {
                taken += FILLER_BYTES as u64;
                refused[partition as usize] = false;
            }
            STORAGE_ERROR => refused[partition as usize] = true,
            code => others.push(code),
        }
        if refused.iter().all(|refused| *refused) {
            break;
        }
    }
    report.number(format!("{when}: filled_mib"), taken as f64 / 1048576.0);
    report.number(format!("{when}: filling_ms"), ms(began.elapsed()));
    report.number(format!("{when}: free_mib"), disk.free()? as f64 / 1048576.0);
    let all = refused.iter().all(|refused| *refused);
    report.demand(format!("{when}: producers get KAFKA_STORAGE_ERROR"), all, format!("{refused:?} by partition"));
    report.demand(format!("{when}: they get no other error"), others.is_empty(), format!("{others:?}"));
    let part = taken as f64 / plan.bytes as f64;
    report.demand(format!("{when}: most of the disk was used"), part > 0.4, format!("{:.0} %", part * 100.0));
    let full = server.metric("torc_disk_full")?;
    report.demand(format!("{when}: metrics say so"), full > 0.0, format!("disk_full = {full}"));
    Ok(())
}

fn still_refused(address: SocketAddr, when: &str, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut codes: Vec<i16> = Vec::new();
    // What recovery gave back may hold a few more.
    for n in 0..3000 {
        let code = filler(&mut client, n % PARTITIONS, n as u32)?;
        codes.push(code);
        if codes.ends_with(&[STORAGE_ERROR; 6]) {
            break;
        }
    }
    let other = codes.iter().copied().find(|code| !matches!(*code, 0 | STORAGE_ERROR));
    let good = other.is_none() && codes.last() == Some(&STORAGE_ERROR);
    let taken = codes.iter().filter(|code| **code == 0).count();
    report.demand(
        format!("{when}: producers are refused"),
        good,
        format!("{taken} taken before, other error {other:?}"),
    );
    Ok(())
}

/// Reads the whole kept topic, and a piece of the filler if it is there.
fn consumers(address: SocketAddr, kept: &[u32], when: &str, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(address)?;
    let mut read = 0;
    for (partition, count) in kept.iter().enumerate() {
        let mut next = 0;
        while next < i64::from(*count) {
            let fetched = client.fetch(KEPT, &[(partition as i32, next)], 1 << 20, 500)?;
            let part = fetched.into_iter().next().map_or_else(|| wrong("an empty answer"), Ok)?;
            let got = batches(part.records)?;
            if got.is_empty() {
                let seen = format!("partition {partition} offset {next}: error {}, no records", part.error);
                report.demand(format!("{when}: consumers go on"), false, seen);
                return Ok(());
            }
            for (batch, bytes) in got {
                let records = records::read(&bytes).or_else(|e| wrong(e.to_string()))?;
                let mark = content::read(records[0].value.as_deref().unwrap_or_default())?;
                if batch.base_offset != next || i64::from(mark.number) != next {
                    return wrong(format!("{when}: offset {next} of partition {partition} holds {mark:?}"));
                }
                next += 1;
            }
        }
        read += next;
    }
    report.demand(format!("{when}: consumers go on"), true, format!("{read} batches read"));
    Ok(())
}

/// Deletes the filler and waits until producers are served.
fn heal(server: &Server, kept: &mut [u32], cycle: u32, report: &mut Report) -> Result<()> {
    let mut client = Client::connect(server.kafka)?;
    let began = Instant::now();
    client.delete_topic(FILLER)?;
    report.number(format!("cycle {cycle}: deleting_ms"), ms(began.elapsed()));
    for (partition, count) in kept.iter_mut().enumerate() {
        let mut last = 0;
        let healed = wait_until(HEALED_WITHIN, || {
            last = keep_one(&mut client, partition as i32, *count)?;
            Ok(last == 0)
        })?;
        *count += u32::from(healed);
        let seen = format!("after {:.1?}, last error {last}", began.elapsed());
        report.demand(format!("cycle {cycle}: partition {partition} takes records again"), healed, seen);
    }
    report.number(format!("cycle {cycle}: healed_after_ms"), ms(began.elapsed()));
    Ok(())
}
