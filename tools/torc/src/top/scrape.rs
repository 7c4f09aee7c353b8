//! Reading `/metrics`: one HTTP request, and the samples of Prometheus' text format that torc writes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// For each of connecting, writing and one read.
const PATIENCE: Duration = Duration::from_secs(5);
/// A longer answer is not from torc.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// A histogram of one shard since its start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bounds in seconds, the last one infinite, and how many values are not above them.
    pub buckets: Vec<(f64, f64)>,
    /// Seconds.
    pub sum: f64,
}

/// A consumer group, as far as the server told of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    pub state: Option<String>,
    pub members: Option<f64>,
    /// What is committed, all partitions of a topic together, and what is left to read, by topic.
    pub committed: BTreeMap<String, f64>,
    pub lag: BTreeMap<String, f64>,
}

/// All that a server said at one time.
#[derive(Clone, Debug)]
pub struct Scrape {
    pub at: Instant,
    /// Counters and gauges, by name and shard.
    pub numbers: BTreeMap<(String, Option<u16>), f64>,
    /// Counters of topics, by topic and name.
    pub topics: BTreeMap<String, BTreeMap<String, f64>>,
    /// Consumer groups.
    pub groups: BTreeMap<String, Group>,
    /// Version of the server, with its commit.
    pub version: Option<String>,
    /// Histograms, by shard and stage (or name, if it has no stages).
    pub histograms: BTreeMap<(u16, String), Histogram>,
}

/// Asks the endpoint at `address`: `host:port`, or a URL of it.
///
/// # Errors
/// Nobody answers, or it is not torc's metrics endpoint that does.
pub fn scrape(address: &str) -> Result<Scrape, String> {
    let text = get(address).map_err(|error| format!("cannot read http://{}/metrics: {error}", host_of(address)))?;
    let scrape = parse(&text, Instant::now())?;
    if scrape.shards().is_empty() {
        return Err(format!("http://{}/metrics is not of a torc server", host_of(address)));
    }
    Ok(scrape)
}

/// `host:port` of an address, which may be a URL.
pub fn host_of(address: &str) -> &str {
    let address = address.strip_prefix("http://").unwrap_or(address);
    address.split('/').next().unwrap_or_default()
}

fn get(address: &str) -> io::Result<String> {
    let host = host_of(address);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for target in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&target, PATIENCE) {
            Ok(stream) => return exchange(stream, host),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, host: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"));
    };
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.to_string()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("the answer is `{status}`"))),
    }
}

/// Reads samples; `at` is when they were true.
pub fn parse(text: &str, at: Instant) -> Result<Scrape, String> {
    let (numbers, topics, groups, histograms) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut scrape = Scrape { at, numbers, topics, groups, version: None, histograms };
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        scrape.take(line).ok_or_else(|| format!("`{line}` is no sample of Prometheus' text format"))?;
    }
    Ok(scrape)
}

impl Scrape {
    fn take(&mut self, line: &str) -> Option<()> {
        let (series, value) = line.rsplit_once(' ')?;
        let value: f64 = value.parse().ok()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let (mut shard, mut stage, mut le) = (None, None, None);
        let (mut topic, mut version, mut commit) = (None, None, None);
        let (mut group, mut state) = (None, None);
        for (key, text) in labels_of(labels)? {
            match key {
                "shard" => shard = Some(text.parse::<u16>().ok()?),
                "topic" => topic = Some(text),
                "version" => version = Some(text),
                "commit" => commit = Some(text),
                "stage" => stage = Some(text),
                "consumergroup" => group = Some(text),
                "state" => state = Some(text),
                "le" => le = Some(if text == "+Inf" { f64::INFINITY } else { text.parse().ok()? }),
                _ => {}
            }
        }
        if let Some(group) = group {
            self.take_group(name, group, topic, state, value);
            return Some(());
        }
        if let Some(topic) = topic {
            self.topics.entry(topic).or_default().insert(name.to_string(), value);
            return Some(());
        }
        if let ("torc_build_info", Some(version)) = (name, version) {
            self.version = Some(format!("{version} ({})", commit.as_deref().unwrap_or("unknown")));
        }
        let part_of = |part: &&'static str| Some((name.strip_suffix(part)?.strip_suffix("_seconds")?, *part));
        let Some((family, part)) = ["_bucket", "_sum", "_count"].iter().find_map(part_of) else {
            self.numbers.insert((name.to_string(), shard), value);
            return Some(());
        };
        let stage = stage.unwrap_or_else(|| family.to_string());
        let histogram = self.histograms.entry((shard?, stage)).or_default();
        match part {
            "_bucket" => histogram.buckets.push((le?, value)),
            "_sum" => histogram.sum = value,
            _ => {}
        }
        Some(())
    }

