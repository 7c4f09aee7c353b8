use crate::endpoint::Endpoint;
use crate::listen::shared;
use std::net::TcpStream;
use std::time::Duration;

fn local(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port }
}

#[test]
fn all_sockets_share_the_port_that_was_chosen_once() {
    let listeners = shared("kafka", &local(0), "--kafka", 4, Duration::ZERO).unwrap();
    let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
    assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
}

#[test]
fn a_port_in_use_is_refused_even_by_a_server_that_shares_its_own() {
    let listeners = shared("kafka", &local(0), "--kafka", 2, Duration::ZERO).unwrap();
    let port = listeners[0].local_addr().unwrap().port();
    let text = shared("kafka", &local(port), "--kafka", 2, Duration::ZERO).unwrap_err().to_string();
    assert!(text.contains("in use") && text.contains("--kafka"), "{text}");
    drop(listeners);
    shared("kafka", &local(port), "--kafka", 2, Duration::ZERO).expect("the port is free again");
}

#[test]
fn an_address_of_another_host_is_refused() {
    let endpoint = Endpoint { host: "192.0.2.1".into(), port: 0 };
    let text = shared("kafka", &endpoint, "--kafka", 1, Duration::ZERO).unwrap_err().to_string();
    assert!(text.contains("does not have that address"), "{text}");
}
