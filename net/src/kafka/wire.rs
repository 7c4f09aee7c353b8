//! Kafka's primitive types: big-endian integers, varints, strings and arrays with plain or compact lengths.

use std::borrow::Cow;
use std::ops::Range;
use torc_base::limits::REQUEST_PARTITIONS_MAX;

/// Longest string of the protocol, compact or not.
pub(crate) const STRING_MAX: usize = i16::MAX as usize;
/// Array elements and tagged fields of one request. Twice the partitions, for each may stand in a topic of its own.
pub(crate) const ELEMENTS_MAX: usize = 2 * REQUEST_PARTITIONS_MAX;

/// Why bytes are not what the schema says.
pub(crate) type Wire<T> = Result<T, &'static str>;

/// Reads a request field by field; never past the end, never with more elements than allowed.
pub(crate) struct WireReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Array elements and tagged fields that may still come.
    elements_left: usize,
    /// Where strings lie that are not UTF-8.
    spoiled: Vec<Range<usize>>,
}

/// A string that is not UTF-8, with a question mark for each byte that is none. (Kafka puts U+FFFD there, which is longer.)
pub(crate) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

impl<'a> WireReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> WireReader<'a> {
        WireReader { bytes, at: 0, elements_left: ELEMENTS_MAX, spoiled: Vec::new() }
    }

    /// Bytes read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, n: usize) -> Wire<&'a [u8]> {
        if n > self.remaining() {
            return Err("the request ends before its fields do");
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Wire<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    pub(crate) fn i8(&mut self) -> Wire<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn i16(&mut self) -> Wire<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn i32(&mut self) -> Wire<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn i64(&mut self) -> Wire<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    pub(crate) fn u128(&mut self) -> Wire<u128> {
        Ok(u128::from_be_bytes(self.fixed()?))
    }

    /// An unsigned varint of at most 32 bits.
    pub(crate) fn uvarint(&mut self) -> Wire<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(self.fixed::<1>()?[0]);
            if shift == 28 && byte > 0x0f {
                return Err("a varint is longer than 32 bits");
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// The length of a string, array or byte field; `None` for null. `wide` is the plain encoding's length field.
    fn length(&mut self, compact: bool, wide: bool) -> Wire<Option<usize>> {
        if compact {
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        let n = if wide { self.i32()? } else { i32::from(self.i16()?) };
        match n {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| "a length is negative"),
        }
    }

    /// Where strings lie that were read and are not UTF-8.
    pub(crate) fn spoiled(&self) -> &[Range<usize>] {
        &self.spoiled
    }

    fn string_bytes(&mut self, compact: bool) -> Wire<Option<&'a [u8]>> {
        let Some(n) = self.length(compact, false)? else { return Ok(None) };
        if n > STRING_MAX {
            return Err("a string is longer than 32767 bytes");
        }
        self.take(n).map(Some)
    }

    pub(crate) fn nullable_string(&mut self, compact: bool) -> Wire<Option<&'a str>> {
        let Some(bytes) = self.string_bytes(compact)? else { return Ok(None) };
        str::from_utf8(bytes).map(Some).map_err(|_| "a string is not UTF-8")
    }

    /// A string of a client. It is for people, or names something that is not there, if it is not UTF-8: no reason to refuse
    /// all else.
    pub(crate) fn nullable_text(&mut self, compact: bool) -> Wire<Option<Cow<'a, str>>> {
        let Some(bytes) = self.string_bytes(compact)? else { return Ok(None) };
        Ok(Some(match str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                self.spoiled.push(self.at - bytes.len()..self.at);
                Cow::Owned(readable(bytes))
            }
        }))
    }

    pub(crate) fn text(&mut self, compact: bool) -> Wire<Cow<'a, str>> {
        self.nullable_text(compact)?.ok_or("a string is null that may not be")
    }

    /// A plain string for people, which need not be UTF-8.
    pub(crate) fn nullable_raw(&mut self) -> Wire<Option<&'a [u8]>> {
        let Some(n) = self.length(false, false)? else { return Ok(None) };
        self.take(n).map(Some)
    }

    pub(crate) fn string(&mut self, compact: bool) -> Wire<&'a str> {
        self.nullable_string(compact)?.ok_or("a string is null that may not be")
    }

    /// Where the bytes of a nullable byte field lie in the request.
    pub(crate) fn nullable_bytes(&mut self, compact: bool) -> Wire<Option<Range<usize>>> {
        let Some(n) = self.length(compact, true)? else { return Ok(None) };
        let start = self.at;
        self.take(n)?;
        Ok(Some(start..start + n))
    }

    /// A byte field.
    pub(crate) fn bytes(&mut self, compact: bool) -> Wire<&'a [u8]> {
        let n = self.length(compact, true)?.ok_or("a byte field is null that may not be")?;
        self.take(n)
    }

    /// The number of an array's elements, each of at least `element_min` bytes: they fit into what remains, so that
    /// memory may be reserved for them.
    pub(crate) fn nullable_array(&mut self, compact: bool, element_min: usize) -> Wire<Option<usize>> {
        let Some(n) = self.length(compact, true)? else { return Ok(None) };
        if n.saturating_mul(element_min.max(1)) > self.remaining() {
            return Err("an array has more elements than the request has room for");
        }
        self.count(n)?;
        Ok(Some(n))
    }

    pub(crate) fn array(&mut self, compact: bool, element_min: usize) -> Wire<usize> {
        self.nullable_array(compact, element_min)?.ok_or("an array is null that may not be")
    }

    fn count(&mut self, n: usize) -> Wire<()> {
        self.elements_left = self.elements_left.checked_sub(n).ok_or("the request has too many elements")?;
        Ok(())
    }

    /// Reads the tagged fields that end a struct of a flexible version; `known` gets each tag and its bytes.
    pub(crate) fn tags(&mut self, mut known: impl FnMut(u32, &'a [u8]) -> Wire<()>) -> Wire<()> {
        let n = self.uvarint()? as usize;
        if n.saturating_mul(2) > self.remaining() {
            return Err("more tagged fields than the request has room for");
        }
        self.count(n)?;
        for _ in 0..n {
            let tag = self.uvarint()?;
            let bytes = self.uvarint()? as usize;
            known(tag, self.take(bytes)?)?;
        }
        Ok(())
    }

    /// Skips tagged fields, if the version has them.
    pub(crate) fn skip_tags(&mut self, flexible: bool) -> Wire<()> {
        if flexible { self.tags(|_, _| Ok(())) } else { Ok(()) }
    }
}

