//! Frames, and the messages of many groups in one.

use super::hello::{Hello, Refusal, Welcome};
use super::reader::HeadReader;
use super::small::{Mails, Untaken};
use super::{PRELUDE, kind};
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Offset};
use torc_base::limits::{PEER_HEAD_BYTES_MAX, PEER_MESSAGE_BYTES_MAX, REPLICATE_ENTRIES_MAX};
use torc_base::malformed::Malformed;

/// Bytes of an entry's head.
const ENTRY_HEAD: usize = 34;
/// Bytes that say what follows of one message.
const MESSAGE_HEAD: usize = 12;

/// One frame.
#[derive(Debug)]
pub enum Frame {
    /// The first of a connection.
    Hello(Hello),
    /// Its good answer.
    Welcome(Welcome),
    /// Its bad answer.
    Refusal(Refusal),
    /// What members of groups say.
    Groups(GroupMessages),
    /// The sender is there.
    Beat,
    /// What members of these groups were sent was not taken in.
    Untaken(Untaken),
    /// Mail between shards.
    Mail(Mails),
    /// About the founding of the cluster; what it says is the server's matter.
    Form(Buf),
}

/// What the log keeps of an entry beside its bytes, its place and its term: those follow from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// What it is, to its group.
    pub kind: u8,
    /// Bytes in front of the body.
    pub prefix_len: u8,
    /// How many offsets it covers.
    pub records: u32,
    /// The first of them.
    pub first_offset: Offset,
    /// Largest timestamp, or a negative number.
    pub max_timestamp: i64,
    /// CRC32C of the body.
    pub body_crc: u32,
}

/// Takes `bytes`, a frame without its length, apart. The head is checked, entries are as they are looked at.
pub fn decode(bytes: &Buf) -> Result<Frame, Malformed> {
    let mut reader = HeadReader::new(bytes);
    let crc = reader.u32("a frame")?;
    let kind = reader.u8("a frame")?;
    let zeros: [u8; 3] = reader.array("a frame")?;
    let len = reader.u32("a frame")? as usize;
    let head = reader.bytes(len, "a frame's head")?;
    if zeros != [0; 3] || crc32c(&bytes[4..PRELUDE + len]) != crc {
        return Err(Malformed { what: "a frame (its checksum differs)" });
    }
    match kind {
        kind::HELLO => Hello::decode(head).map(Frame::Hello),
        kind::WELCOME => Welcome::decode(head).map(Frame::Welcome),
        kind::REFUSAL => Refusal::decode(head).map(Frame::Refusal),
        kind::GROUPS => {
            let groups =
                GroupMessages { bytes: bytes.clone(), at: PRELUDE, end: PRELUDE + len, payload: PRELUDE + len };
            Ok(Frame::Groups(groups))
        }
        kind::BEAT => Ok(Frame::Beat),
        kind::UNTAKEN => Untaken::decode(bytes.slice(PRELUDE..PRELUDE + len)).map(Frame::Untaken),
        kind::MAIL => Mails::decode(bytes.slice(PRELUDE..PRELUDE + len)).map(Frame::Mail),
        kind::FORM if len <= PEER_HEAD_BYTES_MAX => Ok(Frame::Form(bytes.slice(PRELUDE..PRELUDE + len))),
        _ => Err(Malformed { what: "a frame's kind" }),
    }
}

/// A frame without payloads, with its length.
pub(super) fn framed(kind: u8, head: &[u8]) -> Buf {
    let mut frame = vec![0; 4 + PRELUDE];
    frame.extend_from_slice(head);
    seal(&mut frame, kind, 0);
    Buf::copy_of(&frame)
}

