//! Servers that join, in front of ones that say what a test wants them to.

use super::wire::{Form, Speaker};
use super::{FormError, Former, Founding, Joined, Joiner, Knock, Member, Members, form, join, knock};
use crate::endpoint::Endpoint;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use torc_base::buf::Buf;
use torc_base::ids::NodeId;
use torc_net::peer::{Caller, Frame, Known, Question, Reply, decode, form as framed};

const ME: Speaker = Speaker { node: 4, start: 44 };

fn founding() -> Founding {
    let members = Members::parse("1=127.0.0.1:1,2=two.example:2,3=127.0.0.1:3").unwrap();
    Founding { cluster: 9, members, founders: [(1, 10), (2, 20), (3, 30)].into() }
}

fn member(servers: &[(u32, &str)]) -> Reply {
    let known = |(node, address): &(u32, &str)| Known { node: NodeId(*node), disk: 1, address: address.to_string() };
    let founding = Form::Founded(founding()).encode(Speaker { node: 1, start: 1 });
    Reply::Member { founding, servers: servers.iter().map(known).collect() }
}

/// A server of the cluster that gives these answers, one for each connection, and then the last one again and again. What it
/// was asked is kept.
struct Desk {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Desk {
    fn new(replies: Vec<Reply>) -> Desk {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let mut replies = VecDeque::from(replies);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 4];
                if stream.read_exact(&mut length).is_err() {
                    continue;
                }
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut frame).unwrap();
                let Ok(Frame::Form(body)) = decode(&Buf::copy_of(&frame)) else { panic!("not about the founding") };
                kept.lock().unwrap().push(Question::decode(&body).expect("a question").expect("sound"));
                let reply = if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() };
                let from = Caller { node: NodeId(1), start: 1 };
                stream.write_all(&framed(&reply.encode(from))).unwrap();
            }
        });
        Desk { address, asked }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::parse_address(&self.address.to_string()).unwrap()
    }
}

fn nobody() -> Endpoint {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Endpoint::parse_address(&closed.to_string()).unwrap()
}

fn joiner(at: Vec<Endpoint>) -> (Joiner, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let tell = Arc::new(move |line: &str| kept.lock().unwrap().push(line.to_string()));
    (Joiner { me: ME, disk: 40, listens: "0.0.0.0:9192".parse().unwrap(), at, tell }, told)
}

fn servers(joined: Joined) -> (Founding, Vec<String>) {
    let Joined::In { founding, servers } = joined else { panic!("it was not told to stop") };
    (founding, servers.iter().map(Member::to_string).collect())
}

#[test]
fn a_server_asks_until_it_is_in_and_learns_of_all_others() {
    let all = member(&[(1, ""), (3, "127.0.0.1:3"), (4, "10.0.0.4:9192")]);
    let desk = Desk::new(vec![Reply::Wait("not yet".into()), Reply::Wait("not yet".into()), all]);
    let (joiner, told) = joiner(vec![nobody(), desk.endpoint()]);
    let (kept, servers) = servers(join(&joiner, &|| false).unwrap());
    assert_eq!(kept, founding());
    // Where the one that answers is itself the record says.
    assert_eq!(servers, ["1=127.0.0.1:1", "3=127.0.0.1:3", "4=10.0.0.4:9192"]);
    let asked = desk.asked.lock().unwrap();
    let expected = Question {
        from: Caller { node: NodeId(4), start: 44 },
        joins: true,
        cluster: 0,
        disk: 40,
        address: Some("0.0.0.0:9192".parse().unwrap()),
    };
    assert_eq!(*asked, vec![expected; 3]);
    let told = told.lock().unwrap();
    assert!(told[0].contains("waiting to join the cluster") && told[0].contains("not yet"), "{told:?}");
    assert_eq!(told.len(), 1, "the same is not told again at once");
}

#[test]
fn a_server_that_is_refused_ends_with_the_reason() {
    let desk = Desk::new(vec![Reply::Refused("node.id 4 is taken".into())]);
    match join(&joiner(vec![nobody(), desk.endpoint()]).0, &|| false) {
        Err(FormError::Refused(why)) => assert!(why.contains("node.id 4 is taken"), "{why}"),
        other => panic!("{other:?}"),
    }
    let desk = Desk::new(vec![Reply::Member { founding: vec![1, 2, 3], servers: Vec::new() }]);
    assert!(matches!(join(&joiner(vec![desk.endpoint()]).0, &|| false), Err(FormError::Refused(_))));
}

#[test]
fn a_server_that_waits_can_be_stopped_and_waits_for_servers_that_wait_themselves() {
    let waiting = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = waiting.local_addr().unwrap();
    let members = Members::parse(&format!("1={address},2={}", nobody())).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (quiet, stopped) = (Arc::new(|_: &str| {}), Arc::clone(&over));
    let former = Former { me: Speaker { node: 1, start: 1 }, disk: 10, members, tell: quiet.clone(), warn: quiet };
    let forming =
        thread::spawn(move || form(former, &[waiting], |_| Ok(()), &|| stopped.load(Ordering::Relaxed)).map(drop));
    let (joiner, told) = joiner(vec![Endpoint::parse_address(&address.to_string()).unwrap()]);
    let waits = || told.lock().unwrap().iter().any(|line| line.contains("not ready"));
    assert!(matches!(join(&joiner, &waits), Ok(Joined::Stopped)));
    over.store(true, Ordering::Relaxed);
    forming.join().unwrap().unwrap();
}

#[test]
fn a_server_that_starts_again_is_told_if_it_does_not_belong_there_any_more() {
    let question = |others: Vec<SocketAddr>| Knock { me: ME, cluster: 9, disk: 40, address: None, others };
    let still = Desk::new(vec![member(&[])]);
    assert_eq!(knock(&question(vec![still.address]), &|| true), None);
    assert!(!still.asked.lock().unwrap()[0].joins);
    let out = Desk::new(vec![Reply::Refused("node 4 was removed".into())]);
    let unsure = Desk::new(vec![Reply::Wait("who knows".into())]);
    let why = knock(&question(vec![unsure.address, out.address]), &|| true).expect("it is out");
    assert!(why.contains("node 4 was removed"), "{why}");
    // It stops before it knows.
    assert_eq!(knock(&question(vec![unsure.address]), &|| false), None);
}
