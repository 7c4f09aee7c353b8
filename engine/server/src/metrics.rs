//! The HTTP endpoints for monitoring: `/metrics` in Prometheus' text format, `/healthz`, `/readyz`, and ZooKeeper's commands, which
//! may have a port of their own.
//!
//! Plain HTTP/1.1 on threads of its own, one request to a connection. Everything is bounded: connections, the
//! request's size, the time from connect to the last byte of the answer, however slowly a client reads. Where there are too
//! many, the one that has been there longest goes: a scrape takes milliseconds, so that is one that stalls. It shares
//! nothing with the shards but their counters.

use crate::commands;
use crate::endpoint::Endpoint;
use crate::error::ServeError;
use crate::listen::{self, ListenError, Patience};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use torc_reactor::resources::Want;

/// Connections at once; beyond it the oldest is shut down.
const CONNECTIONS_MAX: usize = 16;
/// Threads at once: those that were shut down need a moment to end. Beyond it a connection is told 503.
const THREADS_MAX: usize = 4 * CONNECTIONS_MAX;
/// Descriptors of all that: each thread's connection, copies of those that can be shut down, the listening sockets, and
/// one that is being refused at each. Both endpoints share the threads.
pub(crate) const FILES_MAX: u64 = (THREADS_MAX + CONNECTIONS_MAX + 2 * 2) as u64;
/// A longer request head is told 431.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// From connect to the last byte of the answer.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// What a sample is, for Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at start.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// One number of one shard or topic, or of the process.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Prometheus' name, with the unit in it.
    pub name: String,
    /// One sentence.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// What it is of; none: the process.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// A histogram of times, of one shard.
#[derive(Clone, Debug)]
pub struct Times {
    /// Prometheus' name, ending in `_seconds`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The shard it is of.
    pub shard: u16,
    /// A label besides, if it has one, and its value.
    pub of: Option<(&'static str, &'static str)>,
    /// Values up to each of `bounds` and above the one before; last, those above all bounds.
    pub buckets: Vec<u64>,
    /// All values together, in nanoseconds.
    pub sum_ns: u64,
}

/// What the endpoint shows.
pub struct Source {
    /// All numbers as they are now.
    pub samples: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// All histograms as they are now.
    pub times: Box<dyn Fn() -> Vec<Times> + Send + Sync>,
    /// Upper bounds of all histograms' buckets, in nanoseconds, rising.
    pub bounds: Vec<u64>,
    /// True while clients are served.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Answers a command of ZooKeeper's, by what stands behind `/commands/` and behind `?`, in JSON; `None`: there are none.
    pub commands: Option<Commands>,
}

/// See [`Source::commands`].
pub type Commands = Box<dyn Fn(&str, &str) -> String + Send + Sync>;

/// Which of the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// All there is.
    Metrics,
    /// ZooKeeper's commands alone.
    Admin,
}

/// What both endpoints share.
#[derive(Clone)]
pub struct Service {
    source: Arc<Source>,
    open: Arc<Mutex<Open>>,
}

impl Service {
    /// Of a server that shows this.
    pub fn new(source: Source) -> Service {
        Service { source: Arc::new(source), open: Arc::default() }
    }
}

/// Starts an endpoint and returns where it listens. It serves until the process ends.
pub fn start(
    endpoint: &Endpoint,
    door: Door,
    service: &Service,
    patience: Patience<'_>,
) -> Result<SocketAddr, ServeError> {
    let (what, setting) = match door {
        Door::Metrics => ("metrics", "--metrics (or --metrics none)"),
        Door::Admin => ("zookeeper's commands", "admin.serverPort (or admin.enableServer=false)"),
    };
    let listener = listen::shared(what, endpoint, setting, 1, patience)?.remove(0);
    let fail = |error| ListenError { what, endpoint: endpoint.clone(), error, setting };
    let address = listener.local_addr().map_err(fail)?;
    let builder = thread::Builder::new().name("metrics".to_string());
    let service = service.clone();
    let spawned = builder.spawn(move || accept(&listener, door, &service));
    spawned.map_err(|error| ServeError::Io { what: "start the thread of the metrics", want: Want::Thread, error })?;
    Ok(address)
}

/// Who is being served.
#[derive(Default)]
struct Open {
    /// Oldest first.
    connections: Vec<(u64, TcpStream)>,
    count: u64,
    threads: usize,
}

impl Open {
    /// A place for this connection; `None` if too many threads have not ended yet.
    fn enter(&mut self, stream: &TcpStream) -> io::Result<Option<u64>> {
        if self.threads == THREADS_MAX {
            return Ok(None);
        }
        let copy = stream.try_clone()?;
        if self.connections.len() == CONNECTIONS_MAX {
            // Its thread wakes up with an error or an end. One that is gone already cannot be shut down again.
            let _ = self.connections.remove(0).1.shutdown(Shutdown::Both);
        }
        self.count += 1;
        self.threads += 1;
        self.connections.push((self.count, copy));
        Ok(Some(self.count))
    }

    fn leave(&mut self, number: u64) {
        self.threads -= 1;
        self.connections.retain(|(other, _)| *other != number);
    }
}

fn accept(listener: &TcpListener, door: Door, Service { source, open }: &Service) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: they come back with time, and nothing else depends on this thread.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let number = match lock(open).enter(&stream) {
            Ok(Some(number)) => number,
            Ok(None) => {
                refuse(stream);
                continue;
            }
            // No descriptor to be had: this one gives one back.
            Err(_) => continue,
        };
        let (source, mine) = (Arc::clone(source), Arc::clone(open));
        let spawned = thread::Builder::new().name("metrics-request".to_string()).spawn(move || {
            // A client that goes away or is too slow concerns only itself.
            let _ = serve(stream, door, &source);
            lock(&mine).leave(number);
        });
        if spawned.is_err() {
            lock(open).leave(number);
        }
    }
}

