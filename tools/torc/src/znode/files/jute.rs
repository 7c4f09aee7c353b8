//! Primitives of ZooKeeper's files, big-endian, with the checksum over all that was read or written.

use std::fmt;

/// Adler-32 (RFC 1950), which ZooKeeper seals its files with.
#[derive(Clone, Copy, Default)]
pub struct Adler(adler2::Adler32);

impl Adler {
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.write_slice(bytes);
    }

    /// As a file has it: in the lower half of a long.
    pub fn value(self) -> i64 {
        self.0.checksum().into()
    }
}

/// What stands in a file where something else must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes from the beginning.
    pub at: usize,
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.what)
    }
}

/// Reads from the front. Lengths are believed only as far as there are bytes.
pub struct FileReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Bytes up to here are in `sum`.
    summed: usize,
    sum: Adler,
}

impl<'a> FileReader<'a> {
    pub fn new(bytes: &'a [u8]) -> FileReader<'a> {
        FileReader { bytes, at: 0, summed: 0, sum: Adler::default() }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub fn damage(&self, what: impl Into<String>) -> Damage {
        Damage { at: self.at, what: what.into() }
    }

    /// The checksum of all that was read.
    pub fn checksum(&mut self) -> i64 {
        self.sum.add(&self.bytes[self.summed..self.at]);
        self.summed = self.at;
        self.sum.value()
    }

    pub fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Damage> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or_else(|| self.damage(format!("the file ends in {what}")))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Damage> {
        Ok(self.take(N, what)?.try_into().expect("just cut to its length"))
    }

    pub fn int(&mut self, what: &str) -> Result<i32, Damage> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    pub fn long(&mut self, what: &str) -> Result<i64, Damage> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub fn flag(&mut self, what: &str) -> Result<bool, Damage> {
        Ok(self.take(1, what)?[0] != 0)
    }

    /// A buffer; `None`: null.
    pub fn buffer(&mut self, what: &str) -> Result<Option<&'a [u8]>, Damage> {
        match self.int(what)? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| self.damage(format!("{what} has {length} bytes")))?;
                self.take(length, what).map(Some)
            }
        }
    }

    pub fn string(&mut self, what: &str) -> Result<&'a str, Damage> {
        let bytes = self.buffer(what)?.unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| self.damage(format!("{what} is not UTF-8")))
    }

    /// Elements of a list that have so many bytes at least; null has none.
    pub fn count(&mut self, least: usize, what: &str) -> Result<usize, Damage> {
        let count = match self.int(what)? {
            -1 => 0,
            count => usize::try_from(count).map_err(|_| self.damage(format!("{what}: {count} of them")))?,
        };
        match count > (self.bytes.len() - self.at) / least {
            true => Err(self.damage(format!("{what}: {count} of them, which the file has no room for"))),
            false => Ok(count),
        }
    }
}

/// Appends.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn int(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub fn long(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// What is counted is in memory, and fits.
    pub fn count(&mut self, count: usize) {
        self.int(i32::try_from(count).expect("ZooKeeper counts to 2^31"));
    }

    pub fn buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                self.count(bytes.len());
                self.0.extend_from_slice(bytes);
            }
        }
    }

    pub fn string(&mut self, value: &str) {
        self.buffer(Some(value.as_bytes()));
    }
}
