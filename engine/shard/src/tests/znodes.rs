//! ZooKeeper's clients of one node.

use super::rig::{Client, Rig, settings};
use super::zookeeper::{Told, create, ephemeral, greeted, hello, new, request, serving, take_frame};
use crate::{Settings, SnapshotSettings, ZooKeeperSettings};
use torc_base::ids::ListenerId;
use torc_base::time::Mono;
use torc_net::zookeeper::{Acl, AddMode, Ask, Came, Change, Kind, New, Session};

/// The listener of ZooKeeper's clients.
const ZOOKEEPER: ListenerId = ListenerId(2);

const NO_NODE: i32 = -101;
const NO_AUTH: i32 = -102;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
const NO_WATCHER: i32 = -121;

const DATA_CHANGED: i32 = 3;
const DELETED: i32 = 2;
const CREATED: i32 = 1;
const CHILDREN_CHANGED: i32 = 4;

fn served() -> Settings {
    serving(&settings())
}

fn rig() -> Rig {
    Rig::with(1, &served())
}

/// A client with a session.
pub(super) struct Zk {
    client: Client,
    session: Session,
    received: Vec<u8>,
    xid: i32,
}

impl Zk {
    pub(super) fn new(rig: &mut Rig) -> Zk {
        Zk::with_timeout(rig, 10_000)
    }

    pub(super) fn with_timeout(rig: &mut Rig, timeout_ms: i32) -> Zk {
        Zk::greet(rig, None, timeout_ms).expect("a session")
    }

    /// Takes a session up, or asks for one; `None`: there is no such session.
    pub(super) fn greet(rig: &mut Rig, session: Option<Session>, timeout_ms: i32) -> Option<Zk> {
        let client = rig.connect_at(0, ZOOKEEPER);
        rig.send_bytes(client, &hello(session, timeout_ms, 0));
        rig.run();
        let mut received = rig.take_bytes(client);
        let connected = greeted(&take_frame(&mut received).expect("an answer to the hello"));
        let session = connected.session?;
        Some(Zk { client, session, received, xid: 0 })
    }

    pub(super) fn client(&self) -> Client {
        self.client
    }

    pub(super) fn session(&self) -> Session {
        self.session
    }

    pub(super) fn send(&mut self, rig: &mut Rig, ask: &Ask<'_>) -> i32 {
        self.xid += 1;
        rig.send_bytes(self.client, &request(self.xid, ask));
        self.xid
    }

    /// The next thing that it was told.
    pub(super) fn told(&mut self, rig: &mut Rig) -> Option<Told> {
        let more = rig.take_bytes(self.client);
        self.received.extend(more);
        take_frame(&mut self.received).map(|frame| Told::of(&frame))
    }

    /// Everything that it was told.
    pub(super) fn all(&mut self, rig: &mut Rig) -> Vec<Told> {
        std::iter::from_fn(|| self.told(rig)).collect()
    }

    pub(super) fn ask(&mut self, rig: &mut Rig, ask: &Ask<'_>) -> Told {
        let xid = ask.fixed_xid().unwrap_or(self.xid + 1);
        self.send(rig, ask);
        rig.run();
        let told = self.told(rig).unwrap_or_else(|| panic!("no answer to {ask:?}; logs: {:?}", rig.logs()));
        match &told {
            Told::Answer(of, ..) => assert_eq!(*of, xid, "answers come in the order of requests"),
            Told::Event(..) => panic!("{told:?} in the place of an answer to {ask:?}"),
        }
        told
    }

    pub(super) fn does(&mut self, rig: &mut Rig, ask: &Ask<'_>) {
        assert_eq!(self.ask(rig, ask).error(), 0, "{ask:?}");
    }
}

pub(super) fn events(told: &[Told]) -> Vec<(i32, &str)> {
    told.iter()
        .filter_map(|told| if let Told::Event(kind, path) = told { Some((*kind, &path[..])) } else { None })
        .collect()
}

