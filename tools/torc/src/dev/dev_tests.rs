use super::keys::{Command, Keys};
use super::nodes::{Nodes, State};
use super::view::{Row, View};
use crate::top::terminal::Size;
use crate::top::trend::Glyphs;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_letter_says_what_and_a_digit_to_whom() {
    let all = |keys: &[u8], nodes| Keys::default().take(keys, nodes);
    assert_eq!(all(b"k1", 3), [Command::Kill(1)]);
    assert_eq!(all(b"p2\nr3\n", 3), [Command::Pause(2), Command::Restart(3)]);
    assert_eq!(all(b"K3q", 3), [Command::Kill(3), Command::Leave]);
    assert_eq!(all(b"k4", 3), [], "there is no such node");
    assert_eq!(all(b"1", 3), []);
    assert_eq!(all(b"kp1", 3), [Command::Pause(1)], "the last letter counts");
    assert_eq!(all(b"kx1", 3), []);
    assert_eq!(all(b"\x1b[A", 3), []);
    for end in [3, 4, b'Q'] {
        assert_eq!(all(&[end], 3), [Command::Leave]);
    }
    assert_eq!(all(b"kpr", 1), [Command::Kill(1), Command::Pause(1), Command::Restart(1)], "one needs no digit");

    let mut keys = Keys::default();
    assert_eq!(keys.take(b"k", 3), []);
    assert_eq!(keys.pending(), Some('k'));
    assert_eq!(keys.take(b"2", 3), [Command::Kill(2)], "keys come one by one");
    assert_eq!(keys.pending(), None);
}

#[test]
fn nodes_have_ports_of_their_own_that_do_not_change() {
    let nodes = Nodes::new(3, Path::new("d"), 9092);
    assert_eq!(nodes.addresses(), "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094");
    assert_eq!(nodes.0[2].metrics, "127.0.0.1:9294");
    assert_eq!(nodes.0[1].log, Path::new("d/node-2/torc.log"));
}

fn view() -> View {
    let row = |id, state, shares| Row {
        id,
        state,
        pid: Some(100 + id).filter(|_| state != State::Down),
        kafka: format!("h:{id}"),
        controller: id == 1,
        shares,
    };
    View {
        dir: "d".to_string(),
        rows: vec![
            row(1, State::Runs, Some((2, 3, 3))),
            row(2, State::Paused, Some((0, 3, 0))),
            row(3, State::Down, None),
        ],
        acks: [Some(0.0), Some(5.0), Some(10.0)].into(),
        acknowledged: 77,
        events: (0..50).map(|n| format!("event {n}")).collect(),
        ..View::default()
    }
}

#[test]
fn a_screen_holds_what_fits() {
    let size = Size { columns: 80, rows: 20 };
    let lines = view().screen(Glyphs::Ascii, size);
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    let row = |start: &str| lines.iter().find(|line| line.trim_start().starts_with(start)).unwrap().clone();
    assert!(
        row("1 ").contains("runs") && row("1 ").contains("controller") && row("1 ").contains("3 of 3"),
        "{lines:#?}"
    );
    assert!(row("2 ").contains("paused") && row("3 ").contains("down") && row("3 ").contains('-'));
    assert_eq!(row("acks"), "acks  _-#");
    assert!(row("77 writes").contains("no client waits; last gap -, longest -"));
    assert!(row("event").starts_with("event 4") && lines.iter().any(|line| line == "event 49"), "the newest stay");
    assert!(lines[19].starts_with("k1 kills node 1"));

    let mut waiting = view();
    (waiting.waiting, waiting.longest) = (Some(Duration::from_millis(640)), Some(Duration::from_millis(700)));
    waiting.pending = Some('p');
    let text = waiting.screen(Glyphs::Ascii, size).join("\n");
    assert!(
        text.contains("NOW WAITING 640 ms") && text.contains("longest 700 ms") && text.contains("let it go on: 1 to 3")
    );
    for rows in 0..8 {
        assert_eq!(view().screen(Glyphs::Blocks, Size { columns: 3, rows }).len(), rows, "a tiny one");
    }
}
