//! As much of a ZooKeeper, in memory, as clients are tested with: sessions that move between two addresses, znodes, multis,
//! watches that stay. No time passes in it: nothing expires unless a test says so.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use torc_net::zookeeper::{
    Acl, AddMode, Connect, Connected, Create, ErrorCode, Event, EventKind, EventState, Kind, Op, Outcome, OwnedAcl,
    Reply, Request, Session, Stat, decode, event, failure, xid,
};

struct Node {
    data: Vec<u8>,
    acls: Vec<OwnedAcl>,
    /// Without what is counted when it is told.
    stat: Stat,
    /// Children that were ever made.
    made: i32,
}

/// What is answered with it, or why not.
type Done<T> = Result<T, ErrorCode>;

#[derive(Default)]
pub struct State {
    nodes: BTreeMap<String, Node>,
    zxid: i64,
    sessions: BTreeMap<i64, [u8; 16]>,
    /// Every session that there was.
    given: i64,
    connections: Vec<TcpStream>,
    /// By whose socket, where, and whether all below is meant.
    watches: Vec<(u64, String, bool)>,
    sockets: BTreeMap<u64, TcpStream>,
    /// Requests so far, by what they are.
    pub asked: Vec<String>,
    /// Answers are kept back from now on.
    silent: bool,
}

/// It runs until the test ends.
pub struct Fake {
    pub addresses: [String; 2],
    pub state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Fake {
        let state = Arc::new(Mutex::new(State::default()));
        for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
            state.lock().unwrap().show(path);
        }
        let addresses = [(); 2].map(|()| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                    let id = (u64::from(stream.local_addr().unwrap().port()) << 32) | number as u64;
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(&state, id, stream));
                }
            });
            address
        });
        Fake { addresses, state }
    }

    /// Both addresses, as clients are told them.
    pub fn servers(&self) -> String {
        self.addresses.join(",")
    }

    /// All connections break.
    pub fn cut(&self) {
        for stream in self.state.lock().unwrap().connections.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// All sessions are gone, and so are their connections.
    pub fn expire(&self) {
        self.state.lock().unwrap().sessions.clear();
        self.cut();
    }

    /// A connection that asks breaks instead of getting its answer, until this is called with false.
    pub fn silence(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
    }

    /// What a znode holds.
    pub fn data(&self, path: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().nodes.get(path).map(|node| node.data.clone())
    }

    pub fn acls(&self, path: &str) -> Vec<OwnedAcl> {
        self.state.lock().unwrap().nodes[path].acls.clone()
    }

    /// As a server keeps it, which tells its clients of sessions alone.
    pub fn owner(&self, path: &str) -> i64 {
        self.state.lock().unwrap().nodes[path].stat.ephemeral_owner
    }

    /// Children that were ever made below it.
    pub fn made(&self, path: &str) -> i32 {
        self.state.lock().unwrap().nodes[path].made
    }

    /// A znode that this server has not from anybody.
    pub fn show(&self, path: &str) {
        self.state.lock().unwrap().show(path);
    }

    pub fn paths(&self) -> Vec<String> {
        self.state.lock().unwrap().nodes.keys().cloned().collect()
    }
}

fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn serve(state: &Mutex<State>, id: u64, mut stream: TcpStream) -> Option<()> {
    let connect = Connect::decode(&frame(&mut stream)?).unwrap();
    let session = {
        let state = &mut *state.lock().unwrap();
        state.connections.push(stream.try_clone().unwrap());
        state.sockets.insert(id, stream.try_clone().unwrap());
        match connect.session {
            Some(session) => Some(session).filter(|s| state.sessions.get(&s.id) == Some(&s.password)),
            None => {
                state.given += 1;
                let session = Session { id: state.given, password: [state.given as u8; 16] };
                state.sessions.insert(session.id, session.password);
                Some(session)
            }
        }
    };
    let mut out = Vec::new();
    Connected { session, timeout_ms: connect.timeout_ms, read_only: false }.encode(&connect, &mut out);
    stream.write_all(&out).ok()?;
    let session = session?;
    while let Some(frame) = frame(&mut stream) {
        let (head, request) = decode(&frame).unwrap();
        let state = &mut *state.lock().unwrap();
        state.asked.push(format!("{request:?}").split(['(', ' ']).next().unwrap().to_string());
        let mut out = Vec::new();
        state.answer(id, session.id, head.xid, &request, &mut out);
        if state.silent {
            let _ = stream.shutdown(Shutdown::Both);
            break;
        }
        stream.write_all(&out).ok()?;
        if matches!(request, Request::CloseSession) {
            break;
        }
    }
    let state = &mut *state.lock().unwrap();
    state.watches.retain(|(of, ..)| *of != id);
    state.sockets.remove(&id);
    Some(())
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

impl State {
    /// A znode that no change has made.
    fn show(&mut self, path: &str) {
        let open = vec![OwnedAcl::open()];
        let node = Node { data: Vec::new(), acls: open, stat: Stat::default(), made: 0 };
        self.nodes.insert(path.to_string(), node);
    }

    fn answer(&mut self, id: u64, session: i64, xid: i32, request: &Request<'_>, out: &mut Vec<u8>) {
        if let Err(error) = self.try_answer(id, session, xid, request, out) {
            out.clear();
            failure(out, xid, self.zxid, error);
        }
    }

    fn try_answer(&mut self, id: u64, session: i64, xid: i32, request: &Request<'_>, out: &mut Vec<u8>) -> Done<()> {
        match request {
            Request::Create(create) => {
                let (path, stat) = self.create(session, create)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.path(&path);
                if create.with_stat {
                    reply.stat(&stat);
                }
                reply.end();
            }
            Request::Delete(path, version) => {
                self.delete(path, *version)?;
                Reply::new(out, xid, self.zxid).end();
            }
            Request::SetData(path, data, version) => {
                let stat = self.set(path, data.unwrap_or_default(), *version)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.stat(&stat);
                reply.end();
            }
            Request::Exists(path, _) => {
                let stat = self.stat(path)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.stat(&stat);
                reply.end();
            }
            Request::GetData(path, _) => {
                let stat = self.stat(path)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.data(Some(&self.nodes[*path].data));
                reply.stat(&stat);
                reply.end();
            }
            Request::GetChildren(path, _, with_stat) => {
                let stat = self.stat(path)?;
                let names: Vec<&str> = self.children(path).collect();
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.names(names.into_iter());
                if *with_stat {
                    reply.stat(&stat);
                }
                reply.end();
            }
            Request::GetAcl(path) => {
                let stat = self.stat(path)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.acls(self.nodes[*path].acls.iter().map(OwnedAcl::borrow).collect::<Vec<Acl<'_>>>().into_iter());
                reply.stat(&stat);
                reply.end();
            }
            Request::SetAcl(path, acls, _) => {
                self.nodes.get_mut(*path).ok_or(ErrorCode::NoNode)?.acls = acls.clone().map(OwnedAcl::from).collect();
                self.nodes.get_mut(*path).unwrap().stat.aversion += 1;
                let stat = self.stat(path)?;
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.stat(&stat);
                reply.end();
            }
            Request::Multi(ops) => self.multi(session, xid, ops.clone().collect(), out),
            Request::Sync(path) => {
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.path(path);
                reply.end();
            }
            Request::GetAllChildrenNumber(path) => {
                self.stat(path)?;
                let below = format!("{}/", path.trim_end_matches('/'));
                let count = self.nodes.keys().filter(|other| other.starts_with(&below) && *other != "/").count();
                let mut reply = Reply::new(out, xid, self.zxid);
                reply.count(count as i32);
                reply.end();
            }
            Request::AddWatch(path, mode) => {
                self.watches.push((id, path.to_string(), *mode == AddMode::Recursive));
                Reply::new(out, xid, self.zxid).end();
            }
            Request::SetWatches(_, [_, _, _, persistent, recursive]) => {
                self.watches.extend(persistent.clone().map(|path| (id, path.to_string(), false)));
                self.watches.extend(recursive.clone().map(|path| (id, path.to_string(), true)));
                Reply::new(out, xid, self.zxid).end();
            }
            Request::RemoveWatches(path, _) => {
                self.watches.retain(|(of, watched, _)| *of != id || watched != path);
                Reply::new(out, xid, self.zxid).end();
            }
            Request::Auth(_, Some(b"wrong")) => return Err(ErrorCode::AuthFailed),
            Request::CloseSession => {
                self.sessions.remove(&session);
                let mine = |node: &Node| node.stat.ephemeral_owner == session;
                let gone: Vec<String> =
                    self.nodes.iter().filter(|(_, node)| mine(node)).map(|(path, _)| path.clone()).collect();
                gone.iter().for_each(|path| self.delete(path, -1).unwrap());
                Reply::new(out, xid, self.zxid).end();
            }
            Request::Ping | Request::Auth(..) => Reply::new(out, xid, self.zxid).end(),
            _ => return Err(ErrorCode::Unimplemented),
        }
        Ok(())
    }

    /// One by one: none of the tests looks at a multi that fails behind its first operation.
    fn multi(&mut self, session: i64, xid: i32, ops: Vec<Op<'_>>, out: &mut Vec<u8>) {
        enum Came {
            Created(String, Option<Stat>),
            Set(Stat),
            Other(Outcome<'static>),
        }
        let mut came = Vec::new();
        let mut failed = false;
        for op in &ops {
            let done = match op {
                _ if failed => Err(ErrorCode::RuntimeInconsistency),
                Op::Create(create) => self
                    .create(session, create)
                    .map(|(path, stat)| Came::Created(path, create.with_stat.then_some(stat))),
                Op::Delete(path, version) => self.delete(path, *version).map(|()| Came::Other(Outcome::Delete)),
                Op::SetData(path, data, version) => self.set(path, data.unwrap_or_default(), *version).map(Came::Set),
                Op::Check(path, _) => self.stat(path).map(|_| Came::Other(Outcome::Check)),
                _ => Err(ErrorCode::Unimplemented),
            };
            failed |= done.is_err();
            came.push(done.unwrap_or_else(|error| Came::Other(Outcome::Error(Some(error)))));
        }
        let mut reply = Reply::new(out, xid, self.zxid);
        for came in &came {
            match came {
                Came::Created(path, Some(stat)) => reply.outcome(&Outcome::Create2(path, *stat)),
                Came::Created(path, None) => reply.outcome(&Outcome::Create(path)),
                Came::Set(stat) => reply.outcome(&Outcome::SetData(*stat)),
                Came::Other(outcome) => reply.outcome(outcome),
            }
        }
        reply.end_of_outcomes();
        reply.end();
    }

    fn children<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s str> + use<'s> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let name = move |other: &'s String| {
            let name = other.strip_prefix(below.as_str())?;
            (!name.is_empty() && !name.contains('/')).then_some(name)
        };
        self.nodes.keys().filter_map(name)
    }

    fn stat(&self, path: &str) -> Done<Stat> {
        let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
        let num_children = self.children(path).count() as i32;
        let cversion = 2 * node.made - num_children;
        // As ZooKeeper has it: nobody is told of a container, nor of a time to live.
        let ephemeral_owner = node.stat.ephemeral_owner.max(0);
        Ok(Stat { data_length: node.data.len() as i32, num_children, cversion, ephemeral_owner, ..node.stat })
    }

    fn create(&mut self, session: i64, create: &Create<'_>) -> Done<(String, Stat)> {
        let (kind, sequential) = create.mode().ok_or(ErrorCode::BadArguments)?;
        let above = parent(create.path).to_string();
        let made = self.nodes.get(&above).ok_or(ErrorCode::NoNode)?.made;
        let path = if sequential { format!("{}{made:010}", create.path) } else { create.path.to_string() };
        if self.nodes.contains_key(&path) {
            return Err(ErrorCode::NodeExists);
        }
        self.zxid += 1;
        let (zxid, time) = (self.zxid, 1_000 * self.zxid);
        let above = self.nodes.get_mut(&above).unwrap();
        (above.made, above.stat.pzxid) = (made + 1, zxid);
        let ephemeral_owner = match kind {
            Kind::Persistent => 0,
            Kind::Ephemeral => session,
            Kind::Container => i64::MIN,
            Kind::Ttl => (0xff << 56) | create.ttl.unwrap(),
        };
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            ephemeral_owner,
            ..Stat::default()
        };
        let acls = create.acls.clone().map(OwnedAcl::from).collect();
        self.nodes.insert(path.clone(), Node { data: create.data.unwrap_or_default().to_vec(), acls, stat, made: 0 });
        self.tell(EventKind::Created, &path);
        let stat = self.stat(&path)?;
        Ok((path, stat))
    }

    fn delete(&mut self, path: &str, version: i32) -> Done<()> {
        let stat = self.stat(path)?;
        if stat.num_children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if version != -1 && version != stat.version {
            return Err(ErrorCode::BadVersion);
        }
        self.zxid += 1;
        self.nodes.remove(path);
        self.tell(EventKind::Deleted, path);
        Ok(())
    }

    fn set(&mut self, path: &str, data: &[u8], version: i32) -> Done<Stat> {
        let stat = self.stat(path)?;
        if version != -1 && version != stat.version {
            return Err(ErrorCode::BadVersion);
        }
        self.zxid += 1;
        let node = self.nodes.get_mut(path).unwrap();
        node.data = data.to_vec();
        (node.stat.mzxid, node.stat.version) = (self.zxid, stat.version + 1);
        self.tell(EventKind::DataChanged, path);
        self.stat(path)
    }

    /// Events leave before the answer to what caused them.
    fn tell(&mut self, kind: EventKind, path: &str) {
        let mut told = Vec::new();
        event(&mut told, xid::EVENT.into(), Event { kind, state: EventState::Connected, path });
        let mut children = Vec::new();
        let above = parent(path);
        event(
            &mut children,
            xid::EVENT.into(),
            Event { kind: EventKind::ChildrenChanged, state: EventState::Connected, path: above },
        );
        for (id, watched, recursive) in &self.watches {
            let Some(mut socket) = self.sockets.get(id) else { continue };
            let below = path.starts_with(&format!("{}/", watched.trim_end_matches('/')));
            if watched == path || *recursive && below {
                let _ = socket.write_all(&told);
            } else if !recursive && watched == above && kind != EventKind::DataChanged {
                let _ = socket.write_all(&children);
            }
        }
    }
}