#[test]
fn a_client_gets_a_session_and_makes_reads_changes_and_deletes_znodes() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    assert_eq!(zk.session.id >> 56, 7, "sessions have their node's number in front");
    assert_eq!(zk.ask(&mut rig, &create("/a", b"one")).answer().path(), Ok("/a"));
    assert_eq!(zk.ask(&mut rig, &create("/a", b"two")).error(), NODE_EXISTS);
    assert_eq!(zk.ask(&mut rig, &create("/b/c", b"two")).error(), NO_NODE);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data(), (b"one".to_vec(), 0));
    zk.does(&mut rig, &Ask::SetData("/a", b"two", 0));
    assert_eq!(zk.ask(&mut rig, &Ask::SetData("/a", b"three", 0)).error(), BAD_VERSION);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data(), (b"two".to_vec(), 1));
    for n in 0..3 {
        let told = zk.ask(&mut rig, &new("/a/s-", b"", Kind::Persistent, true));
        assert_eq!(told.answer().path(), Ok(&format!("/a/s-{n:010}")[..]));
    }
    let names = zk.ask(&mut rig, &Ask::GetChildren("/a", false)).names();
    assert_eq!(names, ["s-0000000000", "s-0000000001", "s-0000000002"]);
    assert_eq!(zk.ask(&mut rig, &Ask::Delete("/a", -1)).error(), -111);
    zk.does(&mut rig, &Ask::Delete("/a/s-0000000001", 0));
    assert_eq!(zk.ask(&mut rig, &Ask::GetAllChildrenNumber("/a")).answer().count(), Ok(2));
    let stat = zk.ask(&mut rig, &Ask::Exists("/a", false)).answer().stat().expect("a stat");
    assert_eq!((stat.version, stat.cversion, stat.num_children, stat.data_length), (1, 4, 2, 3));
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/nothing", false)).error(), NO_NODE);
    zk.does(&mut rig, &Ask::Sync("/"));
    zk.does(&mut rig, &Ask::Ping);
}

#[test]
fn requests_sent_at_once_are_done_and_answered_in_their_order() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    rig.disk(0).hold_writes = true;
    let asks = [
        Ask::GetData("/a", false),
        create("/a", b"1"),
        Ask::GetData("/a", false),
        Ask::SetData("/a", b"2", -1),
        Ask::SetData("/a", b"3", 7),
        Ask::GetData("/a", false),
        Ask::Ping,
        Ask::Delete("/a", -1),
        Ask::Exists("/a", false),
    ];
    for ask in &asks {
        zk.send(&mut rig, ask);
    }
    rig.run();
    let early = zk.all(&mut rig);
    assert_eq!(early.iter().map(Told::error).collect::<Vec<_>>(), [NO_NODE], "what is not durable is not answered");
    rig.disk(0).hold_writes = false;
    rig.disk(0).release();
    rig.run();
    let told = zk.all(&mut rig);
    let errors: Vec<i32> = told.iter().map(Told::error).collect();
    assert_eq!(errors, [0, 0, 0, BAD_VERSION, 0, 0, 0, NO_NODE]);
    assert_eq!((told[1].data(), told[4].data()), ((b"1".to_vec(), 0), (b"2".to_vec(), 1)));
}

/// Answers tell of the newest change: a client that has seen one is not told of an older one, whatever it asks for.
#[test]
fn the_newest_change_that_answers_tell_of_never_goes_back() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    // Bodies that are missing, and at last an operation that there is not.
    for (number, op) in [1, 2, 4, 5, 14, 22, 1000].into_iter().enumerate() {
        zk.send(&mut rig, &create(&format!("/{number}"), b""));
        zk.xid += 1;
        let head: Vec<u8> = [8, zk.xid, op].into_iter().flat_map(i32::to_be_bytes).collect();
        rig.send_bytes(zk.client, &head);
    }
    rig.run();
    let zxid = |told: &Told| match told {
        Told::Answer(_, error, frame) => (*error, i64::from_be_bytes(frame[4..12].try_into().expect("eight bytes"))),
        Told::Event(..) => panic!("{told:?}"),
    };
    let (errors, zxids): (Vec<i32>, Vec<i64>) = zk.all(&mut rig).iter().map(zxid).unzip();
    assert_eq!(errors, [0, -5, 0, -5, 0, -5, 0, -5, 0, -5, 0, -5, 0, -6]);
    assert!(zxids.is_sorted(), "{zxids:?}");
}

#[test]
fn a_watch_fires_once_and_before_the_data_that_caused_it_can_be_seen() {
    let mut rig = rig();
    let (mut watcher, mut writer) = (Zk::new(&mut rig), Zk::new(&mut rig));
    writer.does(&mut rig, &create("/a", b"1"));
    watcher.does(&mut rig, &Ask::GetData("/a", true));
    watcher.does(&mut rig, &Ask::GetChildren("/a", true));
    assert_eq!(watcher.ask(&mut rig, &Ask::Exists("/b", true)).error(), NO_NODE);
    // Its own change is under way, a read waits behind it, and the other one's change comes between.
    rig.disk(0).hold_writes = true;
    writer.send(&mut rig, &Ask::SetData("/a", b"2", -1));
    rig.run();
    watcher.send(&mut rig, &create("/mine", b""));
    watcher.send(&mut rig, &Ask::GetData("/a", false));
    rig.run();
    assert!(watcher.all(&mut rig).is_empty());
    rig.disk(0).hold_writes = false;
    rig.disk(0).release();
    rig.run();
    let told = watcher.all(&mut rig);
    assert_eq!(told[0], Told::Event(DATA_CHANGED, "/a".into()));
    assert_eq!((told[1].error(), told[2].data()), (0, (b"2".to_vec(), 1)));
    assert_eq!(writer.all(&mut rig).len(), 1);
    writer.does(&mut rig, &Ask::SetData("/a", b"3", -1));
    assert!(watcher.all(&mut rig).is_empty(), "it has fired");
    writer.does(&mut rig, &create("/a/child", b""));
    writer.does(&mut rig, &create("/b", b""));
    assert_eq!(events(&watcher.all(&mut rig)), [(CHILDREN_CHANGED, "/a"), (CREATED, "/b")]);
}

