use crate::endpoint::Endpoint;
use crate::listeners::{Asked, Resolved, parse_listeners, parse_names, parse_protocols};

fn asked(listeners: &str, advertised: &str, protocols: &str, controllers: &str) -> Asked {
    Asked {
        listeners: parse_listeners(listeners).unwrap(),
        advertised: if advertised.is_empty() { Vec::new() } else { parse_listeners(advertised).unwrap() },
        protocols: (!protocols.is_empty()).then(|| parse_protocols(protocols).unwrap()),
        controllers: parse_names(controllers).unwrap(),
        inter_broker: None,
    }
}

/// What is opened: name, address, what clients are told.
fn opened(resolved: &Resolved) -> Vec<(&str, String, Option<String>)> {
    assert!(resolved.problems.is_empty(), "{:?}", resolved.problems);
    let told = |endpoint: &Endpoint| endpoint.to_string();
    resolved.open.iter().map(|l| (l.name.as_str(), told(&l.listen), l.advertised.as_ref().map(told))).collect()
}

fn problem(asked: &Asked) -> String {
    let problems = asked.resolve(false).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    format!("{}: {}", problems[0].0, problems[0].1)
}

#[test]
fn each_listener_has_its_own_address_for_clients() {
    let asked = asked(
        "PLAINTEXT://broker:29092, CONTROLLER://broker:29093,plaintext_host://:9092",
        "PLAINTEXT://broker:29092,PLAINTEXT_HOST://localhost:9092",
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:plaintext",
        "CONTROLLER",
    );
    let resolved = asked.resolve(false);
    let expected = [
        ("PLAINTEXT", "broker:29092".to_string(), Some("broker:29092".to_string())),
        ("PLAINTEXT_HOST", "0.0.0.0:9092".to_string(), Some("localhost:9092".to_string())),
    ];
    assert_eq!(opened(&resolved), expected);
    assert_eq!(resolved.notes, ["listener CONTROLLER is not opened: torc has no separate controllers"]);
}

#[test]
fn names_are_optional_and_capitals_do_not_matter() {
    let plain = asked("127.0.0.1:0", "h:9092", "", "").resolve(false);
    assert_eq!(opened(&plain), [("PLAINTEXT", "127.0.0.1:0".into(), Some("h:9092".into()))]);
    let named = asked("external://:9092", "EXTERNAL://h:1", "External:PLAINTEXT", "").resolve(false);
    assert_eq!(opened(&named), [("EXTERNAL", "0.0.0.0:9092".into(), Some("h:1".into()))]);
    let empty_host = asked("PLAINTEXT://:9092", "PLAINTEXT://:19092", "", "").resolve(false);
    assert_eq!(opened(&empty_host)[0].2, Some(":19092".into()), "this host's name, which is not known here");
}

#[test]
fn the_map_of_protocols_counts_only_for_listeners_that_are_opened() {
    // Kafka's samples list protocols that nobody uses.
    let map = "CONTROLLER:SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL";
    assert_eq!(opened(&asked("PLAINTEXT://:1,CONTROLLER://:2", "", map, "CONTROLLER").resolve(false)).len(), 1);
    for (listeners, map, part) in [
        ("SSL://:1", "", "listeners: listener SSL is SSL"),
        ("SECURE://:1", "SECURE:SASL_SSL", "listener SECURE is SASL_SSL"),
        ("SSL://:1,PLAINTEXT://:2", "", "must not serve in the clear"),
        ("EXTERNAL://:1", "", "has no protocol: listener.security.protocol.map must name it"),
        ("EXTERNAL://:1", "PLAINTEXT:PLAINTEXT", "has no protocol"),
        ("A://:1,A://:2", "A:PLAINTEXT", "two listeners have the name A"),
    ] {
        let text = problem(&asked(listeners, "", map, ""));
        assert!(text.contains(part), "{listeners}: {text}");
    }
    assert_eq!(opened(&asked("SSL://:1", "", "SSL:PLAINTEXT", "").resolve(false))[0].0, "SSL", "the map decides");
    assert!(problem(&asked("C://:1", "", "C:PLAINTEXT", "C")).contains("none is left for clients"));
}

#[test]
fn what_clients_are_told_must_be_there_and_reachable() {
    for (advertised, part) in [
        ("PLAINTEXT://0.0.0.0:9092", "name a host they can reach"),
        ("OTHER://h:9092", "OTHER is not among the listeners"),
    ] {
        let text = problem(&asked("PLAINTEXT://:9092", advertised, "", ""));
        assert!(text.starts_with("advertised.listeners: ") && text.contains(part), "{text}");
    }
    // A flag that replaces the listeners of a file need not know their names.
    let single = asked("127.0.0.1:0", "EXTERNAL://h:9092", "", "").resolve(true);
    assert_eq!(opened(&single)[0].2, Some("h:9092".into()));
    let several = asked("127.0.0.1:0", "PLAINTEXT://b:1,HOST://h:2", "", "").resolve(true);
    assert_eq!(opened(&several)[0].2, Some("b:1".into()));
    assert!(several.notes[0].contains("HOST://h:2 is not among the listeners"), "{:?}", several.notes);
}

#[test]
fn each_refusal_says_what_is_wrong() {
    for (text, part) in [
        ("", "it must be host:port"),
        ("localhost", "port is missing"),
        ("PLAINTEXT://h:1,other", "port is missing"),
        ("A B://h:1", "no name of a listener"),
        ("://h:1", "no name of a listener"),
        ("h:70000", "no port"),
        (&"h:1,".repeat(17), "up to 16"),
    ] {
        let why = parse_listeners(text).expect_err(text);
        assert!(why.contains(part), "{text}: {why}");
    }
    assert!(parse_protocols("A").unwrap_err().contains("NAME:PROTOCOL"));
    assert!(parse_protocols("A:TLS").unwrap_err().contains("none of Kafka's protocols"));
}
