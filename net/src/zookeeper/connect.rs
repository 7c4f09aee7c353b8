//! How a connection begins: a session is asked for, or taken up again.

use super::jute::{JuteReader, put_buffer, put_count, put_int, put_long};
use torc_base::malformed::Malformed;

/// Bytes of a session's password.
pub const PASSWORD_BYTES: usize = 16;

/// A session, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Never 0.
    pub id: i64,
    /// Who knows it may take up the session.
    pub password: [u8; PASSWORD_BYTES],
}

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The newest change that the client has seen: it must not be served by who knows less.
    pub last_zxid: i64,
    /// Wanted, in milliseconds.
    pub timeout_ms: i32,
    /// The session to be taken up; `None`: a new one. A password of another length is one that nobody has.
    pub session: Option<Session>,
    /// The client takes a server that only reads.
    pub read_only: bool,
    /// The client knows of such servers at all (from ZooKeeper 3.4 on): it is told whether this is one.
    pub knows_read_only: bool,
}

impl Connect {
    /// Reads the first frame of a connection.
    pub fn decode(frame: &[u8]) -> Result<Connect, Malformed> {
        let mut reader = JuteReader(frame);
        reader.int("the protocol's version")?;
        let last_zxid = reader.long("the last zxid seen")?;
        let timeout_ms = reader.int("the timeout")?;
        let id = reader.long("the session")?;
        let password = reader.buffer("the password")?.unwrap_or_default();
        let password = password.try_into().unwrap_or([0; PASSWORD_BYTES]);
        let knows_read_only = !reader.0.is_empty();
        let read_only = knows_read_only && reader.boolean("whether a server that only reads will do")?;
        let session = (id != 0).then_some(Session { id, password });
        Ok(Connect { last_zxid, timeout_ms, session, read_only, knows_read_only })
    }
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// `None`: the session that was to be taken up is gone, or was never this client's.
    pub session: Option<Session>,
    /// Agreed, in milliseconds.
    pub timeout_ms: i32,
    /// This server only reads.
    pub read_only: bool,
}

impl Connected {
    /// Appends the answer, with its length, for a client that has said `connect`.
    pub fn encode(&self, connect: &Connect, out: &mut Vec<u8>) {
        let at = out.len();
        put_count(out, 0);
        put_int(out, 0);
        put_int(out, if self.session.is_some() { self.timeout_ms } else { 0 });
        let none = Session { id: 0, password: [0; PASSWORD_BYTES] };
        let session = self.session.unwrap_or(none);
        put_long(out, session.id);
        put_buffer(out, Some(&session.password));
        if connect.knows_read_only {
            out.push(u8::from(self.read_only));
        }
        super::reply::seal(out, at);
    }
}