#[test]
fn watches_that_stay_are_told_of_all_until_they_are_removed() {
    use torc_net::zookeeper::WatcherType;
    let mut rig = rig();
    let (mut watcher, mut writer) = (Zk::new(&mut rig), Zk::new(&mut rig));
    watcher.does(&mut rig, &Ask::AddWatch("/r", AddMode::Recursive));
    watcher.does(&mut rig, &Ask::AddWatch("/r", AddMode::Persistent));
    for path in ["/r", "/r/a", "/r/a/b"] {
        writer.does(&mut rig, &create(path, b""));
    }
    writer.does(&mut rig, &Ask::Delete("/r/a/b", -1));
    let told = watcher.all(&mut rig);
    let expected =
        [(CREATED, "/r"), (CREATED, "/r/a"), (CHILDREN_CHANGED, "/r"), (CREATED, "/r/a/b"), (DELETED, "/r/a/b")];
    assert_eq!(events(&told), expected);
    watcher.does(&mut rig, &Ask::RemoveWatches("/r", WatcherType::Any));
    assert_eq!(watcher.ask(&mut rig, &Ask::RemoveWatches("/r", WatcherType::Any)).error(), NO_WATCHER);
    writer.does(&mut rig, &Ask::SetData("/r", b"x", -1));
    assert!(watcher.all(&mut rig).is_empty());
}

#[test]
fn a_session_outlives_its_connection_and_the_server() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &ephemeral("/mine"));
    let session = zk.session;
    rig.abort(zk.client);
    let mut again = Zk::greet(&mut rig, Some(session), 10_000).expect("it lives");
    assert_eq!(again.session, session);
    again.does(&mut rig, &Ask::Exists("/mine", false));
    rig.pass(6_000);

    let mut rig = rig.restart(&served());
    rig.pass(6_000);
    let wrong = Session { password: [9; 16], ..session };
    assert!(Zk::greet(&mut rig, Some(wrong), 10_000).is_none(), "only who knows the password gets it");
    let mut again = Zk::greet(&mut rig, Some(session), 10_000).expect("the new process gives it all of its time");
    let stat = again.ask(&mut rig, &Ask::Exists("/mine", false)).answer().stat().expect("it is still there");
    assert_eq!(stat.ephemeral_owner, session.id);
}

#[test]
fn a_session_that_is_not_heard_of_expires_and_its_znodes_go() {
    let mut rig = rig();
    let (mut silent, mut other) = (Zk::with_timeout(&mut rig, 4_000), Zk::with_timeout(&mut rig, 4_000));
    silent.does(&mut rig, &ephemeral("/mine"));
    other.does(&mut rig, &Ask::Exists("/mine", true));
    for _ in 0..5 {
        rig.pass(2_000);
        other.send(&mut rig, &Ask::Ping);
        rig.run();
    }
    assert_eq!(events(&other.all(&mut rig)), [(DELETED, "/mine")]);
    assert!(rig.is_closed(silent.client));
    assert!(Zk::greet(&mut rig, Some(silent.session), 4_000).is_none(), "it is gone");
    other.does(&mut rig, &Ask::Ping);
}

#[test]
fn a_session_lives_for_as_long_as_it_was_told_when_it_was_taken_up() {
    let mut rig = rig();
    let short = Zk::with_timeout(&mut rig, 4_000).session;
    let mut zk = Zk::greet(&mut rig, Some(short), 40_000).expect("it lives");
    zk.does(&mut rig, &ephemeral("/mine"));
    rig.pass(30_000);
    zk.does(&mut rig, &Ask::Exists("/mine", false));
    rig.pass(30_000);
    zk.does(&mut rig, &Ask::Exists("/mine", false));
    // And for no longer: what it is told now counts.
    let zk = Zk::greet(&mut rig, Some(short), 4_000).expect("it lives");
    rig.pass(10_000);
    assert!(rig.is_closed(zk.client));
    assert!(Zk::greet(&mut rig, Some(short), 4_000).is_none(), "it was not heard of");
}

#[test]
fn who_may_be_silent_for_an_hour_keeps_its_connection() {
    let mut settings = Settings { connection_idle_ms: 60_000, ..served() };
    settings.zookeeper.as_mut().expect("served").max_session_ms = 3_600_000;
    let mut rig = Rig::with(1, &settings);
    let mut zk = Zk::with_timeout(&mut rig, 3_600_000);
    rig.pass(1_200_000);
    assert!(!rig.is_closed(zk.client));
    zk.does(&mut rig, &Ask::Ping);
}

