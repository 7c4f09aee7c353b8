use super::*;
use crate::config::{Config, Flag, Sources};
use crate::kafka_keys::{Fate, NO_SECURITY};
use crate::reading::{Place, Reading};
use std::fs;
use std::path::{Path, PathBuf};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/zookeeper").join(name)
}

fn read_file(path: &Path) -> Reading {
    Reading::of(&Sources { file: Some(path.to_path_buf()), ..Sources::default() })
}

/// A `zoo.cfg` with this text in a directory of its own.
struct Zoo {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Zoo {
    /// `{dir}` in the text is the directory.
    fn new(text: &str) -> Zoo {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("zoo.cfg");
        fs::write(&file, text.replace("{dir}", dir.path().to_str().unwrap())).unwrap();
        Zoo { dir, file }
    }

    fn read(&self) -> Reading {
        read_file(&self.file)
    }
}

fn set(keys: &[&str]) -> Result<Config, Vec<String>> {
    let sources = Sources { set: keys.iter().map(|key| key.to_string()).collect(), ..Sources::default() };
    Config::load(&sources).map_err(|error| error.problems)
}

#[test]
fn without_keys_nobody_is_served_and_the_defaults_are_zookeepers() {
    let zookeeper = Config::load(&Sources::default()).unwrap().zookeeper;
    assert_eq!((zookeeper.listens(), zookeeper.admin(), zookeeper.chroot()), (None, None, Some("/kafka")));
    let about = About { init_limit: 10, sync_limit: 5, ..About::default() };
    let kafka_chroot = Some("/kafka".to_string());
    let expected =
        ZooKeeperSettings { four_letter_words: Vec::new(), about, kafka_chroot, ..ZooKeeperSettings::default() };
    assert_eq!(zookeeper.settings(About::default()), expected, "srvr is answered without being named");
}

#[test]
fn a_listener_is_an_address_or_a_port() {
    for (text, listens) in [
        ("2181", Some("127.0.0.1:2181")),
        (":2181", Some("0.0.0.0:2181")),
        ("zk.example:0", Some("zk.example:0")),
        ("[::1]:2181", Some("[::1]:2181")),
        ("none", None),
    ] {
        let flags = vec![Flag { name: "--zookeeper", key: "torc.zookeeper.listener", value: text.to_string() }];
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        assert_eq!(config.zookeeper.listens().map(|address| address.to_string()).as_deref(), listens, "{text}");
        assert_eq!(config.zookeeper.admin(), None, "the commands are where the metrics are");
        assert_eq!(config.kafka.len(), 1, "beside Kafka's clients");
    }
    for wrong in ["70000", "here", "a:b"] {
        assert!(set(&[&format!("torc.zookeeper.listener={wrong}")]).is_err(), "{wrong}");
    }
}

#[test]
fn a_zoo_cfg_starts_zookeeper_alone() {
    for name in ["zoo_sample-3.4.cfg", "zoo_sample-3.9.cfg", "with-kafka.properties"] {
        let reading = read_file(&testdata(name));
        assert!(reading.problems.is_empty(), "{name}: {:?}", reading.problems);
        let config = reading.config;
        assert!(config.kafka.is_empty() && config.members.is_none(), "{name}");
        assert_eq!(config.zookeeper.listens().unwrap().to_string(), "0.0.0.0:2181", "{name}");
        let admin = (name != "with-kafka.properties").then_some("0.0.0.0:8080");
        assert_eq!(config.zookeeper.admin().map(|address| address.to_string()).as_deref(), admin, "{name}");
        assert_eq!(config.data_dir, PathBuf::from("/tmp/zookeeper/torc"), "{name}");
        assert_eq!(config.zookeeper.chroot(), None, "a Kafka may want to keep its own there");
    }
    let both = Sources {
        file: Some(testdata("zoo_sample-3.9.cfg")),
        flags: vec![Flag { name: "--kafka", key: "listeners", value: ":9092".into() }],
        ..Sources::default()
    };
    assert_eq!(Config::load(&both).unwrap().kafka.len(), 1, "unless Kafka's clients are asked for");
}

#[test]
fn the_keys_of_an_ensemble_land_in_the_settings() {
    let reading = read_file(&testdata("ensemble.cfg"));
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    let members = "1=zk-0.zk.svc:2888,2=zk-1.zk.svc:2888,3=[fd00::3]:2888";
    assert_eq!(reading.config.members.as_ref().unwrap().to_string(), members);
    assert!(matches!(reading.place("torc.peers"), Place::File(_, 16)), "{}", reading.place("torc.peers"));
    let settings = reading.config.zookeeper.settings(About::default());
    assert_eq!((settings.max_connections_per_ip, settings.max_buffer), (200, 0x3f_ffff));
    assert_eq!((settings.tick_ms, settings.min_session_ms, settings.max_session_ms), (2_000, 4_000, 120_000));
    assert_eq!(settings.four_letter_words, ["srvr", "mntr", "ruok"]);
    let fate = |key: &str| reading.lines.iter().find(|line| line.key == key).unwrap().fate;
    for (key, expected) in [
        ("dataDir", Fate::Works),
        ("clientPort", Fate::Works),
        ("server.2", Fate::Works),
        ("metricsProvider.httpPort", Fate::Replaced("torc.metrics.listen")),
        ("autopurge.purgeInterval", Fate::Ignored),
        ("quorumListenOnAllIPs", Fate::Ignored),
        ("reconfigEnabled", Fate::NotYet),
    ] {
        assert_eq!(fate(key), expected, "{key}");
    }
    let unsaid = |line: &&crate::reading::Line| !matches!(line.fate, Fate::Works) && line.why.is_empty();
    assert_eq!(reading.lines.iter().find(unsaid), None);
    assert!(reading.config.notes.len() <= 8, "{:#?}", reading.config.notes);
}

#[test]
fn a_servers_number_and_its_clients_port_are_where_zookeeper_has_them() {
    let zoo = Zoo::new(
        "dataDir={dir}\nserver.1=h1:2888:3888;2181\nserver.2=h2:2888:3888;127.0.0.1:2182\nserver.3=h3:2888:3888;2183\n",
    );
    fs::write(zoo.dir.path().join("myid"), "2\n").unwrap();
    let reading = zoo.read();
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assert_eq!(reading.config.node_id, Some(2));
    assert!(matches!(reading.place("node.id"), Place::File(path, 1) if path.ends_with("myid")));
    assert_eq!(reading.config.zookeeper.listens().unwrap().to_string(), "127.0.0.1:2182");
    assert!(reading.config.kafka.is_empty());
    let flags = vec![Flag { name: "--node-id", key: "node.id", value: "1".into() }];
    let flagged = Config::load(&Sources { file: Some(zoo.file.clone()), flags, ..Sources::default() }).unwrap();
    assert_eq!((flagged.node_id, flagged.zookeeper.client_port), (Some(1), Some(2181)), "a flag beats the file");
    fs::write(zoo.dir.path().join("myid"), "two\n").unwrap();
    let problems = zoo.read().problems;
    assert!(problems[0].contains("myid:1: `node.id` cannot be `two`"), "{problems:?}");
}

#[test]
fn an_ensemble_in_a_file_of_its_own_is_read_too() {
    let zoo = Zoo::new("dataDir={dir}\nclientPort=2181\ndynamicConfigFile={dir}/zoo.cfg.dynamic\n");
    let problems = zoo.read().problems;
    assert!(problems[0].starts_with("cannot read the dynamicConfigFile"), "{problems:?}");
    let text = "server.1=h1:2888:3888:participant;0.0.0.0:2181\nserver.2=h2:2888:3888:participant;0.0.0.0:2181\nversion=100000000\n";
    fs::write(zoo.dir.path().join("zoo.cfg.dynamic"), text).unwrap();
    let reading = zoo.read();
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assert_eq!(reading.config.members.unwrap().to_string(), "1=h1:2888,2=h2:2888");
}

#[test]
fn lines_of_servers_are_not_the_last_word() {
    let text = "dataDir={dir}\nclientPort=2181\nserver.1=h1:2888:3888\n";
    let single = Zoo::new(text).read();
    assert!(single.problems.is_empty() && single.config.members.is_none(), "{:?}", single.problems);
    assert_eq!(single.lines[2].fate, Fate::Ignored);
    let zoo = Zoo::new(&format!("{text}server.2=h2:2888:3888\n"));
    let flags = vec![Flag { name: "--peers", key: "torc.peers", value: "1=a:1,2=b:2".into() }];
    let reading = Reading::of(&Sources { file: Some(zoo.file.clone()), flags, ..Sources::default() });
    assert_eq!(reading.config.members.unwrap().to_string(), "1=a:1,2=b:2");
    assert_eq!(reading.lines[2].fate, Fate::Replaced("torc.peers"));
    let twice = Zoo::new(&format!("{text}server.2=h2:2888:3888\nserver.2=h3:2888:3888\n")).read();
    assert_eq!(twice.config.members.unwrap().to_string(), "1=h1:2888,2=h3:2888");
    assert_eq!(twice.lines[3].fate, Fate::Overridden);
    let same = Zoo::new(&format!("{text}server.2=h1:2888:3888\n")).read();
    assert!(same.problems[0].contains("have the same address"), "{:?}", same.problems);
}

#[test]
fn what_cannot_be_done_says_what_to_write() {
    for (line, part) in [
        ("server.2=h2:2888:3888:observer", "leave `:observer` out"),
        ("server.2=h2:2888:3888|h3:2888:3888", "leave one of them"),
        ("server.2=h2", "it must be of the form host:port:port"),
        ("server.2=h2:2888:x", "it must be of the form"),
        ("server.2=h2:0:3888", "no address that others can connect to"),
        ("server.2=h2:2888:3888;h2:port", "no port"),
        ("group.1=1:2:3", "leave groups and weights out"),
        ("weight.1=3", "leave groups and weights out"),
        ("peerType=observer", "no observers by name"),
        ("oraclePath=/o", "no file decides who leads"),
        ("minSessionTimeout=50000", "cannot last at most 40000 ms"),
        ("torc.zookeeper.kafka.chroot=kafka", "no path of a znode"),
        ("torc.zookeeper.kafka.chroot=/", "no path of a znode"),
        ("torc.zookeeper.kafka.chroot=/zookeeper/kafka", "ZooKeeper's own"),
        ("DigestAuthenticationProvider.superDigest=hash", "user:hash"),
        ("4lw.commands.whitelist=ruok,nope", "it must be of *, conf"),
        ("jute.maxbuffer=1", "it must be from"),
        ("ticktime=2000", "the nearest known key is `tickTime`"),
    ] {
        let zoo = Zoo::new(&format!("dataDir={{dir}}\nclientPort=2181\nserver.1=h1:2888:3888\n{line}\n"));
        let problems = zoo.read().problems;
        assert!(problems.len() == 1 && problems[0].contains(part), "{line}: {problems:?}");
        assert!(problems[0].contains("zoo.cfg:4"), "{line}: {problems:?}");
    }
    let problems = Zoo::new("dataDir={dir}\nclientPortAddress=h\n").read().problems;
    assert!(problems[0].contains("clientPort is not set"), "{problems:?}");
}

#[test]
fn a_server_that_is_to_be_protected_does_not_start() {
    let reading = read_file(&testdata("secured.cfg"));
    let problems = reading.problems;
    assert!(
        problems.len() == 1 && problems[0].contains(NO_SECURITY) && problems[0].contains(":3,4,5,7,8: "),
        "{problems:?}"
    );
    assert_eq!(reading.lines.iter().find(|line| line.key == "sslQuorum").unwrap().fate, Fate::Ignored);
}

#[test]
fn data_of_a_zookeeper_are_left_alone_and_spoken_of() {
    let zoo = Zoo::new("dataDir={dir}\nclientPort=2181\n");
    fs::create_dir(zoo.dir.path().join("version-2")).unwrap();
    let reading = zoo.read();
    let says = |reading: &Reading| reading.config.notes.iter().any(|(_, note)| note.contains("torc znode import"));
    assert!(says(&reading) && reading.config.data_dir == zoo.dir.path().join("torc"));
    fs::create_dir(zoo.dir.path().join("torc")).unwrap();
    fs::write(zoo.dir.path().join("torc/torc.properties"), "").unwrap();
    assert!(!says(&zoo.read()), "torc has data of its own");
}

#[test]
fn a_secret_is_shown_to_nobody() {
    let config = set(&["DigestAuthenticationProvider.superDigest=super:hunter2"]).unwrap();
    assert_eq!(config.zookeeper.super_digest.as_deref(), Some("super:hunter2"));
    assert!(!config.shown.values().any(|shown| shown.contains("hunter2")), "{:?}", config.shown);
}

#[test]
fn the_chroot_and_switches_are_taken_as_written() {
    let config = set(&[
        "torc.zookeeper.kafka.chroot=none",
        "skipACL=yes",
        "enforceQuota=true",
        "extendedTypesEnabled=false",
        "admin.serverPort=0",
        "admin.serverAddress=127.0.0.1",
        "torc.zookeeper.listener=2181",
        "tickTime=500",
        "localSessionsEnabled=true",
        "readonlymode.enabled=true",
    ])
    .unwrap();
    let (zookeeper, settings) = (&config.zookeeper, config.zookeeper.settings(About::default()));
    assert_eq!((zookeeper.chroot(), zookeeper.admin().unwrap().to_string().as_str()), (None, "127.0.0.1:0"));
    assert!(settings.skips_acls && settings.enforces_quotas && !settings.has_ttl && settings.reads_alone);
    assert_eq!(settings.local_sessions, torc_shard::LocalSessions::Yes);
    let both = set(&["localSessionsEnabled=true", "localSessionsUpgradingEnabled=true"]).unwrap();
    assert_eq!(both.zookeeper.settings(About::default()).local_sessions, torc_shard::LocalSessions::Upgraded);
    let neither = set(&["localSessionsUpgradingEnabled=true"]).unwrap();
    assert_eq!(neither.zookeeper.settings(About::default()).local_sessions, torc_shard::LocalSessions::No);
    assert_eq!((settings.min_session_ms, settings.max_session_ms), (1_000, 10_000));
    assert_eq!((config.shown["skipACL"].as_str(), config.shown["jute.maxbuffer"].as_str()), ("yes", "1048575"));
}
