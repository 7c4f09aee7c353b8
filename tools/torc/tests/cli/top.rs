//! `torc top` on a terminal.

use crate::support::{Server, torc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};

const O_NOCTTY: i32 = 0o400;

/// A terminal with a program on it.
struct Screen {
    keys: File,
    /// The program's end of it.
    line: File,
    child: Child,
}

impl Screen {
    fn start(columns: u16, rows: u16, args: &[&str]) -> Screen {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let path = ptsname(&keys, Vec::new()).unwrap();
        let line =
            OpenOptions::new().read(true).write(true).custom_flags(O_NOCTTY).open(path.to_str().unwrap()).unwrap();
        tcsetwinsize(&line, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = torc(args).env("LC_ALL", "C.UTF-8").stdin(end()).stdout(end()).spawn().unwrap();
        Screen { keys: File::from(keys), line, child }
    }

    /// What is written until `mark` has been.
    fn until(&mut self, mark: &str) -> String {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&bytes).contains(mark) {
            let silence = Timespec { tv_sec: 60, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&self.keys, PollFlags::IN)], Some(&silence)).unwrap();
            assert!(ready > 0, "nothing more comes after {:?}", String::from_utf8_lossy(&bytes));
            let count = self.keys.read(&mut chunk).unwrap();
            bytes.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True if keys are shown and come line by line, as a shell wants it.
    fn is_usual(&self) -> bool {
        let modes = tcgetattr(&self.line).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Fails if it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of the last whole page, without what moves the cursor.
fn lines(written: &str) -> Vec<String> {
    let page = written.rsplit("\x1b[H").find(|page| page.contains("\x1b[J")).expect("a whole page");
    page.replace("\x1b[K", "")
        .replace("\x1b[J", "")
        .split('\n')
        .map(|line| line.trim_end_matches('\r').to_string())
        .collect()
}

#[test]
fn top_fits_its_terminal_and_gives_it_back_however_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--shards", "2"]);
    let metrics = server.said("metrics").to_string();
    let top = ["top", "--metrics", &metrics, "--interval", "200ms"];
    for (columns, rows, end) in [(40, 12, "q"), (80, 24, "\u{3}"), (160, 50, "TERM"), (20, 5, "INT")] {
        let mut screen = Screen::start(columns, rows, &top);
        assert!(screen.is_usual());
        let mut text = screen.until("requests/s");
        text += &screen.until("\x1b[J");
        assert!(text.starts_with("\x1b[?1049h\x1b[?25l\x1b[?7l"), "{text:?}");
        assert!(!screen.is_usual(), "keys come one by one");
        let lines = lines(&text);
        assert_eq!(lines.len(), usize::from(rows));
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(columns)), "{columns}: {lines:#?}");
        assert_eq!(lines.last().map(String::as_str), Some("q leaves, g groups"));
        screen.keys.write_all(b"g").unwrap();
        screen.until("no consumer groups");
        screen.keys.write_all(b"\t").unwrap();
        screen.until("requests/s");
        let signal = |signal| kill_process(Pid::from_child(&screen.child), signal).unwrap();
        match end {
            "TERM" => signal(Signal::TERM),
            "INT" => signal(Signal::INT),
            key => screen.keys.write_all(key.as_bytes()).unwrap(),
        }
        let rest = screen.until("\x1b[?1049l");
        assert!(rest.ends_with("\x1b[?7h\x1b[?25h\x1b[?1049l"), "{rest:?}");
        assert_eq!(screen.child.wait().unwrap().code(), Some(0), "{end:?}");
        assert!(screen.is_usual(), "{end:?}");
    }
    // One that loses its server says so, and leaves all the same.
    let mut screen = Screen::start(160, 30, &top);
    screen.until("requests/s");
    assert_eq!(server.stop(Signal::KILL).code(), None);
    screen.until("trying again every 200ms");
    screen.keys.write_all(b"q").unwrap();
    assert_eq!(screen.child.wait().unwrap().code(), Some(0));
    assert!(screen.is_usual());
}
