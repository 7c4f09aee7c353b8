use super::*;
use crate::znodes::facts::{Conf, Ensemble, Latency, Member, OfSession, Sizes, WatchCounts};
use torc_base::ids::Zxid;

/// A server with one session of a client and the connection of the word itself.
fn facts() -> Facts {
    let mut latency = Latency::default();
    [0, 1, 0].into_iter().for_each(|ms| latency.add(ms));
    let of_session = OfSession {
        id: SessionId(0x1000_06b1_4a90_0000),
        last_operation: "PING",
        established: Wall(1_700_000_000_123),
        timeout_ms: 30_000,
        last_cxid: 0x11,
        last_zxid: Zxid(0x1_0000_0003),
        last_response_ms: 4_711,
        last_latency_ms: 0,
        latency,
    };
    let client = Connection {
        remote: "127.0.0.1:50102".parse().unwrap(),
        is_read: true,
        queued: 0,
        received: 19,
        sent: 20,
        session: Some(of_session),
    };
    let word = Connection {
        remote: "[::1]:50200".parse().unwrap(),
        is_read: false,
        queued: 0,
        received: 1,
        sent: 0,
        session: None,
    };
    Facts {
        version: "3.9.4-torc-0.1.0, built on unknown".to_string(),
        is_serving: true,
        conf: Conf {
            client_port: 2181,
            data_dir: "/srv/torc".to_string(),
            tick_ms: 2_000,
            max_connections_per_ip: 60,
            min_session_ms: 4_000,
            max_session_ms: 40_000,
            server_id: 1,
        },
        allowed: vec!["*".to_string()],
        environment: vec![("host.name".to_string(), "h".to_string()), ("os.name".to_string(), "Linux".to_string())],
        latency,
        received: 21,
        sent: 20,
        zxid: Zxid(0x1_0000_0003),
        znodes: 7,
        ephemeral_znodes: 1,
        data_bytes: 120,
        global_sessions: 1,
        alive_connections: 2,
        watch_counts: WatchCounts { connections: 1, paths: 2, data: 2, children: 1 },
        snapshot_bytes: 512,
        log_bytes: 67_108_880,
        trace_mask: TRACE_MASK,
        digests: vec![(Zxid(128), -7), (Zxid(256), 9)],
        connections: vec![client, word],
        sessions: vec![Session {
            id: SessionId(0x1000_06b1_4a90_0000),
            timeout_ms: 30_000,
            expires: Some(Wall(1_795_960_488_000)),
        }],
        ephemerals: vec![(SessionId(0x1000_06b1_4a90_0000), vec!["/e".to_string()])],
        watches: vec![
            (SessionId(0x1000_06b1_4a90_0000), vec!["/a".to_string(), "/b".to_string()]),
            (SessionId(0x2000_0000_0000_0001), vec!["/b".to_string()]),
        ],
        ..Facts::default()
    }
}

/// The same as one of three, number 1, which leads.
fn of_three() -> Facts {
    let member = |id: u32, is_observer| Member {
        id,
        host: format!("h{id}"),
        port: 2888,
        is_observer,
        is_synced: true,
        client: Some(("0.0.0.0".to_string(), 2181)),
    };
    let mut proposals = Sizes::default();
    [48, 36, 60].into_iter().for_each(|bytes| proposals.add(bytes));
    let ensemble = Ensemble {
        members: vec![member(1, false), member(2, false), member(3, true)],
        leader: Some(1),
        proposals,
        leads_for_ms: 99,
        pending_syncs: 0,
        init_limit: 10,
        sync_limit: 5,
    };
    Facts { mode: Mode::Leader, ensemble: Some(ensemble), ..facts() }
}

#[test]
fn a_word_is_four_bytes_that_have_a_meaning() {
    for name in WORDS {
        assert_eq!(word(name.as_bytes().try_into().unwrap()), Some(name));
        assert!(!answer(name, &facts()).is_empty() && !answer(name, &of_three()).is_empty(), "{name}");
    }
    for other in [*b"RUOK", *b"help", [0, 0, 0, 44], [0xff, 0xf4, 0xff, 0xfd]] {
        assert_eq!(word(other), None);
    }
}

