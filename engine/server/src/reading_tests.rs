use crate::config::{Flag, Sources};
use crate::kafka_keys::{Fate, NO_SECURITY};
use crate::reading::{Place, Reading};
use std::fs;
use std::path::{Path, PathBuf};
use torc_base::io::Level;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn read_file(path: &Path) -> Reading {
    Reading::of(&Sources { file: Some(path.to_path_buf()), ..Sources::default() })
}

/// A file with this text, read.
fn read(text: &[u8]) -> Reading {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    read_file(file.path())
}

fn fates(reading: &Reading) -> Vec<(&str, Fate)> {
    reading.lines.iter().map(|line| (line.key.as_str(), line.fate)).collect()
}

#[test]
fn kafkas_own_files_start_with_a_few_lines_about_what_is_left_out() {
    for name in [
        "server-2.8",
        "kraft-server-2.8",
        "kraft-broker-2.8",
        "server-3.9",
        "kraft-server-3.9",
        "kraft-broker-3.9",
        "server-4.3",
        "broker-4.3",
    ] {
        let reading = read_file(&testdata(&format!("kafka/{name}.properties")));
        assert!(reading.problems.is_empty(), "{name}: {:?}", reading.problems);
        assert!(reading.config.notes.len() <= 6, "{name}: {:#?}", reading.config.notes);
        assert_eq!(reading.config.kafka.len(), 1, "{name}");
        assert_eq!(reading.config.log_retention_ms, 168 * 3_600_000, "{name}");
        let unsaid = |line: &&crate::reading::Line| !matches!(line.fate, Fate::Works) && line.why.is_empty();
        assert_eq!(reading.lines.iter().find(unsaid), None, "{name}");
    }
    let combined = read_file(&testdata("kafka/server-4.3.properties")).config;
    assert_eq!(combined.kafka[0].listen.to_string(), "0.0.0.0:9092");
    assert_eq!(combined.kafka[0].advertised.as_ref().unwrap().to_string(), "localhost:9092");
    assert_eq!((combined.node_id, combined.data_dir), (Some(1), PathBuf::from("/tmp/kraft-combined-logs")));
}

#[test]
fn the_file_of_a_controller_alone_is_refused_as_that() {
    let problems = read_file(&testdata("kafka/controller-4.3.properties")).problems;
    assert!(problems[0].contains("the file of a controller that is no broker"), "{problems:?}");
}

#[test]
fn files_of_images_operators_and_tutorials_start_or_are_refused_for_one_reason() {
    for (name, listeners) in [
        ("apache-image", 2),
        ("bitnami-image", 1),
        ("confluent-image", 2),
        ("stored-by-java", 2),
        ("tutorial-zookeeper", 1),
    ] {
        let reading = read_file(&testdata(&format!("published/{name}.properties")));
        assert!(reading.problems.is_empty(), "{name}: {:?}", reading.problems);
        assert_eq!(reading.config.kafka.len(), listeners, "{name}");
        assert!(reading.config.notes.len() <= 10, "{name}: {:#?}", reading.config.notes);
    }
    let problems = read_file(&testdata("published/strimzi-operator.properties")).problems;
    assert!(!problems.is_empty() && problems.iter().all(|problem| problem.contains(NO_SECURITY)), "{problems:#?}");
    assert_eq!(problems.len(), 2, "the listener, and what protects it: {problems:#?}");
}

