//! Frames that carry nothing of consensus: beats, what was not taken, mail between shards, and what nodes say to each other
//! before there is a cluster.

use super::frame::framed;
use super::kind;
use super::reader::HeadReader;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, ShardId};
use torc_base::limits::{PEER_HEAD_BYTES_MAX, PEER_MAIL_BYTES_MAX};
use torc_base::malformed::Malformed;

/// Groups that one frame can name.
pub const UNTAKEN_MAX: usize = PEER_HEAD_BYTES_MAX / 8;
/// Bytes in front of each piece of mail.
const MAIL_HEAD: usize = 6;

/// "I am there": said when nothing else is. The frame, with its length.
pub fn beat() -> Buf {
    framed(kind::BEAT, &[])
}

/// What members of these groups were sent was not taken in; at most [`UNTAKEN_MAX`]. The frame, with its length.
pub fn untaken(groups: &[GroupId]) -> Buf {
    assert!(groups.len() <= UNTAKEN_MAX, "{} groups in one frame", groups.len());
    let head: Vec<u8> = groups.iter().flat_map(|group| group.0.to_le_bytes()).collect();
    framed(kind::UNTAKEN, &head)
}

/// Bytes of nodes that found a cluster, or ask how it was founded. The frame, with its length.
pub fn form(bytes: &[u8]) -> Buf {
    assert!(bytes.len() <= PEER_HEAD_BYTES_MAX, "{} bytes about the founding", bytes.len());
    framed(kind::FORM, bytes)
}

/// Groups whose messages were not taken in.
#[derive(Debug)]
pub struct Untaken {
    head: Buf,
}

impl Untaken {
    pub(super) fn decode(head: Buf) -> Result<Untaken, Malformed> {
        if !head.len().is_multiple_of(8) || head.len() > PEER_HEAD_BYTES_MAX {
            return Err(Malformed { what: "a list of groups" });
        }
        Ok(Untaken { head })
    }

    /// The groups.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = GroupId> {
        self.head.chunks_exact(8).map(|id| GroupId(u64::from_le_bytes(id.try_into().expect("eight bytes"))))
    }
}

/// Gathers mail for the shards of one node, for one frame.
#[derive(Debug, Default)]
pub struct MailWriter {
    head: Vec<u8>,
}

impl MailWriter {
    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// True while so many bytes of mail find room in the frame. The first always do, up to
    /// [`PEER_MAIL_BYTES_MAX`] in one piece.
    pub fn admits(&self, bytes: usize) -> bool {
        self.head.len() + MAIL_HEAD + bytes <= MAIL_HEAD + PEER_MAIL_BYTES_MAX
    }

    /// Appends a piece of mail for a shard.
    pub fn put(&mut self, to: ShardId, bytes: &[u8]) {
        assert!(self.admits(bytes.len()), "the frame is full");
        self.head.extend_from_slice(&to.0.to_le_bytes());
        self.head.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.head.extend_from_slice(bytes);
    }

    /// The frame, with its length.
    pub fn finish(self) -> Buf {
        framed(kind::MAIL, &self.head)
    }
}

/// The mail of a frame, one piece after the other.
#[derive(Debug)]
pub struct Mails {
    head: Buf,
}

impl Mails {
    pub(super) fn decode(head: Buf) -> Result<Mails, Malformed> {
        if head.len() > MAIL_HEAD + PEER_MAIL_BYTES_MAX {
            return Err(Malformed { what: "a frame of mail" });
        }
        Ok(Mails { head })
    }

    /// The next piece, and for which shard; `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "what follows an error is not to be asked for")]
    pub fn next(&mut self) -> Option<Result<(ShardId, Buf), Malformed>> {
        if self.head.is_empty() {
            return None;
        }
        let mut reader = HeadReader::new(&self.head);
        let mut read = || {
            let (to, len) = (ShardId(reader.u16("mail")?), reader.u32("mail")? as usize);
            reader.bytes(len, "mail").map(|_| (to, len))
        };
        Some(read().map(|(to, len)| {
            let mail = self.head.slice(MAIL_HEAD..MAIL_HEAD + len);
            self.head = self.head.slice(MAIL_HEAD + len..self.head.len());
            (to, mail)
        }))
    }
}