#[test]
fn what_is_not_allowed_is_not_answered() {
    let only = |allowed: &[&str]| Facts { allowed: allowed.iter().map(|word| word.to_string()).collect(), ..facts() };
    let refused = "ruok is not executed because it is not in the whitelist.\n";
    assert_eq!(answer("ruok", &only(&[])), refused);
    assert_eq!(answer("ruok", &only(&["stat", "mntr"])), refused);
    assert_eq!(answer("ruok", &only(&["stat", " ruok "])), "imok");
    assert!(answer("srvr", &only(&[])).starts_with("Zookeeper version: 3.9"), "always");
    assert!(is_allowed("wchp", &["*".to_string()]) && !is_allowed("wchp", &["wchc".to_string()]));
}

#[test]
fn without_a_leader_few_words_have_an_answer() {
    let facts = Facts { is_serving: false, ..facts() };
    assert_eq!(answer("ruok", &facts), "imok");
    assert_eq!(answer("isro", &facts), "null");
    assert_eq!(answer("gtmk", &facts), "306");
    assert!(answer("envi", &facts).starts_with("Environment:\n"));
    assert_eq!(answer("hash", &facts), NOT_SERVING);
    for word in ["conf", "cons", "crst", "dirs", "dump", "srvr", "srst", "stat", "wchc", "wchp", "wchs", "mntr"] {
        assert_eq!(answer(word, &facts), format!("{NOT_SERVING}\n"), "{word}");
    }
}

#[test]
fn the_server_and_its_clients_in_lines() {
    let server = "Latency min/avg/max: 0/0.3333/1\nReceived: 21\nSent: 20\nConnections: 2\nOutstanding: 0\n\
                  Zxid: 0x100000003\nMode: standalone\nNode count: 7\n";
    assert_eq!(answer("srvr", &facts()), format!("Zookeeper version: 3.9.4-torc-0.1.0, built on unknown\n{server}"));
    let clients = "Clients:\n /127.0.0.1:50102[1](queued=0,recved=19,sent=20)\n \
                   /[0:0:0:0:0:0:0:1]:50200[0](queued=0,recved=1,sent=0)\n\n";
    assert_eq!(
        answer("stat", &facts()),
        format!("Zookeeper version: 3.9.4-torc-0.1.0, built on unknown\n{clients}{server}")
    );
    assert_eq!(
        answer("cons", &facts()),
        " /127.0.0.1:50102[1](queued=0,recved=19,sent=20,sid=0x100006b14a900000,lop=PING,est=1700000000123,to=30000,\
         lcxid=0x11,lzxid=0x100000003,lresp=4711,llat=0,minlat=0,avglat=0,maxlat=1)\n \
         /[0:0:0:0:0:0:0:1]:50200[0](queued=0,recved=1,sent=0)\n\n"
    );
    let mut fresh = facts();
    fresh.connections[0].session.as_mut().unwrap().last_cxid = -1;
    assert!(answer("cons", &fresh).contains(",to=30000,lzxid="), "no request yet");
    let leader = answer("srvr", &of_three());
    assert!(leader.ends_with("Mode: leader\nNode count: 7\nProposal sizes last/min/max: 60/36/60\n"), "{leader}");
    let read_only = answer("srvr", &Facts { mode: Mode::ReadOnly, ..facts() });
    assert!(read_only.contains("\nREAD-ONLY mode; serving only read-only clients\nLatency"), "{read_only}");
    assert_eq!(answer("isro", &Facts { mode: Mode::ReadOnly, ..facts() }), "ro");
    assert_eq!(answer("isro", &facts()), "rw");
}

#[test]
fn the_configuration_in_lines() {
    let alone = "clientPort=2181\nsecureClientPort=-1\ndataDir=/srv/torc\ndataDirSize=512\ndataLogDir=/srv/torc\n\
                 dataLogSize=67108880\ntickTime=2000\nmaxClientCnxns=60\nminSessionTimeout=4000\nmaxSessionTimeout=40000\n\
                 clientPortListenBacklog=-1\nserverId=1\n";
    assert_eq!(answer("conf", &facts()), alone);
    let members = "initLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=2888\nquorumPort=2888\npeerType=0\nmembership: \n\
                   server.1=h1:2888:2888:participant;0.0.0.0:2181\nserver.2=h2:2888:2888:participant;0.0.0.0:2181\n\
                   server.3=h3:2888:2888:observer;0.0.0.0:2181\nversion=0";
    assert_eq!(answer("conf", &of_three()), format!("{alone}{members}"));
    assert_eq!(answer("dirs", &facts()), "datadir_size: 512\nlogdir_size: 67108880\n");
    assert_eq!(
        answer("envi", &facts()),
        "Environment:\nzookeeper.version=3.9.4-torc-0.1.0, built on unknown\nhost.name=h\nos.name=Linux\n"
    );
}

