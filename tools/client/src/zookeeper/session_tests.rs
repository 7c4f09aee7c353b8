use super::fake::Fake;
use super::*;
use std::time::Duration;
use torc_net::zookeeper::{AddMode, Answer, Ask, Change, ErrorCode, EventKind, Kind, New, OwnedAcl};

/// Long, as a test knows no time; short where it must pass.
const PATIENCE: Duration = Duration::from_secs(30);

fn options() -> ZooKeeperOptions {
    ZooKeeperOptions { timeout: PATIENCE, auths: Vec::new() }
}

fn new<'a>(path: &'a str, data: &'a [u8]) -> New<'a> {
    const OPEN: &[torc_net::zookeeper::Acl<'_>] =
        &[torc_net::zookeeper::Acl { perms: 31, scheme: "world", id: "anyone" }];
    New { path, data, acls: OPEN, kind: Kind::Persistent, sequential: false, ttl_ms: 0, with_stat: false }
}

fn open(fake: &Fake) -> ZooKeeper {
    ZooKeeper::connect(&fake.servers(), options()).unwrap()
}

#[test]
fn znodes_are_made_read_changed_and_deleted() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    assert_eq!(zookeeper.create(&new("/a", b"one")).unwrap(), "/a");
    let numbered = New { sequential: true, with_stat: true, ..new("/a/n-", b"") };
    assert_eq!(zookeeper.create(&numbered).unwrap(), "/a/n-0000000000");
    assert_eq!(zookeeper.get("/a").unwrap().0, b"one");
    let stat = zookeeper.set("/a", b"two", 0).unwrap();
    assert_eq!((stat.version, stat.data_length, stat.num_children), (1, 3, 1));
    assert_eq!(zookeeper.exists("/a").unwrap(), Some(stat));
    assert_eq!(zookeeper.exists("/b").unwrap(), None);
    assert_eq!(zookeeper.children("/").unwrap().0, ["a", "zookeeper"]);
    assert_eq!(zookeeper.descendants("/a").unwrap(), 1);
    let acls = vec![OwnedAcl { perms: 1, scheme: "world".to_string(), id: "anyone".to_string() }];
    zookeeper.set_acl("/a", &acls, -1).unwrap();
    assert_eq!(zookeeper.acl("/a").unwrap().0, acls);
    zookeeper.sync().unwrap();
    let refused = zookeeper.delete("/a", -1).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotEmpty));
    assert_eq!(refused.to_string(), "cannot delete /a: NotEmpty: it has children");
    zookeeper.delete("/a/n-0000000000", -1).unwrap();
    zookeeper.delete("/a", -1).unwrap();
    assert_eq!(zookeeper.last_zxid(), 5);
    zookeeper.close().unwrap();
}

#[test]
fn a_multi_tells_what_came_of_each() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    let changes = [
        Change::Create(new("/a", b"x")),
        Change::SetData("/a", b"y", 0),
        Change::Create(New { sequential: true, ..new("/a/n", b"") }),
        Change::Check("/a", 1),
    ];
    let done = zookeeper.multi(&changes).unwrap();
    let created = |path: &str| Done::Created(path.to_string());
    assert_eq!(done, [created("/a"), Done::Other, created("/a/n0000000000"), Done::Other]);
    let done = zookeeper.multi(&[Change::Delete("/none", -1), Change::Delete("/a", -1)]).unwrap();
    assert_eq!(done, [Done::Failed(ErrorCode::NoNode as i32), Done::Failed(ErrorCode::RuntimeInconsistency as i32)]);
}

#[test]
fn behind_a_chroot_paths_are_its_own() {
    let fake = Fake::start();
    open(&fake).create(&new("/app", b"")).unwrap();
    let mut inside = ZooKeeper::connect(&format!("{}/app/", fake.servers()), options()).unwrap();
    inside.watch("/", AddMode::Recursive).unwrap();
    assert_eq!(inside.create(&new("/x", b"1")).unwrap(), "/x");
    assert_eq!(inside.multi(&[Change::Create(new("/y", b""))]).unwrap(), [Done::Created("/y".to_string())]);
    assert_eq!(fake.data("/app/x").as_deref(), Some(&b"1"[..]));
    assert_eq!(inside.children("/").unwrap().0, ["x", "y"]);
    let event = Happening::Event { kind: EventKind::Created, path: "/x".to_string() };
    assert_eq!(inside.wait(PATIENCE).unwrap(), Some(event));
    assert_eq!(inside.on_server("/x"), "/app/x");
}

