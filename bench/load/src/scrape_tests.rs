use crate::scrape::{scrape, sums};
use std::io::{Read, Write};

const TEXT: &str = "# HELP torc_cleaner_bytes_total Bytes.\n# TYPE torc_cleaner_bytes_total counter\n\
torc_cleaner_bytes_total{shard=\"0\"} 5\ntorc_cleaner_bytes_total{shard=\"1\"} 7\ntorc_cleaner_passes 2\nother 9\n";

#[test]
fn metrics_are_summed_over_shards() {
    let found = sums(TEXT, "torc_cleaner_");
    let found: Vec<(&str, f64)> = found.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(found, [("torc_cleaner_bytes_total", 12.0), ("torc_cleaner_passes", 2.0)]);
    assert!(sums(TEXT, "kafka_").is_empty());
}

#[test]
fn metrics_are_read_over_http() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        for head in ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 16];
            stream.read_exact(&mut asked).unwrap();
            assert!(asked.starts_with(b"GET /metrics "));
            write!(stream, "{head}\r\nContent-Type: text/plain\r\n\r\n{TEXT}").unwrap();
            // Whoever closes with bytes unread resets the connection.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
    });
    assert_eq!(scrape(&address, "other").unwrap()["other"], 9.0);
    assert!(scrape(&address, "other").unwrap_err().to_string().contains("no metrics"));
    server.join().unwrap();
}