#[test]
fn sessions_and_what_goes_with_them() {
    let ephemerals = "ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x100006b14a900000:\n\t/e\n";
    assert_eq!(
        answer("dump", &facts()),
        format!(
            "SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at Sun Nov 29 13:54:48 UTC 2026:\n\t0x100006b14a900000\n\
             {ephemerals}Connections dump:\nConnections Sets (1)/(1):\n1 expire at Sun Nov 29 13:54:48 UTC 2026:\n\
             \tip: /127.0.0.1:50102 sessionId: 0x100006b14a900000\n"
        )
    );
    let mut follower = Facts { mode: Mode::Follower, ..of_three() };
    follower.sessions[0].expires = None;
    let text = answer("dump", &follower);
    assert!(text.starts_with("SessionTracker dump:\nGlobal Sessions(1):\n0x100006b14a900000\t30000ms\n"), "{text}");
    assert!(text.ends_with(&format!("{ephemerals}Connections dump:\nConnections Sets (0)/(0):\n")), "{text}");
}

#[test]
fn watches_by_session_by_path_and_in_numbers() {
    assert_eq!(answer("wchs", &facts()), "1 connections watching 2 paths\nTotal watches:2\n");
    assert_eq!(answer("wchc", &facts()), "0x100006b14a900000\n\t/a\n\t/b\n0x2000000000000001\n\t/b\n\n");
    assert_eq!(
        answer("wchp", &facts()),
        "/a\n\t0x100006b14a900000\n/b\n\t0x100006b14a900000\n\t0x2000000000000001\n\n"
    );
    assert_eq!(answer("hash", &facts()), "80: -7\n100: 9\n");
}

#[test]
fn the_monitor_has_what_exporters_read() {
    let line = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(&format!("zk_{name}\t")));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).to_string()
    };
    let text = answer("mntr", &Facts { files: Some((70, 1_024)), ..facts() });
    for (name, value) in [
        ("version", "3.9.4-torc-0.1.0, built on unknown"),
        ("server_state", "standalone"),
        ("avg_latency", "0.3333"),
        ("min_latency", "0"),
        ("max_latency", "1"),
        ("packets_received", "21"),
        ("packets_sent", "20"),
        ("num_alive_connections", "2"),
        ("outstanding_requests", "0"),
        ("znode_count", "7"),
        ("watch_count", "3"),
        ("ephemerals_count", "1"),
        ("approximate_data_size", "120"),
        ("open_file_descriptor_count", "70"),
        ("max_file_descriptor_count", "1024"),
        ("max_client_response_size", "-1"),
        ("global_sessions", "1"),
        ("connection_request_count", "0"),
        ("avg_node_created_watch_count", "0.0"),
        ("sum_node_children_watch_count", "0"),
    ] {
        assert_eq!(line(&text, name), value, "{name}");
    }
    assert!(!text.contains("followers") && !text.contains("peer_state"), "{text}");
    assert!(!answer("mntr", &facts()).contains("descriptor"), "what is not known is left out");
    let text = answer("mntr", &of_three());
    for (name, value) in [
        ("server_state", "leader"),
        ("peer_state", "leading - broadcast"),
        ("quorum_size", "2"),
        ("learners", "2"),
        ("synced_followers", "1"),
        ("synced_observers", "1"),
        ("pending_syncs", "0"),
        ("last_proposal_size", "60"),
        ("leader_uptime", "99"),
    ] {
        assert_eq!(line(&text, name), value, "{name}");
    }
    let text = answer("mntr", &Facts { mode: Mode::Follower, ..of_three() });
    assert!(text.contains("zk_quorum_size\t2\n") && !text.contains("synced_followers"), "{text}");
    assert!(text.lines().all(|line| line.starts_with("zk_") && line.split('\t').count() == 2), "{text}");
}

#[test]
fn resets_and_lists_belong_to_their_words() {
    let resets: Vec<&str> = WORDS.into_iter().filter(|word| reset(word).is_some()).collect();
    assert_eq!(resets, ["crst", "srst"]);
    // A list that is not asked for is not made: without it the answer is the same.
    for word in WORDS {
        let mut without = of_three();
        if !matches!(detail(word), Detail::Connections | Detail::Sessions) {
            without.connections.clear();
        }
        if detail(word) != Detail::Sessions {
            (without.sessions, without.ephemerals) = (Vec::new(), Vec::new());
        }
        if detail(word) != Detail::Watches {
            without.watches.clear();
        }
        assert_eq!(answer(word, &without), answer(word, &of_three()), "{word}");
    }
}
