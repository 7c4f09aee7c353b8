//! How a connection begins: its client gets a session, or takes up the one that it had.

use super::clients::{Looked, Stage, Want, What};
use super::{Around, Lead, TreeAsk, Znodes};
use crate::complaints::Complaint;
use crate::groups::TxnHead;
use crate::settings::Settings;
use torc_base::ids::{ConnId, Index, SessionId, Zxid};
use torc_base::prng::Prng;
use torc_base::time::Wall;
use torc_net::foreign::{Foreign, is_kafka_request};
use torc_net::zookeeper::{Connect, Connected, Session};
use torc_state::tree::expiry::{is_password, password};
use torc_state::tree::{Refused, Tree, TreeError};

/// What passwords follow from: the same on all nodes of a cluster, and told to nobody.
pub(super) fn secret(settings: &Settings) -> (u64, u64) {
    let fold = |sum: u64, byte: u8| Prng::new(sum ^ u64::from(byte)).next_u64();
    let id = settings.cluster.id.to_le_bytes().into_iter().chain(settings.cluster_id.bytes());
    let mut prng = Prng::new(id.fold(0x5e55_1014, fold));
    (prng.next_u64(), prng.next_u64())
}

/// The first number of this node's sessions, as ZooKeeper makes them: the node, then the time.
fn first_session(node: u32, now: Wall) -> i64 {
    // The uppermost byte is the mark of znodes with a time to live if all its bits are set.
    (u64::from(node % 0xff) << 56 | (now.0 as u64) << 24 >> 8) as i64
}

