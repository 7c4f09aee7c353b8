//! What a server holds on disk over time, beside what it must keep.

use crate::error::Error;
use crate::report::Held;
use kafka_protocol::messages::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use torc_client::{Cluster, topic_name};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// What `st_blocks` counts.
const BLOCK: u64 = 512;

/// A topic whose bytes are live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub topic: String,
    pub partitions: i32,
    /// What of a partition must be kept (retention.bytes); `None`: all.
    pub retention: Option<u64>,
}

/// Looks at a data directory again and again, on a thread of its own.
pub struct Watch {
    over: Sender<()>,
    thread: JoinHandle<Result<Vec<Held>, Error>>,
    began: Instant,
}

impl Watch {
    /// Begins to look at `directory` of the server at `address`.
    pub fn start(directory: PathBuf, address: String, kept: Vec<Kept>, reserve: u64) -> Watch {
        let (over, told) = channel();
        let began = Instant::now();
        let thread = thread::spawn(move || {
            let mut cluster = Cluster::connect(&address)?;
            let (mut seen, mut over) = (Vec::new(), false);
            loop {
                let live_bytes = live_bytes(&mut cluster, &kept)?;
                let disk_bytes =
                    allocated(&directory).map_err(Error::io(format!("reading {}", directory.display())))?;
                let at_s = began.elapsed().as_secs_f64();
                seen.push(Held { at_s, disk_bytes, live_bytes, reserve_bytes: reserve });
                if over {
                    return Ok(seen);
                }
                over = told.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout);
            }
        });
        Watch { over, thread, began }
    }

    /// Looks a last time. What was seen, with times that count from `begin` seconds since 1970.
    pub fn end(self, begin_s: f64) -> Result<Vec<Held>, Error> {
        // It may have ended by an error, which comes now.
        let _ = self.over.send(());
        let seen = self.thread.join().expect("looking does not panic")?;
        let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        let before = begin_s - (now_s - self.began.elapsed().as_secs_f64());
        Ok(seen.into_iter().map(|held| Held { at_s: held.at_s - before, ..held }).collect())
    }
}

/// Bytes of the blocks that the files below `path` take. A file that goes away meanwhile takes none.
pub fn allocated(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * BLOCK;
        if metadata.is_dir() {
            bytes += allocated(&entry.path()).unwrap_or(0);
        }
    }
    Ok(bytes)
}

/// What the server says that it holds of the topics, each partition counted up to what must be kept of it.
fn live_bytes(cluster: &mut Cluster, kept: &[Kept]) -> Result<u64, Error> {
    let asked = |kept: &Kept| {
        let topic = DescribableLogDirTopic::default().with_topic(topic_name(&kept.topic));
        topic.with_partitions((0..kept.partitions).collect())
    };
    let request = DescribeLogDirsRequest::default().with_topics(Some(kept.iter().map(asked).collect()));
    let response = cluster.any().call(&request)?;
    let mut sizes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for topic in response.results.iter().flat_map(|result| &result.topics) {
        let of_topic = topic.partitions.iter().map(|partition| partition.partition_size.max(0) as u64);
        sizes.entry(topic.name.to_string()).or_default().extend(of_topic);
    }
    let of = |kept: &Kept| live(sizes.get(&kept.topic).map_or(&[], Vec::as_slice), kept.retention);
    Ok(kept.iter().map(of).sum())
}

/// What must be kept of partitions of these sizes.
pub(crate) fn live(sizes: &[u64], retention: Option<u64>) -> u64 {
    sizes.iter().map(|size| (*size).min(retention.unwrap_or(u64::MAX))).sum()
}
