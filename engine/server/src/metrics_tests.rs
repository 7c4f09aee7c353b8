use crate::endpoint::Endpoint;
use crate::listen::Patience;
use crate::metrics::{Door, Kind, Sample, Service, Source, Times, render, render_times, respond, start};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

fn sample(name: &str, shard: Option<u16>, value: u64) -> Sample {
    let labels = shard.map(|shard| ("shard", shard.to_string())).into_iter().collect();
    Sample { name: name.to_string(), help: "How many.", kind: Kind::Counter, labels, value: value as f64 }
}

fn times(shard: u16, stage: Option<&'static str>, buckets: [u64; 3]) -> Times {
    let of = stage.map(|stage| ("stage", stage));
    Times { name: "t_seconds", help: "How long.", shard, of, buckets: buckets.to_vec(), sum_ns: 2_500_000_000 }
}

fn source(ready: bool) -> Source {
    Source {
        samples: Box::new(|| vec![sample("torc_x_total", Some(0), 5)]),
        times: Box::new(|| vec![times(0, Some("flush"), [1, 0, 0])]),
        bounds: vec![1024, 1_500_000_000],
        ready: Box::new(move || ready),
        commands: None,
    }
}

fn text(head: &str, ready: bool) -> String {
    String::from_utf8(respond(head.as_bytes(), Door::Metrics, &source(ready))).unwrap()
}

fn started() -> SocketAddr {
    started_with(source(true))
}

fn started_with(source: Source) -> SocketAddr {
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: 0 };
    start(&endpoint, Door::Metrics, &Service::new(source), Patience::NONE).unwrap()
}

/// Sends `request`, returns all that comes back until the server closes.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn samples_of_one_name_stand_together() {
    let samples = [sample("b_total", Some(0), 1), sample("a_total", None, 2), sample("b_total", Some(1), 3)];
    let expected = "# HELP a_total How many.\n# TYPE a_total counter\na_total 2\n\
                    # HELP b_total How many.\n# TYPE b_total counter\nb_total{shard=\"0\"} 1\nb_total{shard=\"1\"} 3\n";
    assert_eq!(render(&samples), expected);
}

#[test]
fn labels_are_quoted_and_large_and_broken_numbers_are_written_out() {
    let labels = vec![("topic", "a\"b\\c\nd".to_string()), ("x", String::new())];
    let row = |value| Sample { labels: labels.clone(), value, ..sample("a_total", None, 0) };
    let text = render(&[row(0.25), row(9_007_199_254_740_992.0)]);
    let lines: Vec<&str> = text.lines().skip(2).collect();
    let series = r#"a_total{topic="a\"b\\c\nd",x=""}"#;
    assert_eq!(lines, [format!("{series} 0.25"), format!("{series} 9007199254740992")]);
}

#[test]
fn histograms_are_cumulative_and_in_seconds() {
    let all = [times(0, Some("flush"), [1, 2, 4]), times(1, None, [0, 3, 0])];
    let expected = "# HELP t_seconds How long.\n# TYPE t_seconds histogram\n\
                    t_seconds_bucket{shard=\"0\",stage=\"flush\",le=\"0.000001024\"} 1\n\
                    t_seconds_bucket{shard=\"0\",stage=\"flush\",le=\"1.5\"} 3\n\
                    t_seconds_bucket{shard=\"0\",stage=\"flush\",le=\"+Inf\"} 7\n\
                    t_seconds_sum{shard=\"0\",stage=\"flush\"} 2.5\n\
                    t_seconds_count{shard=\"0\",stage=\"flush\"} 7\n\
                    t_seconds_bucket{shard=\"1\",le=\"0.000001024\"} 0\n\
                    t_seconds_bucket{shard=\"1\",le=\"1.5\"} 3\n\
                    t_seconds_bucket{shard=\"1\",le=\"+Inf\"} 3\n\
                    t_seconds_sum{shard=\"1\"} 2.5\n\
                    t_seconds_count{shard=\"1\"} 3\n";
    assert_eq!(render_times(&all, &[1024, 1_500_000_000]), expected);
}

#[test]
fn counters_and_histograms_stand_in_one_answer() {
    let reply = text("GET /metrics HTTP/1.1", true);
    assert!(reply.contains("torc_x_total{shard=\"0\"} 5\n"), "{reply}");
    assert!(reply.contains("t_seconds_count{shard=\"0\",stage=\"flush\"} 1\n"), "{reply}");
}

#[test]
fn each_target_has_its_answer() {
    for (head, status, part) in [
        ("GET /metrics HTTP/1.1\r\nHost: x", "200 OK", "torc_x_total{shard=\"0\"} 5\n"),
        ("GET /metrics?x=1 HTTP/1.0", "200 OK", "torc_x_total"),
        ("GET /healthz HTTP/1.1", "200 OK", "\r\n\r\nok\n"),
        ("GET /readyz HTTP/1.1", "200 OK", "ready"),
        ("GET / HTTP/1.1", "404 Not Found", "/metrics"),
        ("POST /metrics HTTP/1.1", "405 Method", "only GET"),
        ("GET /metrics", "400 Bad", "no HTTP"),
        ("GET /metrics HTTP/2", "400 Bad", "HTTP/1.1"),
        ("\u{0}\u{1}", "400 Bad", "no HTTP"),
    ] {
        let reply = text(head, true);
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")) && reply.contains(part), "{head}: {reply}");
    }
}

