use crate::endpoint::Endpoint;
use crate::listen::{Patience, shared};
use std::cell::RefCell;
use std::net::TcpStream;
use std::time::Duration;

fn local(port: u16) -> Endpoint {
    Endpoint { host: "127.0.0.1".into(), port }
}

#[test]
fn all_sockets_share_the_port_that_was_chosen_once() {
    let listeners = shared("kafka", &local(0), "--kafka", 4, Patience::NONE).unwrap();
    let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
    assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
}

#[test]
fn a_port_in_use_is_refused_even_by_a_server_that_shares_its_own() {
    let listeners = shared("kafka", &local(0), "--kafka", 2, Patience::NONE).unwrap();
    let port = listeners[0].local_addr().unwrap().port();
    let text = shared("kafka", &local(port), "--kafka", 2, Patience::NONE).unwrap_err().to_string();
    assert!(text.contains("in use") && text.contains("--kafka"), "{text}");
    drop(listeners);
    shared("kafka", &local(port), "--kafka", 2, Patience::NONE).expect("the port is free again");
}

#[test]
fn an_address_of_another_host_is_refused() {
    let endpoint = Endpoint { host: "192.0.2.1".into(), port: 0 };
    let text = shared("kafka", &endpoint, "--kafka", 1, Patience::NONE).unwrap_err().to_string();
    assert!(text.contains("does not have that address"), "{text}");
}

#[test]
fn a_port_that_somebody_is_about_to_give_up_is_waited_for_and_the_log_says_so() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let (mut held, said) = (RefCell::new(Some(held)), RefCell::new(Vec::new()));
    // It is given up when the waiting has begun, whenever that is.
    let tell = |line: &str| {
        said.borrow_mut().push(line.to_string());
        held.borrow_mut().take();
    };
    let patience = Patience { time: Duration::from_secs(60), tell: &tell };
    shared("kafka", &local(port), "--kafka", 2, patience).expect("it becomes free");
    let said = said.into_inner();
    assert!(
        said.len() == 2 && said[0].contains("is in use: waiting up to 60 s") && said[1].contains("is free"),
        "{said:?}"
    );
    assert!(held.get_mut().is_none());
}

#[test]
fn the_waiting_has_an_end() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let patience = Patience { time: Duration::from_millis(50), tell: &|_| () };
    let error = shared("kafka", &local(held.local_addr().unwrap().port()), "--kafka", 1, patience).unwrap_err();
    assert!(error.to_string().contains("the port is in use"), "{error}");
}
