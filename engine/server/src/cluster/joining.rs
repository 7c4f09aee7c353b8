//! How a server comes into a cluster that runs, before anything of it runs itself, and how one that starts again finds out
//! that it does not belong to it any more.
//!
//! Whoever joins asks the servers that it was told of, one after the other, again and again: each of them answers what its
//! catalog says, and has the controller let this server in until it says that it is in. With that comes the record of the
//! founding, which is kept, and where all servers are.

use super::forming::{ANSWER_TIME, CONNECT_TIME, TELL_AGAIN, Teller, why};
use super::wire::{self, Form, Said, Speaker};
use super::{FormError, Founding, Member};
use crate::endpoint::Endpoint;
use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use torc_base::ids::NodeId;
use torc_net::peer::{Caller, Known, Question, Reply};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(50);
/// The same of a server that runs meanwhile.
const KNOCK_PAUSE: Duration = Duration::from_secs(1);

/// A server that is to join a cluster.
pub struct Joiner {
    /// Its number, and what it drew at this start.
    pub me: Speaker,
    /// The number of its disk, durable.
    pub disk: u128,
    /// Where it listens for the others; an unspecified IP is the one that they see.
    pub listens: SocketAddr,
    /// Whom it asks.
    pub at: Vec<Endpoint>,
    /// Gets a line about whom it waits for.
    pub tell: Teller,
}

/// How it ended.
#[derive(Debug)]
pub enum Joined {
    /// It is one of the cluster: how that was founded, and all servers that there are, this one among them.
    In { founding: Founding, servers: Vec<Member> },
    /// It was told to stop before.
    Stopped,
}

impl Joiner {
    fn question(&self) -> Question {
        let from = Caller { node: NodeId(self.me.node), start: self.me.start };
        Question { from, joins: true, cluster: 0, disk: self.disk, address: Some(self.listens) }
    }
}

/// Asks until this server is let in, or refused. `stopped` is asked some times a second.
pub fn join(joiner: &Joiner, stopped: &dyn Fn() -> bool) -> Result<Joined, FormError> {
    let question = joiner.question();
    let mut told: Option<(BTreeSet<String>, Instant)> = None;
    loop {
        let mut waits = BTreeSet::new();
        for endpoint in &joiner.at {
            if stopped() {
                return Ok(Joined::Stopped);
            }
            let wait = match ask(endpoint, &question) {
                Ok(Said::Reply(Reply::Member { founding, servers })) => return member(endpoint, &founding, servers),
                Ok(Said::Reply(Reply::Refused(why))) => {
                    return Err(FormError::Refused(format!("the server at {endpoint} refuses this one: {why}")));
                }
                Ok(Said::Reply(Reply::Wait(what))) => what,
                Ok(Said::NotReady) => "that server waits for its cluster itself, or is not ready".to_string(),
                Err(error) => why(&error),
            };
            waits.insert(format!("{endpoint}: {wait}"));
        }
        let is_old = |(before, at): &(BTreeSet<String>, Instant)| *before == waits && at.elapsed() < TELL_AGAIN;
        if !told.as_ref().is_some_and(is_old) {
            let all: Vec<&str> = waits.iter().map(String::as_str).collect();
            (joiner.tell)(&format!("waiting to join the cluster: {}", all.join("; ")));
            told = Some((waits, Instant::now()));
        }
        thread::sleep(PAUSE);
    }
}

/// What the server at `endpoint` told of the cluster.
fn member(endpoint: &Endpoint, founding: &[u8], servers: Vec<Known>) -> Result<Joined, FormError> {
    let strange =
        || FormError::Refused(format!("the server at {endpoint} tells of no cluster that this torc understands"));
    let Some((_, Form::Founded(founding))) = Form::decode(founding) else { return Err(strange()) };
    let place = |server: Known| {
        let node = server.node.0;
        // Where it is itself a founder may know by the record only.
        let known = founding.members.address(node).filter(|_| server.address.is_empty()).cloned();
        let address = known.map_or_else(|| Endpoint::parse_address(&server.address).ok(), Some)?;
        Some(Member { node, address })
    };
    let servers = servers.into_iter().map(place).collect::<Option<Vec<Member>>>().ok_or_else(strange)?;
    Ok(Joined::In { founding, servers })
}

fn ask(endpoint: &Endpoint, question: &Question) -> io::Result<Said> {
    let mut stream = TcpStream::connect_timeout(&endpoint.resolve()?, CONNECT_TIME)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    wire::ask(&mut stream, question)
}

/// A server that starts again.
#[derive(Clone)]
pub struct Knock {
    pub me: Speaker,
    pub cluster: u128,
    pub disk: u128,
    /// Where it is reached, if others are to be told: servers that joined may have moved.
    pub address: Option<SocketAddr>,
    /// Whom it asks.
    pub others: Vec<SocketAddr>,
}

/// Asks whether this server still belongs to its cluster, beside its shards, until somebody says so: then `None`. Else why it
/// does not. `goes_on` is asked before each question.
pub fn knock(knock: &Knock, goes_on: &dyn Fn() -> bool) -> Option<String> {
    let from = Caller { node: NodeId(knock.me.node), start: knock.me.start };
    let Knock { cluster, disk, address, .. } = *knock;
    let question = Question { from, joins: false, cluster, disk, address };
    while goes_on() {
        for other in &knock.others {
            let endpoint = Endpoint { host: other.ip().to_string(), port: other.port() };
            match goes_on().then(|| ask(&endpoint, &question)) {
                None | Some(Ok(Said::Reply(Reply::Member { .. }))) => return None,
                Some(Ok(Said::Reply(Reply::Refused(why)))) => {
                    return Some(format!("the server at {endpoint} says: {why}"));
                }
                // It is not there, or does not know for certain.
                Some(Ok(_) | Err(_)) => {}
            }
        }
        thread::sleep(KNOCK_PAUSE);
    }
    None
}
