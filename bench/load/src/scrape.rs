//! Reading a server's `/metrics`.

use crate::error::Error;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// For each of connecting, writing and one read.
const PATIENCE: Duration = Duration::from_secs(5);
/// A longer answer is nonsense.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// The metrics at `address` (`host:port`) whose names begin with `prefix`; of each the sum over its labels.
pub fn scrape(address: &str, prefix: &str) -> Result<BTreeMap<String, f64>, Error> {
    let doing = || format!("reading http://{address}/metrics");
    let target = address.to_socket_addrs().map_err(Error::io(doing()))?.next();
    let target = target.ok_or_else(|| Error::Unfit(format!("{address} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).map_err(Error::io(doing()))?;
    let mut ask = || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        (&stream).take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map(|_| answer)
    };
    let answer = ask().map_err(Error::io(doing()))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(sums(body, prefix)),
        _ => Err(Error::Unfit(format!("{}: the answer is no metrics", doing()))),
    }
}

/// The samples of a text in Prometheus' format, summed over their labels.
pub(crate) fn sums(text: &str, prefix: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with(prefix)) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or_default();
        if let Ok(value) = value.parse::<f64>() {
            *sums.entry(name.to_string()).or_default() += value;
        }
    }
    sums
}