#[test]
fn all_of_kafkas_keys_with_their_defaults_start() {
    let reading = read_file(&testdata("kafka/defaults.properties"));
    assert!(reading.problems.is_empty(), "{:#?}", reading.problems);
    let refused: Vec<&str> = reading.lines.iter().filter(|l| l.fate == Fate::Refused).map(|l| l.key.as_str()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(reading.config.cleaner_bytes_per_second, 1 << 40, "Kafka's has no limit");
    assert_eq!(reading.config.node_id, None);
}

#[test]
fn each_line_has_its_fate() {
    let reading = read(
        b"num.partitions=3\nnum.io.threads=8\nzookeeper.connect=zk\\:2181\noffsets.topic.replication.factor=1\n\
          delete.topic.enable=true\nlog.retention.hours=1\nlog.retention.ms=5\nnum.partitions=4\nadvertised.listeners=\n\
          listener.name.plaintext.connections.max.idle.ms=5\n",
    );
    let expected = [
        ("num.partitions", Fate::Overridden),
        ("num.io.threads", Fate::Replaced("torc.shards")),
        ("zookeeper.connect", Fate::Ignored),
        ("offsets.topic.replication.factor", Fate::Works),
        ("delete.topic.enable", Fate::Works),
        ("log.retention.hours", Fate::Overridden),
        ("log.retention.ms", Fate::Works),
        ("num.partitions", Fate::Works),
        ("advertised.listeners", Fate::Ignored),
        ("listener.name.plaintext.connections.max.idle.ms", Fate::NotYet),
    ];
    assert_eq!(fates(&reading), expected);
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    let why = |at: usize| reading.lines[at].why.as_str();
    assert!(why(5).starts_with("by `log.retention.ms` at ") && why(5).ends_with(":7"), "{}", why(5));
    let levels: Vec<Level> = reading.config.notes.iter().map(|(level, _)| *level).collect();
    assert!(levels.contains(&Level::Warn) && levels.contains(&Level::Info));
}

#[test]
fn what_would_weaken_a_promise_is_refused() {
    for (text, part) in [
        ("default.replication.factor=3", "keeps one copy of each partition"),
        ("unclean.leader.election.enable=true", "is never given up"),
        ("delete.topic.enable=false", "topics can always be deleted"),
        ("ssl.client.auth=required", NO_SECURITY),
        ("listener.name.external.ssl.client.auth=required", NO_SECURITY),
        ("create.topic.policy.class.name=a.B", "would be asked before topics are changed"),
        ("log.message.timestamp.difference.max.ms=1000", "replaced by log.message.timestamp.before.max.ms"),
        ("host.name=h", "replaced by listeners"),
        ("advertised.port=1", "replaced by advertised.listeners"),
        ("process.roles=controller", "a controller that is no broker"),
        ("log.dirs=/data/${BROKER}", "a placeholder"),
        ("listeners=SSL://:9093", NO_SECURITY),
    ] {
        let reading = read(text.as_bytes());
        assert!(reading.problems.len() == 1 && reading.problems[0].contains(part), "{text}: {:?}", reading.problems);
        assert_eq!(reading.lines[0].fate, Fate::Refused, "{text}");
    }
    // Of a listener that is not opened nothing is promised.
    let text = "listeners=PLAINTEXT://:1,CONTROLLER://:2\ncontroller.listener.names=CONTROLLER\n\
                listener.name.controller.ssl.client.auth=required\n";
    assert!(read(text.as_bytes()).problems.is_empty());
}

#[test]
fn what_a_cluster_is_told_fits_together() {
    const THREE: &str = "torc.peers=3=c:1,1=a:1,2=b:1\n";
    for (text, part) in [
        ("node.id=4\n", "does not name this server, whose node.id is 4"),
        ("default.replication.factor=4\n", "cannot be 4: the cluster has 3 servers"),
        ("torc.peer.listener=c\n", "the port is missing"),
        ("torc.peer.beat.ms=9\n", "from 10ms to 60000ms"),
        ("torc.peer.silent.beats=1\n", "from 2 to 1000"),
    ] {
        let problems = read(format!("{THREE}{text}").as_bytes()).problems;
        assert!(problems.len() == 1 && problems[0].contains(part), "{text}: {problems:?}");
    }
    let text = format!(
        "{THREE}node.id=3\ndefault.replication.factor=2\nbroker.rack=r1\ntorc.peer.listener=:1\ntorc.peer.beat.ms=50\n\
         torc.peer.silent.beats=4\nmin.insync.replicas=2\n"
    );
    let reading = read(text.as_bytes());
    let config = &reading.config;
    assert!(reading.problems.is_empty() && config.notes.is_empty(), "{:?} {:?}", reading.problems, config.notes);
    assert_eq!(config.members.as_ref().unwrap().to_string(), "1=a:1,2=b:1,3=c:1");
    assert_eq!(config.peer.as_ref().unwrap().to_string(), "0.0.0.0:1");
    assert_eq!((config.rack.as_deref(), config.replication(3)), (Some("r1"), 2));
    assert_eq!((config.peer_beat_ms, config.peer_silent_beats), (50, 4));
    let default = read(THREE.as_bytes()).config;
    assert_eq!((default.peer_beat_ms, default.peer_silent_beats), (100, 5));
    assert!(default.peer.is_none());
    assert_eq!([1, 2, 3, 5].map(|servers| default.replication(servers)), [1, 2, 3, 3]);
    assert!(
        read(format!("{THREE}min.insync.replicas=4\n").as_bytes()).config.notes[0].1.contains("there are 3 servers")
    );
}

#[test]
fn keys_that_are_refused_for_one_reason_are_one_problem() {
    let reading = read(b"ssl.keystore.location=/k\nnum.partitions=1\nssl.keystore.password=p\nsuper.users=User:a\n");
    assert_eq!(reading.problems.len(), 1, "{:?}", reading.problems);
    let expected = format!(":1,3,4: `ssl.keystore.location`, `ssl.keystore.password`, `super.users`: {NO_SECURITY}");
    assert!(reading.problems[0].ends_with(&expected), "{:?}", reading.problems);
}

#[test]
fn advice_fits_what_was_written() {
    for (key, part) in [
        ("log.retention.hour", "the nearest known key is `log.retention.hours`"),
        ("zookeeper.conect", "the nearest known key is `zookeeper.connect`"),
        ("retention.ms", "is a setting of topics; its default for all topics is the key `log.retention.ms`"),
        ("bootstrap.servers", "neither torc nor Kafka 2.8 to 4.4 nor ZooKeeper 3.4 to 3.9 has one like it"),
    ] {
        let problems = read(format!("{key}=1\n").as_bytes()).problems;
        assert!(problems.len() == 1 && problems[0].contains(part), "{key}: {problems:?}");
    }
}

#[test]
fn of_several_directories_the_one_with_data_is_used() {
    let root = tempfile::tempdir().unwrap();
    let dirs = ["a", "b", "c"].map(|name| root.path().join(name));
    let set = format!("log.dirs={},{} , {}", dirs[0].display(), dirs[1].display(), dirs[2].display());
    let read = || Reading::of(&Sources { set: vec![set.clone()], ..Sources::default() });
    let first = read();
    assert_eq!(first.config.data_dir, dirs[0]);
    let (level, note) = &first.config.notes[0];
    assert!(*level == Level::Warn && note.contains("torc keeps everything in") && note.contains("/b, "), "{note}");
    for (dir, used) in [(&dirs[1], Some(&dirs[1])), (&dirs[2], None)] {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("torc.properties"), "").unwrap();
        let reading = read();
        match used {
            Some(used) => assert_eq!((&reading.config.data_dir, reading.problems.len()), (used, 0)),
            None => assert!(reading.problems[0].contains("both hold torc's data"), "{:?}", reading.problems),
        }
    }
}