impl Znodes {
    /// Takes in what a client says first. False: the connection is of no use, and is closed.
    pub(super) fn greet(&mut self, around: &mut Around, conn: ConnId, frame: &[u8]) -> bool {
        let connect = Connect::decode(frame);
        // Every client says that it speaks version 0; no client of Kafka's produces in that version, and before anything else.
        let is_connect = connect.is_ok() && frame.starts_with(&[0; 4]);
        if is_kafka_request(frame) && !is_connect {
            self.close_with(around, conn, Complaint::Foreign(Foreign::Kafka), &Foreign::Kafka);
            return false;
        }
        let connect = match connect {
            Ok(connect) => connect,
            Err(error) => {
                self.close_with(around, conn, Complaint::Connect, &error);
                return false;
            }
        };
        let reads_alone = self.is_without_leader(around.now()) && self.reads_alone(around);
        if reads_alone && !connect.read_only {
            around.close(conn);
            return false;
        }
        let seen = around.tree().zxid();
        if Zxid(connect.last_zxid) > seen {
            let why = format_args!(
                "its client has seen change {:#x}, and this node only {:#x}: it is to look for another node",
                connect.last_zxid,
                seen.get()
            );
            self.close_with(around, conn, Complaint::Ahead, &why);
            return false;
        }
        let bound = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX).min(i32::MAX as u32);
        let bounds = (bound(self.zookeeper.min_session_ms), bound(self.zookeeper.max_session_ms));
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        client.timeout_ms = Tree::negotiate(connect.timeout_ms, bounds);
        client.connect = Some(connect);
        client.reads_alone = reads_alone;
        client.stage = Stage::Greeting;
        self.meters.counters.greeted += 1;
        self.meters.counters.renewed += u64::from(connect.session.is_some());
        true
    }

    /// Asks for the session of a client that has said who it is.
    pub(super) fn ask_session(&mut self, around: &mut Around, conn: ConnId) -> Option<Looked> {
        let client = self.clients.get(&conn)?;
        let connect = client.connect.expect("it has been said");
        let (owner, timeout_ms, lead) = (client.owner, client.timeout_ms, self.lead(around.groups));
        let Some(Session { id, password }) = connect.session else {
            return Some(self.ask_new_session(around, conn, lead, timeout_ms));
        };
        let session = SessionId(id);
        let gone = |error, after| {
            let refused = Some(Refused { error, at: 0 });
            Looked::Taken(What::Settled { xid: 0, want: Want::TakeUp, refused, after })
        };
        if client.reads_alone && around.tree().committed_session(session).is_some() {
            // As ZooKeeper has it: its client is to look for a node that can keep it alive.
            return Some(Looked::Taken(What::Gone));
        }
        if !is_password(self.secret, session, &password) {
            return Some(gone(TreeError::AuthFailed, Index(0)));
        }
        if self.locals.touch(session, around.now()) {
            return Some(Looked::Taken(self.established_here(around, conn, session)));
        }
        if client.reads_alone {
            return Some(gone(TreeError::SessionExpired, Index(0)));
        }
        Some(match lead {
            Lead::Nobody => Looked::Stalled,
            Lead::Here if self.take_up(around, session, owner) => {
                Looked::Taken(self.established(around, conn, session))
            }
            Lead::Here => match self.confirm_gone(around, session) {
                Some(after) => gone(TreeError::SessionExpired, after),
                None => Looked::Stalled,
            },
            Lead::There(_) if self.abroad.is_full() => Looked::Stalled,
            Lead::There(_) => {
                let number = self.number();
                self.ask_abroad(conn, number, TreeAsk::TakeUp { number, session, owner });
                Looked::Taken(What::Asked { number, xid: 0, want: Want::TakeUp })
            }
        })
    }

    fn ask_new_session(&mut self, around: &mut Around, conn: ConnId, lead: Lead, timeout_ms: u32) -> Looked {
        if self.next_session == 0 {
            self.next_session = first_session(self.settings.node.get(), around.out.now.wall);
        }
        self.next_session = self.next_session.wrapping_add(1);
        let (wanted, number) = (SessionId(self.next_session), self.number());
        if let Some(what) = self.begin_local(around, conn, wanted, lead) {
            return Looked::Taken(what);
        }
        match lead {
            Lead::Nobody => return Looked::Stalled,
            Lead::Here => match self.begin_session(around, number, wanted, timeout_ms) {
                Ok(()) => _ = self.asked.insert(number, (conn, 0)),
                Err(TreeError::QuotaExceeded) => return Looked::Taken(What::Gone),
                Err(_) => return Looked::Stalled,
            },
            Lead::There(_) if self.abroad.is_full() => return Looked::Stalled,
            Lead::There(_) => self.ask_abroad(conn, number, TreeAsk::NewSession { number, wanted, timeout_ms }),
        }
        Looked::Taken(What::Asked { number, xid: 0, want: Want::NewSession })
    }

    /// Puts a new session into the log that this node leads, under that id unless it is taken.
    pub(super) fn begin_session(
        &mut self,
        around: &mut Around,
        number: u64,
        wanted: SessionId,
        timeout_ms: u32,
    ) -> Result<(), TreeError> {
        let (session, body) = around.tree().prepare_session(Zxid(wanted.get()), timeout_ms)?;
        let head = TxnHead { number, session, cxid: 0 };
        around.groups.propose_txn(around.out, head, body, false).map_err(|_| TreeError::SessionMoved)?;
        Ok(())
    }

    /// A session is served on this connection from now on; what its client is answered.
    pub(super) fn established(&mut self, around: &mut Around, conn: ConnId, session: SessionId) -> What {
        if let Some(before) = self.sessions.insert(session, conn).filter(|before| *before != conn) {
            around.close(before);
        }
        let client = self.clients.get_mut(&conn).expect("the caller has it");
        client.session = session;
        client.stage = Stage::Open;
        client.meters.established = around.out.now.wall;
        if client.connect.is_some_and(|connect| connect.session.is_none()) {
            client.meters.note_new_session();
        }
        let (owner, timeout_ms, now) = (client.owner, client.timeout_ms, around.now());
        if client.is_local {
            self.locals.lives_for(session, owner, timeout_ms, now);
        }
        if self.expiry.is_some() {
            self.lives_for(now, session, owner, timeout_ms);
        } else {
            self.tell_timeout(around, session, conn);
        }
        let client = &self.clients[&conn];
        let told = Session { id: session.get(), password: password(self.secret, session) };
        let (timeout_ms, read_only) = (client.timeout_ms as i32, client.reads_alone);
        let connected = Connected { session: Some(told), timeout_ms, read_only };
        connected.encode(&client.connect.expect("it has been said"), &mut self.packer.scratch);
        self.heard(around.now(), session);
        What::Ready(self.packer.take_scratch())
    }
}
