//! Running out of file descriptors. In a file of its own, for the limit holds for the process.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use support::{Echo, Habit, Running, eventually};

const OPEN_FILES: u64 = 300;

fn limit_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for reading and writing.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = OPEN_FILES;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}

fn socket() -> OwnedFd {
    // SAFETY: no pointers are passed, and nobody else owns the new descriptor.
    unsafe { OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0)) }
}

fn connect(socket: OwnedFd, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else { panic!("127.0.0.1 is v4") };
    let name = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(to.ip().octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: `name` is a whole sockaddr_in.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const name).cast(), size_of_val(&name) as u32) };
    assert_eq!(result, 0);
    TcpStream::from(socket)
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

#[test]
fn without_descriptors_accepting_pauses_and_goes_on_by_itself() {
    // Before the loop starts: an accept keeps the limit of the moment it was armed.
    limit_open_files();
    let running = Running::start(Echo::new(Habit::Plain), |_| {});
    let mut first = TcpStream::connect(running.address).unwrap();
    echo(&mut first);
    let waiting: Vec<OwnedFd> = (0..3).map(|_| socket()).collect();
    let filling: Vec<OwnedFd> = std::iter::from_fn(|| waiting[0].try_clone().ok()).collect();
    assert!(filling.len() > 100 && filling.len() < OPEN_FILES as usize);
    let mut waiting: Vec<TcpStream> = waiting.into_iter().map(|s| connect(s, running.address)).collect();
    eventually("accepting has failed several times", || running.stats.accept_pauses.get() >= 3);
    echo(&mut first);
    assert_eq!(running.stats.accepted.get(), 1);
    drop(filling);
    for stream in &mut waiting {
        echo(stream);
    }
    let log = running.log.lock().unwrap().clone();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].starts_with("Warn cannot accept connections") && log[0].contains("ulimit -n"), "{log:?}");
    assert!(log[1].starts_with("Info accepting connections again"), "{log:?}");
    assert_eq!(running.finish().accepted, 4);
}