/// Fills in what stands before the head, which is all of `frame` behind that.
fn seal(frame: &mut [u8], kind: u8, payloads: usize) {
    let head = frame.len() - 4 - PRELUDE;
    frame[..4].copy_from_slice(&((PRELUDE + head + payloads) as u32).to_be_bytes());
    frame[8] = kind;
    frame[12..16].copy_from_slice(&(head as u32).to_le_bytes());
    let crc = crc32c(&frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Gathers messages of many groups, with the entries that they carry, for one frame.
#[derive(Debug)]
pub struct GroupsWriter {
    head: Vec<u8>,
    payloads: Vec<Buf>,
    payload_bytes: usize,
}

impl Default for GroupsWriter {
    fn default() -> GroupsWriter {
        GroupsWriter { head: vec![0; 4 + PRELUDE], payloads: Vec::new(), payload_bytes: 0 }
    }
}

impl GroupsWriter {
    /// Bytes of the frame, so far.
    pub fn len(&self) -> usize {
        self.head.len() + self.payload_bytes
    }

    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.head.len() == 4 + PRELUDE
    }

    /// True while another message with that many entries finds room in the head.
    pub fn admits(&self, message: usize, entries: usize) -> bool {
        self.head.len() - 4 - PRELUDE + MESSAGE_HEAD + message + entries * ENTRY_HEAD <= PEER_HEAD_BYTES_MAX
    }

    /// Appends a message to a group's member. Its entries are given by [`GroupsWriter::entry`] right after it, as many as
    /// `entries` says.
    pub fn message(&mut self, group: GroupId, message: &[u8], entries: usize) {
        assert!(message.len() <= PEER_MESSAGE_BYTES_MAX && entries as u64 <= REPLICATE_ENTRIES_MAX);
        assert!(self.admits(message.len(), entries), "the frame's head is full");
        self.head.extend_from_slice(&group.0.to_le_bytes());
        self.head.extend_from_slice(&(message.len() as u16).to_le_bytes());
        self.head.extend_from_slice(&(entries as u16).to_le_bytes());
        self.head.extend_from_slice(message);
    }

    /// Appends an entry; `bytes` stay where they are.
    pub fn entry(&mut self, head: EntryHead, bytes: Buf) {
        let prefix = &bytes[..usize::from(head.prefix_len)];
        self.head.push(head.kind);
        self.head.push(head.prefix_len);
        self.head.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.head.extend_from_slice(&crc32c(prefix).to_le_bytes());
        self.head.extend_from_slice(&head.records.to_le_bytes());
        self.head.extend_from_slice(&head.first_offset.0.to_le_bytes());
        self.head.extend_from_slice(&head.max_timestamp.to_le_bytes());
        self.head.extend_from_slice(&head.body_crc.to_le_bytes());
        self.payload_bytes += bytes.len();
        if !bytes.is_empty() && !self.payloads.last_mut().is_some_and(|last| last.join(&bytes)) {
            self.payloads.push(bytes);
        }
    }

    /// The frame with its length, in pieces; the head is copied into memory of `pool`, or outside of it if it has none.
    pub fn finish(mut self, pool: &Pool) -> Vec<Buf> {
        seal(&mut self.head, kind::GROUPS, self.payload_bytes);
        let head = match pool.take(self.head.len()) {
            Some(mut head) => {
                head.copy_from_slice(&self.head);
                head.freeze()
            }
            None => Buf::copy_of(&self.head),
        };
        let mut parts = Vec::with_capacity(1 + self.payloads.len());
        parts.push(head);
        parts.append(&mut self.payloads);
        parts
    }
}

/// The messages of a frame, one after the other.
#[derive(Debug)]
pub struct GroupMessages {
    bytes: Buf,
    /// Where the next message begins, and where the head ends.
    at: usize,
    end: usize,
    /// Where the next payload begins.
    payload: usize,
}

/// A message, and the entries that came with it.
#[derive(Debug)]
pub struct Said {
    /// To whose member.
    pub group: GroupId,
    /// What consensus made of it.
    pub message: Buf,
    /// What the message promises.
    pub entries: Entries,
}

impl GroupMessages {
    /// The next message; `None` at the end of a frame that holds nothing else.
    #[expect(clippy::should_implement_trait, reason = "what follows an error is not to be asked for")]
    pub fn next(&mut self) -> Option<Result<Said, Malformed>> {
        if self.at == self.end {
            let rest = self.bytes.len() - self.payload;
            return (rest > 0).then_some(Err(Malformed { what: "a frame (bytes behind its entries)" }));
        }
        Some(self.take())
    }

    fn take(&mut self) -> Result<Said, Malformed> {
        let head = &self.bytes[self.at..self.end];
        let mut reader = HeadReader::new(head);
        let group = GroupId(reader.u64("a message's group")?);
        let len = usize::from(reader.u16("a message's length")?);
        let count = usize::from(reader.u16("a message's entries")?);
        if len > PEER_MESSAGE_BYTES_MAX || count as u64 > REPLICATE_ENTRIES_MAX {
            return Err(Malformed { what: "a message's length" });
        }
        reader.bytes(len, "a message")?;
        let mut heads = HeadReader::new(reader.bytes(count * ENTRY_HEAD, "a message's entries")?);
        let message = self.at + MESSAGE_HEAD;
        let entries = message + len;
        let mut payloads = 0;
        for _ in 0..count {
            payloads += heads.bytes(ENTRY_HEAD, "an entry").map(length_of)?;
        }
        if payloads > self.bytes.len() - self.payload {
            return Err(Malformed { what: "a frame (its entries are cut short)" });
        }
        let said = Said {
            group,
            message: self.bytes.slice(message..entries),
            entries: Entries {
                heads: self.bytes.slice(entries..entries + count * ENTRY_HEAD),
                payloads: self.bytes.slice(self.payload..self.payload + payloads),
            },
        };
        self.at = entries + count * ENTRY_HEAD;
        self.payload += payloads;
        Ok(said)
    }
}

/// The length that an entry's head tells.
fn length_of(head: &[u8]) -> usize {
    u32::from_le_bytes(head[2..6].try_into().expect("four bytes")) as usize
}

/// Entries of a message, in their order.
#[derive(Debug)]
pub struct Entries {
    heads: Buf,
    payloads: Buf,
}

impl Entries {
    /// How many are left.
    pub fn len(&self) -> usize {
        self.heads.len() / ENTRY_HEAD
    }

    /// True if none is left.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of those that are left.
    pub fn bytes(&self) -> usize {
        self.payloads.len()
    }

    /// The next entry, once its bytes have been run over: they are what the sender's log holds. They lie where they were
    /// received.
    #[expect(clippy::should_implement_trait, reason = "what follows an error is not to be asked for")]
    pub fn next(&mut self) -> Option<Result<(EntryHead, Buf), Malformed>> {
        let head = self.heads.get(..ENTRY_HEAD)?;
        let len = length_of(head);
        let bytes = self.payloads.slice(0..len);
        let entry = entry_of(head, &bytes).map(|head| (head, bytes));
        self.heads = self.heads.slice(ENTRY_HEAD..self.heads.len());
        self.payloads = self.payloads.slice(len..self.payloads.len());
        Some(entry)
    }
}

fn entry_of(head: &[u8], bytes: &[u8]) -> Result<EntryHead, Malformed> {
    const WHAT: &str = "an entry";
    let mut reader = HeadReader::new(head);
    let (kind, prefix_len, _) = (reader.u8(WHAT)?, reader.u8(WHAT)?, reader.u32(WHAT)?);
    let prefix_crc = reader.u32(WHAT)?;
    let entry = EntryHead {
        kind,
        prefix_len,
        records: reader.u32(WHAT)?,
        first_offset: Offset(reader.i64(WHAT)?),
        max_timestamp: reader.i64(WHAT)?,
        body_crc: reader.u32(WHAT)?,
    };
    reader.end(WHAT)?;
    let prefix = bytes.get(..usize::from(prefix_len)).ok_or(Malformed { what: "an entry's prefix" })?;
    if crc32c(prefix) != prefix_crc || crc32c(&bytes[prefix.len()..]) != entry.body_crc {
        return Err(Malformed { what: "an entry (its checksum differs)" });
    }
    Ok(entry)
}
