use super::*;
use torc_base::ids::{SessionId, Zxid};
use torc_base::time::Wall;
use torc_shard::znodes::facts::{Conf, Ensemble, Latency, Session, Sizes, WatchCounts};

fn facts() -> Facts {
    let mut latency = Latency::default();
    [0, 3].into_iter().for_each(|ms| latency.add(ms));
    let session = OfSession {
        id: SessionId(77),
        last_operation: "GETD",
        established: Wall(1_700_000_000_000),
        timeout_ms: 30_000,
        last_cxid: 4,
        last_zxid: Zxid(9),
        last_response_ms: 5,
        last_latency_ms: 3,
        latency,
    };
    let connection = |session| Connection {
        remote: "10.0.0.1:40000".parse().unwrap(),
        is_read: true,
        queued: 1,
        received: 2,
        sent: 3,
        session,
    };
    Facts {
        version: "3.9.4-torc".to_string(),
        is_serving: true,
        conf: Conf { client_port: 2181, server_id: 1, tick_ms: 2_000, ..Conf::default() },
        environment: vec![("os.name".to_string(), "Linux".to_string())],
        latency,
        zxid: Zxid(0x2_0000_0005),
        znodes: 6,
        trace_mask: 306,
        watch_counts: WatchCounts { connections: 1, paths: 2, data: 2, children: 0 },
        connections: vec![connection(Some(session)), connection(None)],
        sessions: vec![Session { id: SessionId(77), timeout_ms: 30_000, expires: Some(Wall(5_000)) }],
        ephemerals: vec![(SessionId(77), vec!["/e".to_string()])],
        watches: vec![(SessionId(77), vec!["/a".to_string(), "/b".to_string()])],
        digests: vec![(Zxid(128), -7)],
        ..Facts::default()
    }
}

fn of_three() -> Facts {
    let member = |id, is_observer| Member {
        id,
        host: format!("h{id}"),
        port: 2888,
        is_observer,
        is_synced: true,
        client: Some((format!("h{id}"), 2181)),
    };
    let mut proposals = Sizes::default();
    proposals.add(40);
    let members = vec![member(1, false), member(2, false), member(3, true)];
    let ensemble = Ensemble { members, leader: Some(1), proposals, ..Ensemble::default() };
    Facts { mode: Mode::Leader, ensemble: Some(ensemble), ..facts() }
}

fn ask(name: &str, facts: &Facts) -> Value {
    answer(find(name).unwrap_or_else(|| panic!("no {name}")), Some(facts), "")
}

#[test]
fn every_command_answers_under_all_its_names() {
    let names = "configuration conf config connection_stat_reset crst connections cons dirs dump environment env envi \
                 get_trace_mask gtmk hash initial_configuration icfg is_read_only isro last_snapshot lsnp leader lead monitor \
                 mntr observer_connection_stat_reset orst observers obsr restore rest ruok server_stats srvr set_trace_mask \
                 stmk snapshot snap stat_reset srst stats stat system_properties sysp voting_view watch_summary wchs watches \
                 wchc watches_by_path wchp zabstate";
    for name in names.split_whitespace() {
        for facts in [facts(), of_three()] {
            let value = ask(name, &facts);
            assert_eq!(value["command"], find(name).unwrap().names[0], "{name}");
            assert!(value.get("error").is_some(), "{name}");
        }
    }
    // Each word of a connection is a command.
    for word in words::WORDS {
        assert!(find(word).is_some(), "{word}");
        assert_eq!(find(word).unwrap().reset, words::reset(word), "{word}");
        assert_eq!(find(word).unwrap().detail, words::detail(word), "{word}");
    }
    assert_eq!(links().matches("<a href=\"/commands/").count(), COMMANDS.len());
}

#[test]
fn what_is_no_command_or_has_no_server_is_an_error_in_json() {
    assert!(find("nope").is_none());
    assert_eq!(unknown("nope"), json!({ "command": "nope", "error": "Unknown command: nope" }));
    let waits = Facts { is_serving: false, ..facts() };
    assert_eq!(ask("srvr", &waits), json!({ "command": "server_stats", "error": NOT_SERVING }));
    assert_eq!(answer(find("ruok").unwrap(), None, ""), json!({ "command": "ruok", "error": NOT_SERVING }));
    assert_eq!(ask("envi", &waits)["error"], Value::Null);
}

#[test]
fn answers_have_zookeepers_keys() {
    assert_eq!(ask("ruok", &facts()), json!({ "command": "ruok", "error": null }));
    let stat = ask("stat", &facts());
    assert_eq!((&stat["version"], &stat["node_count"]), (&json!("3.9.4-torc"), &json!(6)));
    assert_eq!(stat["server_stats"]["last_processed_zxid"], json!(0x2_0000_0005_i64));
    assert_eq!(stat["server_stats"]["avg_latency"], json!(1.5));
    assert_eq!(stat["connections"][0]["remote_socket_address"], "10.0.0.1:40000");
    assert!(stat["connections"][0].get("session_id").is_none(), "in short");
    let connections = ask("connections", &facts());
    assert_eq!(connections["connections"][0]["session_id"], json!(77));
    assert!(
        connections["connections"][1].get("session_id").is_none() && connections["secure_connections"] == json!([])
    );
    let dump = ask("dump", &facts());
    assert_eq!(dump["expiry_time_to_session_ids"], json!({ "5000": [77] }));
    assert_eq!(dump["session_id_to_ephemeral_paths"], json!({ "77": ["/e"] }));
    assert_eq!(ask("wchc", &facts())["session_id_to_watched_paths"], json!({ "77": ["/a", "/b"] }));
    assert_eq!(ask("wchp", &facts())["path_to_session_ids"], json!({ "/a": [77], "/b": [77] }));
    assert_eq!(ask("hash", &facts())["digests"], json!([{ "zxid": 128, "digest": -7, "digest_version": 2 }]));
    assert_eq!(ask("lsnp", &facts())["zxid"], "ffffffffffffffff");
    assert_eq!(ask("leader", &facts())["error"], "server is not initialized");
    assert_eq!(ask("zabstate", &facts())["voting"], json!(false));
    let monitor = ask("mntr", &facts());
    assert_eq!((&monitor["server_state"], &monitor["znode_count"]), (&json!("standalone"), &json!(6)));
    for (query, expected) in [("traceMask=64", json!(64)), ("", Value::Null), ("traceMask=x", Value::Null)] {
        let value = answer(find("stmk").unwrap(), Some(&facts()), query);
        assert_eq!(value.get("tracemask").cloned().unwrap_or_default(), expected, "{query}");
        assert_eq!(value["error"].is_null(), !expected.is_null(), "{query}");
    }
}

#[test]
fn an_ensemble_is_told_of() {
    let facts = of_three();
    assert_eq!(ask("lead", &facts)["leader_ip"], "h1");
    let view = &ask("voting_view", &facts)["current_config"];
    assert_eq!(view.as_object().unwrap().keys().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(view["2"]["server_addresses"], json!(["h2:2888"]));
    let zab = ask("zabstate", &facts);
    assert_eq!(
        (&zab["zab_epoch"], &zab["zab_counter"], &zab["last_zxid"]),
        (&json!(2), &json!(5), &json!("0x200000005"))
    );
    assert_eq!(ask("obsr", &facts)["synced_observers"], json!(1));
    assert_eq!(ask("srvr", &facts)["proposal_stats"]["last_buffer_size"], json!(40));
    assert!(ask("icfg", &facts)["initial_configuration"].as_str().unwrap().starts_with("server.1=h1:2888:2888"));
}
