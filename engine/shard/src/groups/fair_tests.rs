//! A disk that serves one read at a time, and readers that want more than it gives.

use super::{Fair, Flow, KEPT_MIN};
use torc_base::ids::{ConnId, Place};

fn reader(number: u64) -> Flow {
    Flow::Conn(Place::default(), ConnId(number))
}

/// Reads that wait: turn, order of coming, reader, bytes.
#[derive(Default)]
struct Queue {
    fair: Fair,
    waiting: Vec<(u64, u64, Flow, usize)>,
    came: u64,
}

impl Queue {
    fn ask(&mut self, reader: Flow, bytes: usize) {
        self.came += 1;
        self.waiting.push((self.fair.turn(reader), self.came, reader, bytes));
    }

    /// Serves the next one.
    fn serve(&mut self) -> (Flow, usize) {
        let at = (0..self.waiting.len()).min_by_key(|at| self.waiting[*at]).expect("somebody waits");
        let (turn, _, reader, bytes) = self.waiting.remove(at);
        self.fair.gave(reader, turn, bytes, self.waiting.len());
        (reader, bytes)
    }
}

#[test]
fn who_reads_a_little_waits_for_one_read_at_most() {
    let mut queue = Queue::default();
    for greedy in 1..=50 {
        queue.ask(reader(greedy), 1 << 20);
    }
    let little = reader(0);
    // Once all have had their first.
    for _ in 0..200 {
        let (served, bytes) = queue.serve();
        queue.ask(served, bytes);
    }
    for _ in 0..20 {
        queue.ask(little, 10_000);
        let (first, bytes) = queue.serve();
        if first != little {
            queue.ask(first, bytes);
            assert_eq!(queue.serve().0, little, "one who has had no more may stand before it");
        }
        for _ in 0..60 {
            let (served, bytes) = queue.serve();
            queue.ask(served, bytes);
        }
    }
}

#[test]
fn all_get_the_same_however_much_they_ask_for_at_a_time() {
    let mut queue = Queue::default();
    let mut got = [0usize; 8];
    let sizes = [10_000, 50_000, 100_000, 200_000, 400_000, 800_000, 1_000_000, 4_000_000];
    for (number, size) in sizes.iter().enumerate() {
        queue.ask(reader(number as u64), *size);
    }
    for _ in 0..20_000 {
        let (served, bytes) = queue.serve();
        let Flow::Conn(_, ConnId(number)) = served else { panic!("only connections") };
        got[number as usize] += bytes;
        queue.ask(served, bytes);
    }
    let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
    assert!(most - least <= 2 * 4_000_000, "{got:?}");
}

#[test]
fn who_has_had_much_is_not_kept_waiting_by_endless_newcomers() {
    let mut queue = Queue::default();
    let much = reader(0);
    queue.ask(much, 64 << 20);
    queue.serve();
    queue.ask(much, 1 << 20);
    let mut newcomer = 0;
    let served = (0..10_000).position(|_| {
        while queue.waiting.len() < 10 {
            newcomer += 1;
            queue.ask(reader(newcomer), 1 << 20);
        }
        queue.serve().0 == much
    });
    // It has had 64 MiB more than each of ten others: 640 reads make up for that.
    assert!(served.is_some_and(|served| served <= 700), "{served:?}");
    assert!(queue.fair.had.len() <= 2 * KEPT_MIN, "{} are remembered", queue.fair.had.len());
}

#[test]
fn who_pauses_saves_nothing_up() {
    let mut queue = Queue::default();
    let pausing = reader(0);
    queue.ask(pausing, 1 << 20);
    queue.serve();
    for _ in 0..1_000 {
        queue.ask(reader(1), 1 << 20);
        queue.serve();
    }
    let mut of_pausing = 0;
    queue.ask(pausing, 1 << 20);
    queue.ask(reader(1), 1 << 20);
    for _ in 0..100 {
        let (served, bytes) = queue.serve();
        of_pausing += usize::from(served == pausing);
        queue.ask(served, bytes);
    }
    assert!((45..=55).contains(&of_pausing), "{of_pausing} of 100");
}

#[test]
fn who_read_alone_has_had_no_more_than_is_due() {
    let mut queue = Queue::default();
    let alone = reader(0);
    for _ in 0..10 {
        queue.ask(alone, 1 << 20);
        queue.serve();
    }
    // Nobody waited for it: it stands where those stand who come now.
    queue.ask(alone, 1 << 20);
    (1..=50).for_each(|other| queue.ask(reader(other), 1 << 20));
    assert_eq!(queue.serve().0, alone);
}