#[test]
fn a_session_that_is_closed_takes_its_znodes_along() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    zk.does(&mut rig, &create("/p", b""));
    for name in ["/p/a", "/p/b"] {
        zk.does(&mut rig, &ephemeral(name));
    }
    zk.does(&mut rig, &Ask::CloseSession);
    rig.run();
    assert!(rig.is_closed(zk.client));
    assert!(other.ask(&mut rig, &Ask::GetChildren("/p", false)).names().is_empty());
    assert!(Zk::greet(&mut rig, Some(zk.session), 10_000).is_none());
}

#[test]
fn watches_are_set_again_after_a_reconnect_and_tell_what_was_missed() {
    let mut rig = rig();
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    for path in ["/kept", "/changed", "/gone", "/parent"] {
        other.does(&mut rig, &create(path, b""));
    }
    let since = match zk.ask(&mut rig, &Ask::Exists("/kept", true)) {
        Told::Answer(_, _, frame) => torc_net::zookeeper::Answer::open(&frame).expect("a head").zxid,
        told @ Told::Event(..) => panic!("{told:?}"),
    };
    rig.abort(zk.client);
    other.does(&mut rig, &Ask::SetData("/changed", b"x", -1));
    other.does(&mut rig, &Ask::Delete("/gone", -1));
    other.does(&mut rig, &create("/parent/child", b""));
    other.does(&mut rig, &create("/new", b""));
    let mut zk = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    let [data, exists, children] = [
        ["/kept", "/changed", "/gone"].map(String::from).to_vec(),
        vec!["/new".to_string(), "/never".to_string()],
        vec!["/parent".to_string()],
    ];
    zk.send(&mut rig, &Ask::SetWatches(since, [&data, &exists, &children, &[], &[]]));
    rig.run();
    let told = zk.all(&mut rig);
    let missed = [(DATA_CHANGED, "/changed"), (DELETED, "/gone"), (CREATED, "/new"), (CHILDREN_CHANGED, "/parent")];
    assert_eq!(events(&told), missed);
    assert_eq!(told.last().map(Told::error), Some(0), "the answer comes behind what was missed");
    other.does(&mut rig, &Ask::SetData("/kept", b"x", -1));
    other.does(&mut rig, &create("/never", b""));
    assert_eq!(events(&zk.all(&mut rig)), [(DATA_CHANGED, "/kept"), (CREATED, "/never")]);
}

#[test]
fn all_of_a_multi_is_done_or_nothing() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    let new = |path| New {
        path,
        data: b"",
        acls: super::zookeeper::OPEN,
        kind: Kind::Persistent,
        sequential: false,
        ttl_ms: 0,
        with_stat: false,
    };
    let good = [
        Change::Create(new("/m")),
        Change::Create(new("/m/n")),
        Change::SetData("/m", b"x", 0),
        Change::Check("/m/n", 0),
    ];
    let told = zk.ask(&mut rig, &Ask::Multi(&good));
    let mut answer = told.answer();
    assert_eq!(answer.came(), Ok(Some(Came::Created("/m"))));
    assert_eq!(answer.came(), Ok(Some(Came::Created("/m/n"))));
    assert!(matches!(answer.came(), Ok(Some(Came::Written(stat))) if stat.version == 1));
    assert_eq!((answer.came(), answer.came()), (Ok(Some(Came::Checked)), Ok(None)));
    let bad = [Change::Delete("/m/n", -1), Change::Delete("/nothing", -1), Change::Delete("/m", -1)];
    let told = zk.ask(&mut rig, &Ask::Multi(&bad));
    let mut answer = told.answer();
    for error in [0, NO_NODE, -2] {
        assert_eq!(answer.came(), Ok(Some(Came::Failed(error))));
    }
    assert_eq!(answer.came(), Ok(None));
    zk.does(&mut rig, &Ask::Exists("/m/n", false));
}

#[test]
fn the_newer_connection_has_the_session() {
    let mut rig = rig();
    let zk = Zk::new(&mut rig);
    let mut newer = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    assert!(rig.is_closed(zk.client), "the older one is left");
    newer.does(&mut rig, &ephemeral("/mine"));
    rig.pass(30_000);
    assert!(Zk::greet(&mut rig, Some(zk.session), 10_000).is_none());
}

