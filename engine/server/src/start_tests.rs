use crate::config::{Config, Sources};
use crate::start::advertised;
use std::net::SocketAddr;

fn config(set: &[&str]) -> Config {
    Config::load(&Sources { set: set.iter().map(|s| s.to_string()).collect(), ..Sources::default() }).unwrap()
}

fn told(set: &[&str]) -> Vec<(String, u16)> {
    let addresses: Vec<SocketAddr> = (40_001..40_003).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
    advertised(&config(set), &addresses, "box")
}

#[test]
fn clients_are_told_an_address_that_they_can_reach() {
    for (set, host, port) in [
        (&["listeners=127.0.0.1:9092"][..], "127.0.0.1", 9092),
        (&["listeners=127.0.0.1:0"], "127.0.0.1", 40_001),
        (&["listeners=:9092"], "box", 9092),
        (&["listeners=:0", "advertised.listeners=PLAINTEXT://h:19092"], "h", 19_092),
        (&["listeners=:0", "advertised.listeners=PLAINTEXT://h:0"], "h", 40_001),
        (&["listeners=127.0.0.1:0", "advertised.listeners=PLAINTEXT://:19092"], "box", 19_092),
    ] {
        assert_eq!(told(set), [(host.to_string(), port)], "{set:?}");
    }
}

#[test]
fn each_listener_has_its_own() {
    let set = [
        "listeners=INTERNAL://:0,EXTERNAL://:0",
        "advertised.listeners=INTERNAL://inside:0,EXTERNAL://outside:9092",
        "listener.security.protocol.map=INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT",
    ];
    assert_eq!(told(&set), [("inside".to_string(), 40_001), ("outside".to_string(), 9092)]);
}
