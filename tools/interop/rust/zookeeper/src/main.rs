//! zookeeper-client: its calls with their exact answers, and its lock. Prints "case NAME" for all, then "ok NAME" or "failed NAME TEXT".

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use zookeeper_client as zk;

const PATIENCE: Duration = Duration::from_secs(20);

type Outcome = Result<(), String>;

/// What one case uses.
struct Trial {
    hosts: String,
    root: String,
}

macro_rules! same {
    ($found:expr, $wanted:expr) => {{
        let (found, wanted) = ($found, $wanted);
        if found != wanted {
            return Err(format!("line {}: {found:?}, not {wanted:?}", line!()));
        }
    }};
}

macro_rules! ok {
    ($call:expr) => {
        match $call.await {
            Ok(answer) => answer,
            Err(error) => return Err(format!("line {}: {error:?}", line!())),
        }
    };
}

macro_rules! refused {
    ($call:expr, $wanted:expr) => {
        match $call.await {
            Err(error) if error == $wanted => {}
            other => return Err(format!("line {}: {other:?}, not {:?}", line!(), $wanted)),
        }
    };
}

fn options(mode: zk::CreateMode) -> zk::CreateOptions<'static> {
    mode.with_acls(zk::Acls::anyone_all())
}

impl Trial {
    async fn begin(&self) -> Result<zk::Client, zk::Error> {
        zk::Client::connector().with_session_timeout(Duration::from_secs(10)).connect(&self.hosts).await
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }
}

async fn soon<T>(event: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, event).await.map_err(|_| "an event did not come".to_string())
}

async fn calls_and_stats(trial: Trial) -> Outcome {
    let session = ok!(trial.begin());
    let plain = options(zk::CreateMode::Persistent);
    let (stat, _) = ok!(session.create(&trial.root, b"one", &plain));
    same!(ok!(session.get_data(&trial.root)), (b"one".to_vec(), stat));
    same!((stat.mzxid, stat.pzxid, stat.mtime), (stat.czxid, stat.czxid, stat.ctime));
    same!((stat.version, stat.cversion, stat.aversion, stat.data_length, stat.num_children), (0, 0, 0, 3, 0));
    let written = ok!(session.set_data(&trial.root, b"three", Some(0)));
    same!((written.version, written.data_length), (1, 5));
    refused!(session.set_data(&trial.root, b"", Some(0)), zk::Error::BadVersion);
    refused!(session.create(&trial.root, b"", &plain), zk::Error::NodeExists);
    refused!(session.create(&trial.path("a/b"), b"", &plain), zk::Error::NoNode);
    refused!(session.delete(&trial.path("none"), None), zk::Error::NoNode);
    refused!(session.get_data(&trial.path("none")), zk::Error::NoNode);
    same!(ok!(session.check_stat(&trial.path("none"))), None);
    ok!(session.create(&trial.path("child"), b"", &plain));
    refused!(session.delete(&trial.root, None), zk::Error::NotEmpty);
    let (children, stat) = ok!(session.get_children(&trial.root));
    same!((children, stat.cversion, stat.num_children), (vec!["child".to_string()], 1, 1));
    same!(ok!(session.count_descendants_number(&trial.root)), 1);
    Ok(())
}

async fn modes(trial: Trial) -> Outcome {
    let (session, other) = (ok!(trial.begin()), ok!(trial.begin()));
    let (stat, _) = ok!(session.create(&trial.root, b"", &options(zk::CreateMode::Container)));
    // Clients do not see the marks of containers and of what has a time to live.
    same!(stat.ephemeral_owner, 0);
    let (_, sequence) = ok!(session.create(&trial.path("s-"), b"", &options(zk::CreateMode::PersistentSequential)));
    same!(sequence.to_string(), "0000000000");
    let (stat, sequence) = ok!(session.create(&trial.path("e-"), b"", &options(zk::CreateMode::EphemeralSequential)));
    same!((sequence.to_string(), stat.ephemeral_owner), ("0000000001".to_string(), session.session_id().0));
    let path = trial.path("e-0000000001");
    refused!(
        session.create(&format!("{path}/x"), b"", &options(zk::CreateMode::Persistent)),
        zk::Error::NoChildrenForEphemerals
    );
    same!(ok!(session.list_ephemerals(&trial.root)), vec![path.clone()]);
    let timed = options(zk::CreateMode::Persistent).with_ttl(Duration::from_secs(600));
    let (stat, _) = ok!(session.create(&trial.path("t"), b"", &timed));
    same!(stat.ephemeral_owner, 0);
    let (found, gone) = ok!(other.check_and_watch_stat(&path));
    same!(found.is_some(), true);
    drop(session);
    same!(soon(gone.changed()).await?.event_type, zk::EventType::NodeDeleted);
    Ok(())
}

async fn watches(trial: Trial) -> Outcome {
    let (session, other) = (ok!(trial.begin()), ok!(trial.begin()));
    let plain = options(zk::CreateMode::Persistent);
    let (_, made) = ok!(session.check_and_watch_stat(&trial.root));
    let mut deep = ok!(session.watch(&trial.root, zk::AddWatchMode::PersistentRecursive));
    ok!(other.create(&trial.root, b"", &plain));
    same!(soon(made.changed()).await?.event_type, zk::EventType::NodeCreated);
    let (_, _, children) = ok!(session.get_and_watch_children(&trial.root));
    ok!(other.create(&trial.path("c"), b"", &plain));
    same!(soon(children.changed()).await?.event_type, zk::EventType::NodeChildrenChanged);
    let (_, _, data) = ok!(session.get_and_watch_data(&trial.path("c")));
    ok!(other.set_data(&trial.path("c"), b"x", None));
    same!(soon(data.changed()).await?.event_type, zk::EventType::NodeDataChanged);
    ok!(other.delete(&trial.path("c"), None));
    let wanted = [
        (zk::EventType::NodeCreated, trial.root.clone()),
        (zk::EventType::NodeCreated, trial.path("c")),
        (zk::EventType::NodeDataChanged, trial.path("c")),
        (zk::EventType::NodeDeleted, trial.path("c")),
    ];
    for (kind, path) in wanted {
        let event = soon(deep.changed()).await?;
        same!((event.event_type, event.path), (kind, path));
    }
    Ok(())
}