#[test]
fn readyz_waits_for_the_shards_and_healthz_does_not() {
    assert!(text("GET /readyz HTTP/1.1", false).starts_with("HTTP/1.1 503"));
    assert!(text("GET /healthz HTTP/1.1", false).starts_with("HTTP/1.1 200"));
}

#[test]
fn head_has_the_length_but_no_body() {
    let reply = text("HEAD /healthz HTTP/1.1", true);
    assert!(reply.contains("Content-Length: 3\r\n") && reply.ends_with("\r\n\r\n"), "{reply}");
}

#[test]
fn it_answers_over_tcp_also_when_the_head_comes_in_pieces() {
    let address = started();
    let mut stream = TcpStream::connect(address).unwrap();
    for piece in ["GET /met", "rics HTTP/1.1\r", "\nHost: x\r\n\r", "\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
        stream.flush().unwrap();
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("torc_x_total"), "{reply}");
}

/// A TLS hello, and requests of Kafka's and ZooKeeper's clients, which end with nothing that ends a request's head.
#[test]
fn who_speaks_something_else_is_told_so_at_once() {
    let address = started();
    for bytes in [&b"\x16\x03\x01\x02\0\x01"[..], b"\0\0\0\x12\0\x12\0\x03\0\0\0\x01\0\0", &[0, 0, 0, 45, 0, 0, 0, 0]] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400") && reply.contains("no HTTP request"), "{reply}");
    }
}

#[test]
fn a_head_without_end_is_refused_and_others_are_served() {
    let address = started();
    let reply = exchange(address, &[b'x'; 9 << 10]);
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
    // Fewer idle connections than the bound hold up nobody.
    let _idle: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(exchange(address, b"GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
}

/// Connections that never send a request, or never read the answer, or read it a byte at a time.
fn stalled(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let stall = |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        if n.is_multiple_of(2) {
            // One that was shut down in the meantime may refuse.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
        }
        stream
    };
    (0..count).map(stall).collect()
}

#[test]
fn any_number_of_connections_that_stall_keeps_nobody_from_an_answer() {
    let address = started_with(large(1 << 20));
    let mut held = Vec::new();
    for _ in 0..20 {
        held.extend(stalled(address, 20));
        let reply = exchange(address, b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
    // Those that were there longest are gone.
    let mut rest = Vec::new();
    let ended = held[1].read_to_end(&mut rest);
    assert!(rest.is_empty() && ended.is_ok(), "{ended:?}");
}

/// An answer with so many bytes of help in it.
fn large(bytes: usize) -> Source {
    let help: &'static str = Box::leak("x".repeat(bytes).into_boxed_str());
    let samples = move || vec![Sample { help, ..sample("torc_x_total", None, 1) }];
    Source { samples: Box::new(samples), ..source(true) }
}

#[test]
fn a_client_that_reads_slowly_is_cut_off_in_time() {
    const LARGE: usize = 64 << 20;
    let address = started_with(large(LARGE));
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    // Each write of the server makes progress, so no timeout of a single one would ever end it.
    let (mut chunk, mut got) = ([0; 16 << 10], 0);
    loop {
        match slow.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => got += n,
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(got < LARGE, "{got} of {LARGE} bytes: it was served for as long as it liked");
}

#[test]
fn commands_have_their_path_and_may_have_a_port_of_their_own() {
    let with_commands = || Source { commands: Some(Box::new(|name, query| format!("{name}?{query}"))), ..source(true) };
    let ask = |door, target: &str| {
        let head = format!("GET {target} HTTP/1.1");
        String::from_utf8(respond(head.as_bytes(), door, &with_commands())).unwrap()
    };
    for door in [Door::Metrics, Door::Admin] {
        for (target, body) in [
            ("/commands/srvr", "srvr?"),
            ("/commands/stmk?traceMask=3", "stmk?traceMask=3"),
            ("/commands/no/such", "no/such?"),
        ] {
            let reply = ask(door, target);
            assert!(
                reply.contains("Content-Type: application/json") && reply.ends_with(&format!("\r\n\r\n{body}")),
                "{reply}"
            );
        }
        for target in ["/commands", "/commands/"] {
            assert!(ask(door, target).contains("<a href=\"/commands/ruok\">ruok</a>"), "{target}");
        }
    }
    assert!(ask(Door::Metrics, "/metrics").starts_with("HTTP/1.1 200"));
    for target in ["/metrics", "/healthz", "/", "/command"] {
        assert!(ask(Door::Admin, target).starts_with("HTTP/1.1 404"), "{target}");
    }
    assert!(text("GET /commands/ruok HTTP/1.1", true).starts_with("HTTP/1.1 404"), "without ZooKeeper's clients");
}

#[test]
fn fuzz_request_heads() {
    bolero::check!().for_each(|input: &[u8]| {
        let commands: crate::metrics::Commands = Box::new(|name, query| format!("{name}?{query}"));
        let source = Source { commands: Some(commands), ..source(true) };
        for before in [&b""[..], b"GET ", b"GET /commands/", b"HEAD /commands?"] {
            for door in [Door::Metrics, Door::Admin] {
                let head = [before, input, b" HTTP/1.1"].concat();
                let reply = String::from_utf8(respond(&head, door, &source)).expect("text");
                let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
                assert!(body.is_empty() || length == body.len().to_string(), "{reply}");
            }
        }
    });
}
