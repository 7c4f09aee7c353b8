use crate::outlet::{KEPT_FOR_LAST, Outlet, WAITING_MAX, Weight};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn notice(lines: u64) -> String {
    format!("{lines} left out\n")
}

/// A reader that takes a write only when the test lets it.
struct Gate {
    begun: Sender<()>,
    allowed: Receiver<()>,
    seen: Arc<Mutex<String>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        // The test is over, or lets everything through.
        let _ = self.allowed.recv();
        self.seen.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Scene {
    outlet: Outlet,
    begun: Receiver<()>,
    allow: Sender<()>,
    seen: Arc<Mutex<String>>,
}

fn scene() -> Scene {
    let (begun, begun_here) = channel();
    let (allow, allowed) = channel();
    let seen = Arc::new(Mutex::new(String::new()));
    let gate = Gate { begun, allowed, seen: Arc::clone(&seen) };
    Scene { outlet: Outlet::start("outlet", gate, notice).unwrap(), begun: begun_here, allow, seen }
}

fn line(letter: char, bytes: usize) -> String {
    let mut line = letter.to_string().repeat(bytes - 1);
    line.push('\n');
    line
}

#[test]
fn lines_are_written_in_order() {
    let Scene { outlet, allow, seen, .. } = scene();
    drop(allow);
    for n in 0..1000 {
        outlet.line(Weight::Usual, format!("{n}\n"));
        // The bound is not what is tried here.
        assert!(outlet.flush(LONG));
    }
    let expected: String = (0..1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_reader_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() {
    let Scene { outlet, begun, allow, seen } = scene();
    outlet.line(Weight::Usual, "first\n".into());
    begun.recv().unwrap();
    // It is in its write now: from here on everything waits, up to the bound.
    let fit = (WAITING_MAX - KEPT_FOR_LAST) / 1024;
    for _ in 0..fit + 5000 {
        outlet.line(Weight::Usual, line('a', 1024));
    }
    assert!(!outlet.flush(Duration::from_millis(1)), "nothing can be written");
    drop(allow);
    assert!(outlet.flush(LONG));
    outlet.line(Weight::Usual, "later\n".into());
    assert!(outlet.flush(LONG));
    let seen = seen.lock().unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 1 + fit + 1 + 1);
    assert_eq!((lines[0], lines[fit + 1], lines[fit + 2]), ("first", "5000 left out", "later"));
}

#[test]
fn what_was_left_out_is_told_where_it_is_missing() {
    let Scene { outlet, begun, allow, seen } = scene();
    outlet.line(Weight::Usual, "first\n".into());
    begun.recv().unwrap();
    let half = line('a', (WAITING_MAX - KEPT_FOR_LAST) / 2);
    outlet.line(Weight::Usual, half.clone());
    outlet.line(Weight::Usual, half);
    outlet.line(Weight::Usual, "lost\n".into());
    outlet.line(Weight::Last, "the reason\n".into());
    drop(allow);
    assert!(outlet.flush(LONG));
    let seen = seen.lock().unwrap();
    assert!(seen.ends_with("a\n1 left out\nthe reason\n"), "{}", &seen[seen.len() - 40..]);
}

#[test]
fn the_last_words_have_room_of_their_own_and_a_bound() {
    let Scene { outlet, begun, allow, seen } = scene();
    outlet.line(Weight::Usual, "first\n".into());
    begun.recv().unwrap();
    outlet.line(Weight::Usual, line('a', WAITING_MAX - KEPT_FOR_LAST));
    for _ in 0..1000 {
        outlet.line(Weight::Last, line('z', 1024));
    }
    drop(allow);
    assert!(outlet.flush(LONG));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.lines().filter(|line| line.starts_with('z')).count(), KEPT_FOR_LAST / 1024);
    assert!(seen.ends_with(&format!("{} left out\n", 1000 - KEPT_FOR_LAST / 1024)));
}

#[test]
fn a_reader_that_is_gone_is_no_reason_to_wait() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let outlet = Outlet::start("outlet", Gone, notice).unwrap();
    for _ in 0..1000 {
        outlet.line(Weight::Usual, line('a', 1024));
    }
    assert!(outlet.flush(LONG));
}
