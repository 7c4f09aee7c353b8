use crate::endpoint::Endpoint;

fn parsed(text: &str) -> (String, u16) {
    let endpoint = Endpoint::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    (endpoint.host, endpoint.port)
}

#[test]
fn kafkas_forms_and_plain_ones_are_read() {
    assert_eq!(parsed("127.0.0.1:9092"), ("127.0.0.1".into(), 9092));
    assert_eq!(parsed("PLAINTEXT://broker-1.example:9092"), ("broker-1.example".into(), 9092));
    assert_eq!(parsed("plaintext://:0"), ("0.0.0.0".into(), 0));
    assert_eq!(parsed("[::1]:9092"), ("::1".into(), 9092));
    assert_eq!(Endpoint::parse("[::1]:9092").unwrap().to_string(), "[::1]:9092");
    assert!(Endpoint::parse(":9092").unwrap().is_wildcard());
    assert!(!Endpoint::parse("localhost:9092").unwrap().is_wildcard());
}

#[test]
fn each_refusal_says_what_is_wrong() {
    let refused = [
        ("SSL://h:9093", "only PLAINTEXT"),
        ("a:1,b:2", "list"),
        ("localhost", "port is missing"),
        ("localhost:http", "no port"),
        ("localhost:65536", "no port"),
        ("::1:9092", "brackets"),
        ("a b:9092", "no host"),
    ];
    for (text, part) in refused {
        let error = Endpoint::parse(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}
