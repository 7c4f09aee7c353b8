//! The HTTP endpoint for monitoring: `/metrics` in Prometheus' text format, `/healthz`, `/readyz`.
//!
//! Plain HTTP/1.1 on threads of its own, one request to a connection. Everything is bounded: connections, the
//! request's size, the time that one may take. It shares nothing with the shards but their counters.

use crate::endpoint::Endpoint;
use crate::listen::{self, ListenError};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Requests answered at once; beyond it one is told 503.
const CONNECTIONS_MAX: usize = 8;
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

/// One number of one shard, or of the process.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Prometheus' name, with the unit in it.
    pub name: String,
    /// One sentence.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// The shard it is of; `None`: the process.
    pub shard: Option<u16>,
    /// The number.
    pub value: u64,
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
    /// Label `stage`, if it has one.
    pub stage: Option<&'static str>,
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
}

/// Starts the endpoint and returns where it listens. It serves until the process ends.
pub fn start(endpoint: &Endpoint, source: Source) -> Result<SocketAddr, ListenError> {
    let setting = "--metrics (or --metrics none)";
    let listener = listen::shared("metrics", endpoint, setting, 1, Duration::ZERO)?.remove(0);
    let fail = |error| ListenError { what: "metrics", endpoint: endpoint.clone(), error, setting };
    let address = listener.local_addr().map_err(fail)?;
    let builder = thread::Builder::new().name("metrics".to_string());
    builder.spawn(move || accept(&listener, &Arc::new(source))).map_err(fail)?;
    Ok(address)
}

fn accept(listener: &TcpListener, source: &Arc<Source>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept() else {
            // Out of descriptors, most likely: they come back with time, and nothing else depends on this thread.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            refuse(stream);
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (source, mine) = (Arc::clone(source), Arc::clone(&open));
        let spawned = thread::Builder::new().name("metrics-request".to_string()).spawn(move || {
            // A client that goes away or is too slow concerns only itself.
            let _ = serve(stream, &source);
            mine.fetch_sub(1, Ordering::Relaxed);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn refuse(mut stream: TcpStream) {
    // Short enough for any socket's send buffer: it does not block.
    let _ = stream.write_all(&answer(503, "text/plain", "too many requests at once\n", true));
}

/// Reads one request and answers it.
fn serve(mut stream: TcpStream, source: &Source) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_TIME;
    stream.set_write_timeout(Some(REQUEST_TIME))?;
    let mut head = Vec::new();
    let complete = loop {
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break Some(end);
        }
        if head.len() > HEAD_BYTES_MAX {
            break None;
        }
        if read_some(&mut stream, deadline, &mut head)? == 0 {
            return Ok(());
        }
    };
    let reply = match complete {
        Some(end) => respond(&head[..end], source),
        None => answer(431, "text/plain", "the request is too long\n", true),
    };
    stream.write_all(&reply)?;
    stream.shutdown(Shutdown::Write)?;
    // Closing with bytes unread would reset the connection, and the client might lose the answer.
    let mut rest = Vec::new();
    while rest.len() < HEAD_BYTES_MAX && read_some(&mut stream, deadline, &mut rest)? > 0 {}
    Ok(())
}

fn read_some(stream: &mut TcpStream, deadline: Instant, into: &mut Vec<u8>) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    let mut chunk = [0; 1024];
    let got = stream.read(&mut chunk)?;
    into.extend_from_slice(&chunk[..got]);
    Ok(got)
}

/// The answer to a request head: request line and headers, without the empty line.
pub fn respond(head: &[u8], source: &Source) -> Vec<u8> {
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
    match target.split('?').next().unwrap_or_default() {
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
            let _ = match sample.shard {
                Some(shard) => writeln!(text, "{name}{{shard=\"{shard}\"}} {}", sample.value),
                None => writeln!(text, "{name} {}", sample.value),
            };
        }
    }
    text
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
        for Times { shard, stage, buckets, sum_ns, .. } in family {
            assert_eq!(buckets.len(), bounds.len() + 1, "a count for each bound, and one for what is above all");
            let mut labels = format!("shard=\"{shard}\"");
            if let Some(stage) = stage {
                let _ = write!(labels, ",stage=\"{stage}\"");
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