#[test]
fn what_is_no_request_costs_its_connection_and_nobody_else() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    let too_long = Zk::new(&mut rig);
    rig.send_bytes(too_long.client, &0x10_0000i32.to_be_bytes());
    let mut unknown = Zk::new(&mut rig);
    rig.send_bytes(unknown.client, &[0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 3, 231]);
    let mut malformed = Zk::new(&mut rig);
    rig.send_bytes(malformed.client, &[0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 4, 127, 0, 0, 0]);
    let headless = Zk::new(&mut rig);
    rig.send_bytes(headless.client, &[0, 0, 0, 2, 0, 0]);
    rig.run();
    assert!(rig.is_closed(too_long.client) && rig.is_closed(unknown.client) && rig.is_closed(headless.client));
    assert_eq!(unknown.told(&mut rig).map(|told| told.error()), Some(-6));
    assert_eq!(malformed.told(&mut rig).map(|told| told.error()), Some(-5));
    assert!(!rig.is_closed(malformed.client), "its session goes on");
    zk.does(&mut rig, &Ask::Ping);
    assert!(Zk::greet(&mut rig, Some(too_long.session), 10_000).is_some(), "sessions outlive that");
}

#[test]
fn four_letter_words_are_answered_if_they_are_allowed() {
    let mut rig = rig();
    assert_eq!(said(&mut rig, b"ruok"), "imok");
    assert!(said(&mut rig, b"mntr").contains("not in the whitelist"));
    let srvr = said(&mut rig, b"srvr");
    assert!(srvr.contains("Mode: standalone") && srvr.contains("Node count: 4"), "{srvr}");
}

/// One that answers all words of four letters.
fn talkative() -> Rig {
    let mut settings = served();
    settings.zookeeper.as_mut().expect("served").four_letter_words = vec!["*".into()];
    Rig::with(1, &settings)
}

/// What a word of four letters is answered.
fn said(rig: &mut Rig, word: &[u8]) -> String {
    let client = rig.connect_at(0, ZOOKEEPER);
    rig.send_bytes(client, word);
    rig.run();
    assert!(rig.is_closed(client));
    String::from_utf8(rig.take_bytes(client)).expect("text")
}

#[test]
fn connections_tell_of_their_last_request_as_zookeepers_do() {
    let mut rig = talkative();
    let mut zk = Zk::new(&mut rig);
    let id = zk.session.id;
    let tells = |rig: &mut Rig, operation: &str, cxid: &str| {
        let cons = said(rig, b"cons");
        let line = cons.lines().find(|line| line.contains(&format!("sid=0x{id:x},"))).expect("its line");
        assert!(line.contains(&format!(",lop={operation},est=")), "{line}");
        assert!(line.contains(&format!(",to=10000{cxid},lzxid=")), "{line}");
        assert!(line.starts_with(" /10.0.0.9:40000["), "{line}");
    };
    tells(&mut rig, "SESS", ",lcxid=0x0");
    zk.does(&mut rig, &create("/a", b""));
    tells(&mut rig, "CREA", ",lcxid=0x1");
    zk.does(&mut rig, &Ask::Ping);
    tells(&mut rig, "PING", ",lcxid=0x1");
    said(&mut rig, b"crst");
    tells(&mut rig, "NA", "");
    let _again = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    tells(&mut rig, "NA", "");
}

#[test]
fn watches_are_counted_as_zookeeper_does() {
    let mut rig = talkative();
    let mut zk = Zk::new(&mut rig);
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/a", true)).error(), NO_NODE);
    zk.does(&mut rig, &Ask::GetChildren("/", true));
    assert_eq!(said(&mut rig, b"wchs"), "1 connections watching 1 paths\nTotal watches:1\n", "of data alone");
    zk.does(&mut rig, &Ask::AddWatch("/stays", AddMode::Persistent));
    assert_eq!(said(&mut rig, b"wchs"), "1 connections watching 2 paths\nTotal watches:2\n");
    assert!(said(&mut rig, b"mntr").contains("zk_watch_count\t4\n"), "one that stays is of data and of children");
}

/// The counters that ZooKeeper has besides, as exporters read them.
#[test]
fn what_happens_to_clients_is_counted() {
    let mut rig = talkative();
    let value = |rig: &mut Rig, name: &str| -> f64 {
        let text = said(rig, b"mntr");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("zk_{name}\t")));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().expect("a number")
    };
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::with_timeout(&mut rig, 4_000));
    let mut writer = Zk::new(&mut rig);
    zk.does(&mut rig, &Ask::GetChildren("/", true));
    other.does(&mut rig, &Ask::GetChildren("/", true));
    other.does(&mut rig, &Ask::Exists("/", true));
    let (before, bytes) = (value(&mut rig, "response_bytes"), value(&mut rig, "bytes_received_count"));
    writer.does(&mut rig, &create("/a", b"1"));
    assert!(value(&mut rig, "response_bytes") > before);
    assert_eq!(value(&mut rig, "bytes_received_count") - bytes, request(1, &create("/a", b"1")).len() as f64);
    assert_eq!(value(&mut rig, "commit_count"), 4.0, "three sessions and a znode");
    let names = ["cnt", "sum", "avg", "min", "max"].map(|of| format!("{of}_node_children_watch_count"));
    let of_children = names.map(|name| value(&mut rig, &name));
    assert_eq!(of_children, [1.0, 2.0, 2.0, 2.0, 2.0]);
    assert_eq!(value(&mut rig, "cnt_node_created_watch_count"), 0.0, "nobody watched");
    assert!(value(&mut rig, "watch_bytes") > 0.0);
    let silent = rig.connect_at(0, ZOOKEEPER);
    zk = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    for _ in 0..4 {
        rig.pass(3_000);
        zk.does(&mut rig, &Ask::Ping);
        writer.does(&mut rig, &Ask::Ping);
    }
    assert!(rig.is_closed(silent) && rig.is_closed(other.client));
    for (name, count) in [
        ("connection_request_count", 4.0),
        ("connection_revalidate_count", 1.0),
        ("stale_sessions_expired", 1.0),
        ("sessionless_connections_expired", 1.0),
        ("connection_rejected", 0.0),
    ] {
        assert_eq!(value(&mut rig, name), count, "{name}");
    }
    assert!(value(&mut rig, "connection_drop_count") >= 3.0);
    said(&mut rig, b"srst");
    assert_eq!(value(&mut rig, "connection_request_count"), 0.0);
}