async fn multis(trial: Trial) -> Outcome {
    let session = ok!(trial.begin());
    let mut writer = session.new_multi_writer();
    let plain = options(zk::CreateMode::Persistent);
    writer.add_create(&trial.root, b"", &plain).map_err(|error| format!("{error:?}"))?;
    writer.add_set_data(&trial.root, b"x", Some(0)).map_err(|error| format!("{error:?}"))?;
    writer.add_check_version(&trial.root, 1).map_err(|error| format!("{error:?}"))?;
    same!(ok!(writer.commit()).len(), 3);
    writer.add_set_data(&trial.root, b"y", None).map_err(|error| format!("{error:?}"))?;
    writer.add_check_version(&trial.root, 7).map_err(|error| format!("{error:?}"))?;
    match writer.commit().await {
        Err(zk::MultiWriteError::OperationFailed { index: 1, source: zk::Error::BadVersion }) => {}
        other => return Err(format!("line {}: {other:?}", line!())),
    }
    same!(ok!(session.get_data(&trial.root)).0, b"x".to_vec());
    let mut reader = session.new_multi_reader();
    reader.add_get_data(&trial.root).map_err(|error| format!("{error:?}"))?;
    reader.add_get_children(&trial.root).map_err(|error| format!("{error:?}"))?;
    same!(ok!(reader.commit()).len(), 2);
    Ok(())
}

async fn access_lists(trial: Trial) -> Outcome {
    let (session, stranger) = (ok!(trial.begin()), ok!(trial.begin()));
    ok!(session.auth("digest", b"me:pw"));
    let mine = zk::CreateMode::Persistent.with_acls(zk::Acls::creator_all());
    ok!(session.create(&trial.root, b"x", &mine));
    ok!(stranger.sync(&trial.root));
    refused!(stranger.get_data(&trial.root), zk::Error::NoAuth);
    refused!(stranger.create(&format!("{}-other", trial.root), b"", &mine), zk::Error::InvalidAcl);
    let open = [zk::Acl::new(zk::Permission::ALL, zk::AuthId::anyone())];
    let (lists, stat) = ok!(session.get_acl(&trial.root));
    same!((lists.len(), lists[0].id().to_string()), (1, "me:xlpJGzVhaayvpHfFn/RwowgwqI4=".to_string()));
    ok!(session.set_acl(&trial.root, &open, Some(stat.aversion)));
    ok!(stranger.set_data(&trial.root, b"y", None));
    let users = ok!(session.list_auth_users());
    same!(users.iter().filter(|user| user.scheme() == "digest").count(), 1);
    Ok(())
}

async fn locks(trial: Trial) -> Outcome {
    let setup = ok!(trial.begin());
    ok!(setup.create(&trial.root, b"0", &options(zk::CreateMode::Persistent)));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (session, root) = (ok!(trial.begin()), trial.root.clone());
        workers.spawn(async move {
            for _ in 0..5 {
                let locks = format!("{root}-locks");
                let prefix = zk::LockPrefix::new_curator(&locks, "latch-").map_err(|error| format!("{error:?}"))?;
                let ancestors = options(zk::CreateMode::Persistent);
                let wanted = zk::LockOptions::new(zk::Acls::anyone_all())
                    .with_ancestor_options(ancestors)
                    .map_err(|error| format!("{error:?}"))?;
                let held = ok!(session.lock(prefix, b"", wanted));
                let (data, _) = ok!(held.client().get_data(&root));
                let value: u32 = String::from_utf8_lossy(&data).parse().map_err(|error| format!("{error:?}"))?;
                // Refused if the lock is lost meanwhile: its znode is checked with the write.
                ok!(held.set_data(&root, (value + 1).to_string().as_bytes(), None));
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = workers.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    ok!(setup.sync(&trial.root));
    same!(ok!(setup.get_data(&trial.root)).0, b"20".to_vec());
    Ok(())
}

type Case = (&'static str, fn(Trial) -> Pin<Box<dyn Future<Output = Outcome>>>);

const CASES: &[Case] = &[
    ("calls_and_stats", |trial| Box::pin(calls_and_stats(trial))),
    ("modes", |trial| Box::pin(modes(trial))),
    ("watches", |trial| Box::pin(watches(trial))),
    ("multis", |trial| Box::pin(multis(trial))),
    ("access_lists", |trial| Box::pin(access_lists(trial))),
    ("locks", |trial| Box::pin(locks(trial))),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let hosts = std::env::args().nth(1).expect("hosts");
    for (name, _) in CASES {
        println!("case\t{name}");
    }
    for (name, run) in CASES {
        let trial = Trial { hosts: hosts.clone(), root: format!("/rust-{}-{name}", std::process::id()) };
        match tokio::time::timeout(3 * PATIENCE, run(trial)).await {
            Ok(Ok(())) => println!("ok\t{name}"),
            Ok(Err(text)) => println!("failed\t{name}\t{}", text.replace(['\n', '\t'], " ")),
            Err(_) => println!("failed\t{name}\tdid not end"),
        }
    }
}
