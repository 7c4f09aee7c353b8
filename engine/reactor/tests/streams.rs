//! Bytes through sockets: whole, in order, whatever the pace, the buffers and the peer's manners.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use support::{Echo, Habit, Running, pattern};
use torc_base::buf::Pool;

/// Writes `bytes` on one thread, half-closes, and returns all that comes back.
fn exchange(stream: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    std::thread::scope(|s| {
        let writer = s.spawn(move || {
            let mut stream = stream;
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut back).unwrap();
        writer.join().unwrap();
        back
    })
}

#[test]
fn what_is_sent_comes_back_and_a_half_closed_peer_still_reads() {
    let running = Running::start(Echo::new(Habit::Plain), |_| {});
    for (i, bytes) in [1, 100, 16 << 10, 5_000_000].into_iter().enumerate() {
        let sent = pattern(i as u64, bytes);
        let stream = TcpStream::connect(running.address).unwrap();
        assert!(exchange(&stream, &sent) == sent, "{bytes} bytes came back changed");
    }
    let echo = running.finish();
    assert_eq!((echo.accepted, echo.eofs, echo.closed, echo.open(), echo.stops), (4, 4, 4, 0, 1));
}

#[test]
fn pausing_and_exact_receives_under_load_lose_and_reorder_nothing() {
    let running = Running::start(Echo::new(Habit::PauseAndExact { bytes: 100_001 }), |_| {});
    // The end must not fall into an exact receive, whose partial content is dropped: keep the stream open.
    let sent = pattern(9, 20_000_000);
    let stream = TcpStream::connect(running.address).unwrap();
    let back = std::thread::scope(|s| {
        s.spawn(|| (&stream).write_all(&sent).unwrap());
        let mut back = vec![0; sent.len() - 100_001];
        (&stream).read_exact(&mut back).unwrap();
        back
    });
    assert!(back[..] == sent[..back.len()]);
    let echo = running.finish();
    assert!(echo.pauses > 1 && echo.fills > 1, "{} pauses, {} fills", echo.pauses, echo.fills);
}

#[test]
fn receives_recover_from_a_dry_pool() {
    let running = Running::start(Echo::new(Habit::Hoard { bytes: 1 << 20 }), |settings| {
        settings.recv_bufs = 8;
        settings.recv_buf_bytes = 4096;
        settings.recv_pool = Pool::new(6 * 4096, 6 * 4096);
    });
    let address = running.address;
    std::thread::scope(|s| {
        for seed in 0..4 {
            s.spawn(move || {
                let sent = pattern(seed, 3_000_000);
                let stream = TcpStream::connect(address).unwrap();
                assert!(exchange(&stream, &sent) == sent);
            });
        }
    });
    let echo = running.finish();
    assert!(echo.starvations > 0);
    assert_eq!(echo.closed, 4);
}
