use crate::config::{Config, Sources};
use crate::start::advertised;

fn config(set: &[&str]) -> Config {
    Config::load(&Sources { set: set.iter().map(|s| s.to_string()).collect(), ..Sources::default() }).unwrap()
}

fn told(set: &[&str]) -> (String, u16) {
    advertised(&config(set), 40_001, "box".to_string())
}

#[test]
fn clients_are_told_an_address_that_they_can_reach() {
    assert_eq!(told(&["listeners=127.0.0.1:9092"]), ("127.0.0.1".into(), 9092));
    assert_eq!(told(&["listeners=127.0.0.1:0"]), ("127.0.0.1".into(), 40_001));
    assert_eq!(told(&["listeners=:9092"]), ("box".into(), 9092));
    assert_eq!(told(&["listeners=:0", "advertised.listeners=PLAINTEXT://h:19092"]), ("h".into(), 19_092));
    assert_eq!(told(&["listeners=:0", "advertised.listeners=PLAINTEXT://h:0"]), ("h".into(), 40_001));
}