#[test]
fn what_is_in_force_comes_with_its_place() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "# c\nnum.partitions=3\nlog.retention.minutes=10\nlog.dir=/d\nlisteners=h:1\n").unwrap();
    let sources = Sources {
        file: Some(file.path().to_path_buf()),
        set: vec!["message.max.bytes=1MiB".to_string()],
        flags: vec![Flag { name: "--kafka", key: "listeners", value: "127.0.0.1:0".to_string() }],
    };
    let reading = Reading::of(&sources);
    let in_force = reading.in_force();
    let of =
        |name: &str| in_force.iter().find(|(key, ..)| *key == name).map(|(_, value, place)| (*value, place.clone()));
    let at = |line| Place::File(file.path().to_path_buf().into(), line);
    assert_eq!(of("num.partitions"), Some((Some("3"), at(2))));
    assert_eq!(of("log.retention.minutes"), Some((Some("10"), at(3))));
    assert_eq!(of("log.dir"), Some((Some("/d"), at(4))));
    assert_eq!(of("message.max.bytes"), Some((Some("1048576"), Place::Set)));
    assert_eq!(of("listeners"), Some((Some("PLAINTEXT://127.0.0.1:0"), Place::Flag("--kafka"))));
    assert_eq!(of("torc.drain.ms"), Some((Some("5000"), Place::Default)));
    assert_eq!(of("torc.shards"), Some((None, Place::Default)));
    assert_eq!((of("log.retention.hours"), of("log.dirs")), (None, None), "each setting is there once");
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let (entries, _) = crate::properties::parse(&crate::properties::decode(bytes));
        assert!(entries.len() <= bytes.len());
    });
}