/// Appends `value` as an unsigned varint.
pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the length of an array or byte field.
pub(crate) fn put_length(out: &mut Vec<u8>, compact: bool, n: usize) {
    let n = i32::try_from(n).expect("lengths of an answer stay below 2^31");
    if compact {
        put_uvarint(out, n as u32 + 1);
    } else {
        out.extend_from_slice(&n.to_be_bytes());
    }
}

/// Appends a string, cut to the longest that the protocol can carry.
pub(crate) fn put_string(out: &mut Vec<u8>, compact: bool, text: &str) {
    let mut end = text.len().min(STRING_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    if compact {
        put_uvarint(out, text.len() as u32 + 1);
    } else {
        out.extend_from_slice(&(text.len() as i16).to_be_bytes());
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends a string or null.
pub(crate) fn put_nullable_string(out: &mut Vec<u8>, compact: bool, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, compact, text),
        None if compact => out.push(0),
        None => out.extend_from_slice(&(-1i16).to_be_bytes()),
    }
}

/// Begins a response frame: room for its length, and the header. Returns where the frame starts.
pub(crate) fn begin_frame(out: &mut Vec<u8>, correlation: i32, flexible: bool) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&correlation.to_be_bytes());
    if flexible {
        out.push(0); // no tagged fields
    }
    start
}

/// Ends the frame that `begin_frame` began at `start`. `apart` bytes of it are not in `out`.
pub(crate) fn end_frame(out: &mut [u8], start: usize, apart: usize) {
    let length = i32::try_from(out.len() - start - 4 + apart).expect("a response frame is shorter than 2^31 bytes");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}