fn lock(open: &Mutex<Open>) -> std::sync::MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refuse(mut stream: TcpStream) {
    // Short enough for any socket's send buffer: it does not block.
    let _ = stream.write_all(&answer(503, "text/plain", "too many requests at once\n", true));
}

/// Reads one request and answers it.
fn serve(mut stream: TcpStream, door: Door, source: &Source) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_TIME;
    let mut head: Vec<u8> = Vec::new();
    let complete = loop {
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break Some(end);
        }
        if head.len() > HEAD_BYTES_MAX {
            break None;
        }
        if head.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
            // Another protocol: whoever speaks it does not wait for the time that a request may take.
            break Some(0);
        }
        if read_some(&mut stream, deadline, &mut head)? == 0 {
            return Ok(());
        }
    };
    let reply = match complete {
        Some(end) => respond(&head[..end], door, source),
        None => answer(431, "text/plain", "the request is too long\n", true),
    };
    write_all(&mut stream, deadline, &reply)?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with bytes unread would reset the connection, and the client might lose the answer.
    let mut rest = Vec::new();
    while rest.len() < HEAD_BYTES_MAX && read_some(&mut stream, deadline, &mut rest)? > 0 {}
    Ok(())
}

/// What is left until then; an error if nothing is.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A timeout of the socket is one of each write: a client that takes a byte now and then would never meet it.
fn write_all(stream: &mut TcpStream, deadline: Instant, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => bytes = &bytes[n..],
        }
    }
    Ok(())
}

fn read_some(stream: &mut TcpStream, deadline: Instant, into: &mut Vec<u8>) -> io::Result<usize> {
    stream.set_read_timeout(Some(time_left(deadline)?))?;
    let mut chunk = [0; 1024];
    let got = stream.read(&mut chunk)?;
    into.extend_from_slice(&chunk[..got]);
    Ok(got)
}

/// The answer to a request head: request line and headers, without the empty line.
pub fn respond(head: &[u8], door: Door, source: &Source) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return answer(400, "text/plain", "this is no HTTP request\n", true);
    };
    if !version.starts_with("HTTP/1.") {
        return answer(400, "text/plain", "HTTP/1.1 is spoken here\n", true);
    }
    let body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return answer(405, "text/plain", "only GET and HEAD\n", true),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let (Some(commands), Some(name)) = (&source.commands, path.strip_prefix(commands::PATH)) {
        return match name.strip_prefix('/').unwrap_or(name) {
            "" => answer(200, "text/html;charset=utf-8", &commands::links(), body),
            name => answer(200, "application/json;charset=utf-8", &commands(name, query), body),
        };
    }
    if door == Door::Admin {
        return answer(404, "text/plain", "see /commands\n", body);
    }
    match path {
        "/metrics" => {
            let text = render(&(source.samples)()) + &render_times(&(source.times)(), &source.bounds);
            answer(200, "text/plain; version=0.0.4; charset=utf-8", &text, body)
        }
        "/healthz" => answer(200, "text/plain", "ok\n", body),
        "/readyz" if (source.ready)() => answer(200, "text/plain", "ready\n", body),
        "/readyz" => answer(503, "text/plain", "not ready\n", body),
        _ => answer(404, "text/plain", "see /metrics, /healthz, /readyz\n", body),
    }
}

fn answer(status: u16, content_type: &str, body: &str, with_body: bool) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        other => panic!("a status without its reason: {other}"),
    };
    let mut text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if with_body {
        text.push_str(body);
    }
    text.into_bytes()
}

/// Prometheus' text format: every name once with its help and type, then its samples.
pub fn render(samples: &[Sample]) -> String {
    let mut families: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        families.entry(&sample.name).or_default().push(sample);
    }
    let mut text = String::new();
    for (name, family) in families {
        let help = family[0].help.trim().replace('\\', "\\\\").replace('\n', "\\n");
        let kind = match family[0].kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for sample in family {
            let labels: Vec<String> = sample.labels.iter().map(|(key, value)| label(key, value)).collect();
            let _ = match labels[..] {
                [] => writeln!(text, "{name} {}", sample.value),
                _ => writeln!(text, "{name}{{{}}} {}", labels.join(","), sample.value),
            };
        }
    }
    text
}

fn label(key: &str, value: &str) -> String {
    format!("{key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The same for histograms. Buckets are cumulative, as Prometheus wants them.
pub fn render_times(times: &[Times], bounds: &[u64]) -> String {
    let mut families: BTreeMap<&str, Vec<&Times>> = BTreeMap::new();
    for times in times {
        families.entry(times.name).or_default().push(times);
    }
    let mut text = String::new();
    for (name, family) in families {
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} histogram", family[0].help);
        for Times { shard, of, buckets, sum_ns, .. } in family {
            assert_eq!(buckets.len(), bounds.len() + 1, "a count for each bound, and one for what is above all");
            let mut labels = format!("shard=\"{shard}\"");
            if let Some((key, value)) = of {
                let _ = write!(labels, ",{key}=\"{value}\"");
            }
            let mut count = 0;
            for (n, bucket) in buckets.iter().enumerate() {
                count += bucket;
                let le = bounds.get(n).map_or("+Inf".to_string(), |ns| seconds(*ns).to_string());
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{le}\"}} {count}");
            }
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}", seconds(*sum_ns));
        }
    }
    text
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