    /// A sample of a consumer group; those of single partitions are not kept.
    fn take_group(&mut self, name: &str, group: String, topic: Option<String>, state: Option<String>, value: f64) {
        let group = self.groups.entry(group).or_default();
        match (name, topic) {
            ("torc_consumergroup_info", _) => group.state = state,
            ("kafka_consumergroup_members", _) => group.members = Some(value),
            ("kafka_consumergroup_current_offset_sum", Some(topic)) => drop(group.committed.insert(topic, value)),
            ("kafka_consumergroup_lag_sum", Some(topic)) => drop(group.lag.insert(topic, value)),
            _ => {}
        }
    }

    /// The shards that said anything, rising.
    pub fn shards(&self) -> Vec<u16> {
        let torc = self.numbers.keys().filter(|(name, _)| name == "torc_requests_total");
        torc.filter_map(|(_, shard)| *shard).collect()
    }

    /// A counter or gauge of the process.
    pub fn of_process(&self, name: &str) -> Option<f64> {
        self.numbers.get(&(name.to_string(), None)).copied()
    }

    /// A counter or gauge of a shard; 0 if it is not there.
    pub fn number(&self, name: &str, shard: u16) -> f64 {
        self.numbers.get(&(name.to_string(), Some(shard))).copied().unwrap_or(0.0)
    }
}

/// Names and values of `a="x",b="y"`, in which quotes, backslashes and line breaks are escaped.
fn labels_of(text: &str) -> Option<Vec<(&str, String)>> {
    let (mut labels, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (key, behind) = rest.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), behind.char_indices());
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key, value));
        rest = &behind[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?;
        }
    }
    Some(labels)
}

impl Histogram {
    /// What was counted since `earlier`; all if the server was restarted meanwhile.
    pub fn since(&self, earlier: Option<&Histogram>) -> Histogram {
        let Some(earlier) = earlier.filter(|earlier| earlier.count() <= self.count()) else { return self.clone() };
        let before = |n: usize| earlier.buckets.get(n).map_or(0.0, |(_, count)| *count);
        let buckets = self.buckets.iter().enumerate().map(|(n, (le, count))| (*le, (count - before(n)).max(0.0)));
        Histogram { buckets: buckets.collect(), sum: (self.sum - earlier.sum).max(0.0) }
    }

    /// Both together. Buckets of one server are the same.
    pub fn plus(mut self, other: &Histogram) -> Histogram {
        if self.buckets.is_empty() {
            return other.clone();
        }
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.sum += other.sum;
        self
    }

    /// How many values it has.
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value in seconds that the fraction `q` of all values is not above, taking them as spread evenly in their
    /// bucket; the last finite bound if it is above that. `None` without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = self.count() * q;
        let at = self.buckets.iter().position(|(_, count)| *count >= rank && *count > 0.0)?;
        let (low, below) = at.checked_sub(1).map_or((0.0, 0.0), |before| self.buckets[before]);
        let (high, count) = self.buckets[at];
        Some(if high.is_finite() { low + (high - low) * (rank - below) / (count - below) } else { low })
    }
}