#[test]
fn so_many_connections_come_from_one_address() {
    let mut settings = served();
    settings.zookeeper.as_mut().expect("served").max_connections_per_ip = 2;
    let mut rig = Rig::with(1, &settings);
    let (first, _second) = (Zk::new(&mut rig), Zk::new(&mut rig));
    let third = rig.connect_at(0, ZOOKEEPER);
    rig.run();
    assert!(rig.is_closed(third));
    rig.abort(first.client);
    Zk::new(&mut rig);
}

#[test]
fn a_container_goes_when_its_last_child_has_gone() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &new("/c", b"", Kind::Container, false));
    rig.pass(8_000);
    zk.does(&mut rig, &create("/c/child", b""));
    rig.pass(8_000);
    zk.does(&mut rig, &Ask::Delete("/c/child", -1));
    rig.pass(8_000);
    assert_eq!(zk.ask(&mut rig, &Ask::Exists("/c", false)).error(), NO_NODE);
}

#[test]
fn nobody_is_served_by_a_log_that_takes_nothing_more() {
    let mut rig = rig();
    let (mut zk, idle) = (Zk::new(&mut rig), Zk::new(&mut rig));
    zk.does(&mut rig, &create("/a", b"kept"));
    rig.disk(0).fail_write = true;
    zk.send(&mut rig, &create("/b", b""));
    rig.run();
    assert!(zk.all(&mut rig).is_empty(), "nothing is promised");
    assert!(rig.is_closed(zk.client) && rig.is_closed(idle.client));
    let late = rig.connect_at(0, ZOOKEEPER);
    rig.run();
    assert!(rig.is_closed(late));
    rig.pass(20_000);
    rig.disk(0).fail_write = false;
    let mut rig = rig.restart(&served());
    rig.pass(100);
    let mut zk = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data(), (b"kept".to_vec(), 0));
}

#[test]
fn connections_come_to_the_shard_that_has_the_tree() {
    let mut rig = Rig::with(3, &served());
    let client = rig.connect_at(2, ZOOKEEPER);
    rig.send_bytes(client, &hello(None, 10_000, 0));
    rig.run();
    assert_eq!(rig.home(client), 0);
    let frame = take_frame(&mut rig.take_bytes(client)).expect("an answer");
    assert!(greeted(&frame).session.is_some());
}

#[test]
fn a_restart_finds_the_tree_in_checkpoints_and_behind_them() {
    let mut rig = rig();
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/t", b""));
    let data = vec![7; 4_000];
    for n in 0..1_500 {
        zk.send(&mut rig, &create(&format!("/t/n{n}"), &data));
        if n % 50 == 49 {
            rig.run();
            assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
        }
    }
    rig.pass(1_000);
    assert!(rig.stats(0).checkpoints_total.load(std::sync::atomic::Ordering::Relaxed) > 0, "a checkpoint was made");
    zk.does(&mut rig, &Ask::SetData("/t/n7", b"new", -1));
    let digest = rig.shard(0).groups.tree().state().digest();
    let mut rig = rig.restart(&served());
    rig.pass(100);
    assert_eq!(rig.shard(0).groups.tree().state().digest(), digest);
    let mut zk = Zk::greet(&mut rig, Some(zk.session), 10_000).expect("it lives");
    assert_eq!(zk.ask(&mut rig, &Ask::GetChildren("/t", false)).names().len(), 1_500);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/t/n7", false)).data(), (b"new".to_vec(), 1));
}

