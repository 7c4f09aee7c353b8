//! Jute's primitives, big-endian and counted, off the front of a record and onto the end of one.

use torc_base::malformed::Malformed;

/// What an undecodable string is read as: a character that no path, scheme or name may have, as in ZooKeeper, where
/// decoding puts it in the place of what is not UTF-8.
const NO_TEXT: &str = "\u{fffd}";
/// The same of a path that may be looked for: one of a znode that there cannot be.
const NO_PATH: &str = "/\u{fffd}";

fn path_of(bytes: &[u8]) -> &str {
    let stands_for = if bytes.contains(&b'/') && !bytes.contains(&0) { NO_PATH } else { NO_TEXT };
    std::str::from_utf8(bytes).unwrap_or(stands_for)
}

/// Reads from the front of a record. Lengths are believed only as far as there are bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct JuteReader<'a>(pub(super) &'a [u8]);

impl<'a> JuteReader<'a> {
    fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed { what })?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        Ok(self.bytes(N, what)?.try_into().expect("just cut to its length"))
    }

    /// This one's place in its frame, from which on there are so many.
    pub(super) fn place(&self, left: usize) -> Place {
        Place { behind: self.0.len(), left }
    }

    /// One that goes on there.
    pub(super) fn at(frame: &'a [u8], place: Place) -> JuteReader<'a> {
        let rest = frame.len().checked_sub(place.behind).and_then(|at| frame.get(at..));
        JuteReader(rest.expect("it is the same frame"))
    }

    pub(super) fn int(&mut self, what: &'static str) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    pub(super) fn long(&mut self, what: &'static str) -> Result<i64, Malformed> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    pub(super) fn boolean(&mut self, what: &'static str) -> Result<bool, Malformed> {
        Ok(self.bytes(1, what)?[0] != 0)
    }

    /// A buffer; `None`: null.
    pub(super) fn buffer(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        match self.int(what)? {
            -1 => Ok(None),
            len => Ok(Some(self.bytes(usize::try_from(len).map_err(|_| Malformed { what })?, what)?)),
        }
    }

    /// A string; null is the empty one, which is as wrong wherever a string is asked for.
    pub(super) fn string(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.buffer(what)?.unwrap_or_default();
        Ok(std::str::from_utf8(bytes).unwrap_or(NO_TEXT))
    }

    /// A path; `None`: null.
    pub(super) fn path(&mut self) -> Result<Option<&'a str>, Malformed> {
        Ok(self.buffer("a path")?.map(path_of))
    }

    /// True if null comes next.
    pub(super) fn is_at_null(&self) -> bool {
        self.0.starts_with(&[0xff; 4])
    }

    /// A string where null is none.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.buffer(what)?.ok_or(Malformed { what })?;
        Ok(std::str::from_utf8(bytes).unwrap_or(NO_TEXT))
    }

    /// Elements of a list; null is the empty one, and so is every list of fewer than none, as in ZooKeeper. Each has `least`
    /// bytes or more.
    fn count(&mut self, least: usize, what: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.int(what)?).unwrap_or(0);
        if count > self.0.len() / least { Err(Malformed { what }) } else { Ok(count) }
    }

    pub(super) fn strings(&mut self, what: &'static str) -> Result<Strings<'a>, Malformed> {
        let count = self.count(4, what)?;
        let before = self.clone();
        for _ in 0..count {
            self.string(what)?;
        }
        Ok(Strings { rest: before, left: count })
    }

    /// The same of paths of which some may be null. A list that is null is read as one of a null path: both are as wrong.
    pub(super) fn paths(&mut self, what: &'static str) -> Result<Strings<'a>, Malformed> {
        let before = self.clone();
        if self.int(what)? == -1 {
            return Ok(Strings { rest: before, left: 1 });
        }
        *self = before;
        self.strings(what)
    }

    pub(super) fn acls(&mut self, what: &'static str) -> Result<Acls<'a>, Malformed> {
        let count = self.count(12, what)?;
        let before = self.clone();
        for _ in 0..count {
            self.acl(what)?;
        }
        Ok(Acls { rest: before, left: count })
    }

    fn acl(&mut self, what: &'static str) -> Result<Acl<'a>, Malformed> {
        let (perms, scheme) = (self.int(what)?, self.string(what)?);
        // As in ZooKeeper, null is no id of a scheme that looks at it.
        let looks = matches!(scheme, "world" | "digest" | "ip");
        Ok(Acl { perms, scheme, id: if looks { self.text(what)? } else { self.string(what)? } })
    }
}

/// Who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acl<'a> {
    /// Bits: read 1, write 2, create 4, delete 8, admin 16.
    pub perms: i32,
    /// `world`, `auth`, `digest`, `ip`, ...
    pub scheme: &'a str,
    /// What it says in that scheme.
    pub id: &'a str,
}

/// A list of strings, in a frame. Its bytes have been looked through.
#[derive(Clone, Debug, Default)]
pub struct Strings<'a> {
    rest: JuteReader<'a>,
    left: usize,
}

/// Where a list goes on in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from there to the end of the frame.
    behind: usize,
    left: usize,
}

impl Place {
    /// There is no next one.
    pub fn is_end(self) -> bool {
        self.left == 0
    }

    /// How many there are from there on.
    pub fn left(self) -> usize {
        self.left
    }
}

impl<'a> Strings<'a> {
    /// Where the next one stands.
    pub fn place(&self) -> Place {
        self.rest.place(self.left)
    }

    /// The next one; `Some(None)`: it is null.
    pub fn next_or_null(&mut self) -> Option<Option<&'a str>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.rest.path().expect("looked through before"))
    }

    /// The list that goes on there, in the frame of which that was told.
    pub fn at(frame: &'a [u8], place: Place) -> Strings<'a> {
        Strings { rest: JuteReader::at(frame, place), left: place.left }
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.left = self.left.checked_sub(1)?;
        Some(self.rest.string("a string").expect("looked through before"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Strings<'_> {}

/// An access list, in a frame. Its bytes have been looked through.
#[derive(Clone, Debug, Default)]
pub struct Acls<'a> {
    rest: JuteReader<'a>,
    left: usize,
}

impl<'a> Iterator for Acls<'a> {
    type Item = Acl<'a>;

    fn next(&mut self) -> Option<Acl<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(self.rest.acl("an access list").expect("looked through before"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Acls<'_> {}

pub(super) fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a count; what is counted is in memory, and that is bounded far below.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_int(out, i32::try_from(count).expect("an answer is bounded"));
}

pub(super) fn put_buffer(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => put_int(out, -1),
        Some(bytes) => {
            put_count(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

pub(super) fn put_string(out: &mut Vec<u8>, value: &str) {
    put_buffer(out, Some(value.as_bytes()));
}

pub(super) fn put_acls<'a>(out: &mut Vec<u8>, acls: impl ExactSizeIterator<Item = Acl<'a>>) {
    put_count(out, acls.len());
    for acl in acls {
        put_int(out, acl.perms);
        put_string(out, acl.scheme);
        put_string(out, acl.id);
    }
}
