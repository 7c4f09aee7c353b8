//! Frames of the hot path, by hand: produce and fetch requests that are patched, and their answers.

use std::fmt;

/// Kafka's number of an API.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
/// Versions of Produce that this module writes; all without compact lengths.
pub const PRODUCE_VERSIONS: (i16, i16) = (3, 8);
/// Versions of Fetch that this module writes; all without compact lengths.
pub const FETCH_VERSIONS: (i16, i16) = (4, 11);

const CLIENT_ID: &str = "torc-bench";
/// Where a request's correlation id lies in its frame, the length included.
const AT_CORRELATION: usize = 8;

/// An answer that contradicts the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonsense(pub &'static str);

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the answer is not Kafka's protocol: {}", self.0)
    }
}

/// A produce request of one batch, built once.
#[derive(Clone, Debug)]
pub struct ProduceFrame {
    /// All of it, its length first.
    pub bytes: Vec<u8>,
    /// Where the partition's number lies.
    partition_at: usize,
    /// Where the batch begins; it ends with the frame.
    pub batch_at: usize,
}

impl ProduceFrame {
    /// A request in `version` for `topic`, with `batch`.
    pub fn new(version: i16, topic: &str, acks: i16, timeout_ms: i32, batch: &[u8]) -> ProduceFrame {
        let mut bytes = begin(PRODUCE, version);
        bytes.extend_from_slice(&(-1i16).to_be_bytes()); // no transactional id
        bytes.extend_from_slice(&acks.to_be_bytes());
        bytes.extend_from_slice(&timeout_ms.to_be_bytes());
        bytes.extend_from_slice(&1i32.to_be_bytes());
        put_string(&mut bytes, topic);
        bytes.extend_from_slice(&1i32.to_be_bytes());
        let partition_at = bytes.len();
        bytes.extend_from_slice(&0i32.to_be_bytes());
        bytes.extend_from_slice(&(batch.len() as i32).to_be_bytes());
        let batch_at = bytes.len();
        bytes.extend_from_slice(batch);
        end(&mut bytes);
        ProduceFrame { bytes, partition_at, batch_at }
    }

    /// Addresses `frame`, a copy of this one.
    pub fn address(&self, frame: &mut [u8], correlation: i32, partition: i32) {
        frame[AT_CORRELATION..AT_CORRELATION + 4].copy_from_slice(&correlation.to_be_bytes());
        frame[self.partition_at..self.partition_at + 4].copy_from_slice(&partition.to_be_bytes());
    }
}

/// How much a fetch asks for, and how long it may wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSize {
    pub wait_ms: i32,
    pub bytes_min: i32,
    pub bytes_max: i32,
}

/// Appends a fetch of one partition from `offset` to `out`.
pub fn put_fetch(
    out: &mut Vec<u8>,
    version: i16,
    correlation: i32,
    topic: &str,
    size: FetchSize,
    (partition, offset): (i32, i64),
) {
    let at = out.len();
    out.extend_from_slice(&begin(FETCH, version));
    out.extend_from_slice(&(-1i32).to_be_bytes()); // not a replica
    out.extend_from_slice(&size.wait_ms.to_be_bytes());
    out.extend_from_slice(&size.bytes_min.to_be_bytes());
    out.extend_from_slice(&size.bytes_max.to_be_bytes());
    out.push(0); // uncommitted is read too
    if version >= 7 {
        out.extend_from_slice(&0i32.to_be_bytes()); // no session
        out.extend_from_slice(&(-1i32).to_be_bytes());
    }
    out.extend_from_slice(&1i32.to_be_bytes());
    put_string(out, topic);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    if version >= 9 {
        out.extend_from_slice(&(-1i32).to_be_bytes()); // any leader epoch
    }
    out.extend_from_slice(&offset.to_be_bytes());
    if version >= 5 {
        out.extend_from_slice(&(-1i64).to_be_bytes()); // only followers have a log start
    }
    out.extend_from_slice(&size.bytes_max.to_be_bytes());
    if version >= 7 {
        out.extend_from_slice(&0i32.to_be_bytes()); // no topics to forget
    }
    if version >= 11 {
        put_string(out, ""); // no rack
    }
    end(&mut out[at..]);
    out[at + AT_CORRELATION..at + AT_CORRELATION + 4].copy_from_slice(&correlation.to_be_bytes());
}

fn begin(api: i16, version: i16) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&api.to_be_bytes());
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&0i32.to_be_bytes());
    put_string(&mut bytes, CLIENT_ID);
    bytes
}

fn end(bytes: &mut [u8]) {
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as i16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What a broker says to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Kafka's error code; 0 is success.
    pub code: i16,
    pub base_offset: i64,
}

/// Bytes of an answer, read in order.
pub struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    /// `frame` is the answer without its length; returns it behind the correlation id, and that.
    pub fn open(frame: &'a [u8]) -> Result<(i32, Answer<'a>), Nonsense> {
        let mut answer = Answer(frame);
        let correlation = answer.i32()?;
        Ok((correlation, answer))
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Nonsense> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Nonsense("it ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Nonsense> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    pub fn i16(&mut self) -> Result<i16, Nonsense> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Nonsense> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Nonsense> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length or count that must not be negative.
    pub fn length(&mut self) -> Result<usize, Nonsense> {
        usize::try_from(self.i32()?).map_err(|_| Nonsense("a length is negative"))
    }

    /// Reads one topic's name, passing over it.
    fn topic(&mut self) -> Result<(), Nonsense> {
        let length = usize::try_from(self.i16()?).map_err(|_| Nonsense("a topic has no name"))?;
        self.take(length).map(drop)
    }

    /// What is said to the one batch of a [`ProduceFrame`].
    pub fn produced(mut self) -> Result<Produced, Nonsense> {
        if self.length()? != 1 {
            return Err(Nonsense("it is not about one topic"));
        }
        self.topic()?;
        if self.length()? != 1 {
            return Err(Nonsense("it is not about one partition"));
        }
        self.i32()?;
        Ok(Produced { code: self.i16()?, base_offset: self.i64()? })
    }

    /// What a [`put_fetch`] in `version` brought.
    pub fn fetched(mut self, version: i16) -> Result<Fetched<'a>, Nonsense> {
        self.i32()?; // throttle time
        if version >= 7 {
            let code = self.i16()?;
            self.i32()?;
            if code != 0 {
                return Ok(Fetched { code, high_watermark: -1, batches: &[] });
            }
        }
        if self.length()? != 1 {
            return Err(Nonsense("it is not about one topic"));
        }
        self.topic()?;
        if self.length()? != 1 {
            return Err(Nonsense("it is not about one partition"));
        }
        self.i32()?;
        let (code, high_watermark) = (self.i16()?, self.i64()?);
        self.i64()?; // last stable offset
        if version >= 5 {
            self.i64()?; // log start
        }
        for _ in 0..self.i32()?.max(0) {
            self.take(16)?; // an aborted transaction
        }
        if version >= 11 {
            self.i32()?; // preferred replica
        }
        let length = self.i32()?.max(0) as usize;
        Ok(Fetched { code, high_watermark, batches: self.take(length)? })
    }
}

/// What a fetch brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched<'a> {
    /// Kafka's error code; 0 is success.
    pub code: i16,
    pub high_watermark: i64,
    /// Record batches; the last may be cut short.
    pub batches: &'a [u8],
}