/// The process ends at each turn while a checkpoint is written and the tree with it, and another one begins with what is on the disk.
#[test]
fn whatever_is_there_of_a_checkpoint_the_one_before_counts_until_it_is_whole() {
    let snapshots = SnapshotSettings { piece_bytes: 2_000, write_bytes: 4_096 };
    let zookeeper = ZooKeeperSettings { snapshots, ..served().zookeeper.expect("they are served") };
    let settings = Settings { zookeeper: Some(zookeeper), ..served() };
    let mut rig = Rig::with(1, &settings);
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/t", b""));
    for n in 0..300 {
        zk.does(&mut rig, &create(&format!("/t/n{n}"), &[7; 200]));
    }
    let count = |rig: &Rig| rig.stats(0).checkpoints_total.load(std::sync::atomic::Ordering::Relaxed);
    let under_way = |rig: &Rig| rig.stats(0).checkpoint_under_way.load(std::sync::atomic::Ordering::Relaxed) == 1;
    // What fills a segment makes a checkpoint due.
    let (before, mut n, mut starts) = (count(&rig), 0, 0);
    zk.does(&mut rig, &create("/fill", b""));
    while !under_way(&rig) {
        zk.send(&mut rig, &Ask::SetData("/fill", &[1; 50_000], -1));
        rig.turn(0);
        n += 1;
        assert!(n < 10_000, "no checkpoint is due");
    }
    let mut turns = 0;
    while under_way(&rig) {
        // The tree is written to meanwhile.
        if turns % 10 == 0 {
            zk.send(&mut rig, &Ask::SetData(&format!("/t/n{}", turns % 300), &[8; 100], -1));
        }
        rig.turn(0);
        turns += 1;
        if turns % 3 != 0 {
            continue;
        }
        let files = rig.disk(0).files.clone();
        let mut other = Rig::start(vec![files], &settings, Mono(1 << 40));
        other.pass(100);
        assert!(other.is_ready(), "after {turns} turns: {:?}", other.logs());
        // All that was committed then is there; what came after it, too, if it is on the disk.
        let (tree, found) = (rig.shard(0).groups.tree(), other.shard(0).groups.tree());
        assert!(found.state().zxid() >= tree.state().zxid(), "after {turns} turns");
        if found.state().zxid() == tree.state().zxid() {
            assert_eq!(found.state().digest(), tree.state().digest(), "after {turns} turns");
            starts += 1;
        }
    }
    assert!(turns > 60 && starts > 10 && count(&rig) > before, "{turns} turns, {starts} starts");
    rig.run();
    let digest = rig.shard(0).groups.tree().state().digest();
    let mut rig = rig.restart(&settings);
    rig.pass(100);
    assert_eq!(rig.shard(0).groups.tree().state().digest(), digest);
}

#[test]
fn a_directory_without_a_tree_gets_one_when_clients_are_to_be_served() {
    let rig = Rig::with(1, &settings());
    let mut rig = rig.restart(&served());
    rig.pass(100);
    let mut zk = Zk::new(&mut rig);
    zk.does(&mut rig, &create("/a", b"kept"));
    // The tree stays what it is while they are not.
    let mut rig = rig.restart(&settings());
    rig.pass(1_000);
    let mut rig = rig.restart(&served());
    rig.pass(100);
    let mut zk = Zk::new(&mut rig);
    assert_eq!(zk.ask(&mut rig, &Ask::GetData("/a", false)).data(), (b"kept".to_vec(), 0));
}

#[test]
fn who_does_not_read_its_events_is_left_and_may_come_again() {
    let mut rig = rig();
    let (mut slow, mut writer) = (Zk::new(&mut rig), Zk::new(&mut rig));
    let path = format!("/{}", "x".repeat(900_000));
    slow.does(&mut rig, &Ask::AddWatch(&path, AddMode::Persistent));
    writer.does(&mut rig, &create(&path, b""));
    rig.reads(slow.client, false);
    for _ in 0..12 {
        writer.does(&mut rig, &Ask::SetData(&path, b"", -1));
    }
    assert!(rig.is_closed(slow.client));
    assert!(Zk::greet(&mut rig, Some(slow.session), 10_000).is_some());
}