#[test]
fn many_questions_are_asked_at_once() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    let paths: Vec<String> = (0..1000).map(|n| format!("/{n}")).collect();
    for path in paths.iter().step_by(2) {
        zookeeper.create(&new(path, path.as_bytes())).unwrap();
    }
    let asks: Vec<Ask<'_>> = paths.iter().map(|path| Ask::GetData(path, false)).collect();
    let answers = zookeeper.ask_all(&asks).unwrap();
    assert_eq!(answers.len(), 1000);
    for (n, answer) in answers.iter().enumerate() {
        let mut answer = Answer::open(answer).unwrap();
        match n % 2 {
            0 => assert_eq!(answer.data().unwrap(), Some(paths[n].as_bytes())),
            _ => assert_eq!(answer.error, ErrorCode::NoNode as i32),
        }
    }
}

#[test]
fn a_session_moves_to_another_server_with_its_watches() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    let (session, first) = (zookeeper.session(), zookeeper.address().to_string());
    zookeeper.create(&New { kind: Kind::Ephemeral, ..new("/mine", b"") }).unwrap();
    zookeeper.watch("/", AddMode::Persistent).unwrap();
    fake.cut();
    assert_eq!(zookeeper.get("/mine").unwrap().1.ephemeral_owner, session);
    assert_eq!(zookeeper.session(), session);
    let second = zookeeper.address().to_string();
    assert_ne!(second, first);
    assert_eq!(zookeeper.wait(PATIENCE).unwrap(), Some(Happening::Reconnected { address: second }));
    open(&fake).create(&new("/new", b"")).unwrap();
    let event = Happening::Event { kind: EventKind::ChildrenChanged, path: "/".to_string() };
    assert_eq!(zookeeper.wait(PATIENCE).unwrap(), Some(event));
    zookeeper.unwatch("/").unwrap();
    open(&fake).create(&new("/newer", b"")).unwrap();
    zookeeper.beat().unwrap();
    assert_eq!(zookeeper.wait(Duration::from_millis(1)).unwrap(), None);
    zookeeper.close().unwrap();
    assert_eq!(fake.data("/mine"), None, "it goes with its session");
}

#[test]
fn a_write_whose_answer_is_lost_is_not_made_twice() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    fake.silence(true);
    let lost = zookeeper.create(&new("/a", b"")).unwrap_err();
    assert!(
        matches!(lost, ZooKeeperError::Lost { .. }) && lost.to_string().ends_with("it may have been done"),
        "{lost}"
    );
    fake.silence(false);
    assert!(zookeeper.exists("/a").unwrap().is_some());
    let asked = fake.state.lock().unwrap().asked.clone();
    assert_eq!(asked.iter().filter(|asked| *asked == "Create").count(), 1, "{asked:?}");
}

#[test]
fn a_session_that_is_gone_says_so() {
    let fake = Fake::start();
    let mut zookeeper = open(&fake);
    let session = zookeeper.session();
    fake.expire();
    let gone = zookeeper.get("/").unwrap_err();
    assert!(matches!(gone, ZooKeeperError::Expired { id } if id == session), "{gone}");
}

#[test]
fn credentials_are_shown_to_every_server() {
    let fake = Fake::start();
    let auths = vec![("digest".to_string(), b"user:password".to_vec())];
    let mut zookeeper = ZooKeeper::connect(&fake.servers(), ZooKeeperOptions { auths, ..options() }).unwrap();
    fake.cut();
    zookeeper.get("/").unwrap();
    let asked = fake.state.lock().unwrap().asked.clone();
    assert_eq!(asked.iter().filter(|asked| *asked == "Auth").count(), 2, "{asked:?}");
    let auths = vec![("digest".to_string(), b"wrong".to_vec())];
    let refused = ZooKeeper::connect(&fake.servers(), ZooKeeperOptions { auths, ..options() }).err().unwrap();
    assert_eq!(refused.code(), Some(ErrorCode::AuthFailed));
}

#[test]
fn what_is_no_zookeeper_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let error = ZooKeeper::connect(&address, options()).err().unwrap().to_string();
    assert!(error.contains(&address) && error.contains("does not speak ZooKeeper's protocol"), "{error}");
}