#[test]
fn only_acls_decide_who_reads_and_is_told() {
    let mut rig = rig();
    let (mut ann, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    ann.does(&mut rig, &Ask::Auth("digest", b"ann:secret"));
    ann.does(&mut rig, &create("/open", b""));
    for zk in [&mut ann, &mut other] {
        assert_eq!(zk.ask(&mut rig, &Ask::Exists("/private", true)).error(), NO_NODE);
        zk.does(&mut rig, &Ask::GetData("/open", true));
    }
    let mine = [Acl { perms: 31, scheme: "auth", id: "" }];
    let private = New {
        path: "/private",
        data: b"",
        acls: &mine,
        kind: Kind::Persistent,
        sequential: false,
        ttl_ms: 0,
        with_stat: false,
    };
    ann.send(&mut rig, &Ask::Create(private));
    ann.send(&mut rig, &Ask::SetData("/open", b"x", -1));
    rig.run();
    assert_eq!(events(&ann.all(&mut rig)), [(CREATED, "/private"), (DATA_CHANGED, "/open")]);
    assert_eq!(events(&other.all(&mut rig)), [(DATA_CHANGED, "/open")], "of what it may not read it hears nothing");
    assert_eq!(other.ask(&mut rig, &Ask::GetData("/private", false)).error(), NO_AUTH);
    assert_eq!(other.ask(&mut rig, &Ask::SetData("/private", b"", -1)).error(), NO_AUTH);
    assert_eq!(other.ask(&mut rig, &Ask::Auth("nobody knows it", b"")).error(), -115);
    rig.run();
    assert!(rig.is_closed(other.client));
}

/// However many there are: others are answered meanwhile.
#[test]
fn words_that_list_all_watches_are_answered_in_turns() {
    let mut settings = served();
    settings.zookeeper.as_mut().expect("served").four_letter_words = vec!["wchp".into(), "wchc".into()];
    let mut rig = Rig::with(1, &settings);
    let (mut zk, mut other) = (Zk::new(&mut rig), Zk::new(&mut rig));
    let paths: Vec<String> = (0..10_000).map(|n| format!("/p/{n:04}")).collect();
    zk.does(&mut rig, &Ask::SetWatches(0, [&[], &paths, &[], &[], &[]]));
    other.does(&mut rig, &Ask::SetWatches(0, [&[], &paths[..1], &[], &[], &[]]));
    let (zks, others) = (zk.session.id, other.session.id);
    let mut sessions = [zks, others];
    sessions.sort_unstable();
    let both: String = sessions.iter().map(|id| format!("\t0x{id:x}\n")).collect();
    let by_path: String = paths.iter().map(|path| format!("{path}\n\t0x{zks:x}\n")).collect();
    let by_path = by_path.replacen(&format!("\t0x{zks:x}\n"), &both, 1) + "\n";
    let of = |id: i64| if id == zks { &paths[..] } else { &paths[..1] };
    let lines = |id: i64| of(id).iter().map(|path| format!("\t{path}\n")).collect::<String>();
    let by_session: String = sessions.iter().map(|id| format!("0x{id:x}\n{}", lines(*id))).collect();
    for (word, text) in [(b"wchp", by_path), (b"wchc", by_session + "\n")] {
        assert_eq!(word_in_turns(&mut rig, &mut other, word), text);
    }
}

/// What a word of four letters is answered, which takes turns: another session's ping is answered before it.
fn word_in_turns(rig: &mut Rig, other: &mut Zk, word: &[u8]) -> String {
    let client = rig.connect_at(0, ZOOKEEPER);
    rig.send_bytes(client, word);
    other.send(rig, &Ask::Ping);
    let mut turns = 0;
    while other.all(rig).is_empty() {
        rig.turn(0);
        turns += 1;
    }
    assert!(turns < 4 && !rig.is_closed(client), "{turns} turns");
    rig.run();
    assert!(rig.is_closed(client));
    String::from_utf8(rig.take_bytes(client)).expect("text")
}

/// The same of ephemeral znodes.
#[test]
fn the_word_that_lists_ephemeral_znodes_is_answered_in_turns() {
    let mut settings = served();
    settings.zookeeper.as_mut().expect("served").four_letter_words = vec!["dump".into()];
    let mut rig = Rig::with(1, &settings);
    let (mut zk, mut other) = (Zk::with_timeout(&mut rig, 30_000), Zk::with_timeout(&mut rig, 30_000));
    let paths: Vec<String> = (0..20_000).map(|n| format!("/{n:05}")).collect();
    for some in paths.chunks(100) {
        some.iter().for_each(|path| _ = zk.send(&mut rig, &ephemeral(path)));
        rig.run();
        assert!(zk.all(&mut rig).iter().all(|told| told.error() == 0));
    }
    other.does(&mut rig, &ephemeral("/one"));
    let (zks, others) = (zk.session.id, other.session.id);
    let of = |id: i64| if id == zks { paths.clone() } else { vec!["/one".to_string()] };
    let lines = |id: i64| of(id).iter().map(|path| format!("\t{path}\n")).collect::<String>();
    let mut sessions = [zks, others];
    sessions.sort_unstable();
    let all: String = sessions.iter().map(|id| format!("0x{id:x}:\n{}", lines(*id))).collect();
    let text = word_in_turns(&mut rig, &mut other, b"dump");
    let (sessions, rest) = text.split_once("ephemeral nodes dump:\n").expect("a second part");
    assert!(sessions.starts_with("SessionTracker dump:\nSession Sets (1)/(2):\n2 expire at "), "{sessions}");
    let (owned, connections) = rest.split_once("Connections dump:\n").expect("a third part");
    assert!(owned == format!("Sessions with Ephemerals (2):\n{all}"));
    assert!(connections.starts_with("Connections Sets (1)/(2):\n2 expire at "), "{connections}");
}
