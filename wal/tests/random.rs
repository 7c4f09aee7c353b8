//! Long random lives: appends, conflicts, releases, checkpoints, reads, crashes and power cuts, in any order.

mod rig;

use rig::{Rig, small};
use std::collections::{BTreeMap, BTreeSet};
use torc_base::ids::{BatchSeq, GroupId, Index, Offset};
use torc_base::prng::Prng;
use torc_wal::{CleanerSettings, Find, From, Outcome, ReadId, State, WalSettings};

struct World {
    rig: Rig,
    dropped: BTreeSet<u64>,
    /// A checkpoint that waits for its batch.
    begun: Option<(Vec<u8>, BatchSeq)>,
    /// Of the cleaner, in former lives.
    passes: u64,
    /// Of most entries, at most.
    entry_bytes: u64,
    /// Where readers that go on are, by group.
    readers: BTreeMap<u64, u64>,
}

fn settings(prng: &mut Prng) -> WalSettings {
    WalSettings {
        batches_in_flight: prng.between(1, 6) as usize,
        tail_bytes: (prng.below(3) * (100 << 10)) as usize,
        read_ahead_bytes: [0, 400 << 10, 4 << 20][prng.below(3) as usize],
        spare_segments: prng.between(1, 3) as usize,
        idle_seal_ms: prng.below(2) * 5,
        cleaner: CleanerSettings {
            enabled: prng.chance(2, 3),
            dead_percent: prng.between(5, 60),
            settle_ms: prng.below(30),
            sort_after_ms: prng.below(200),
            bytes_per_second: 1 << prng.between(20, 40),
        },
        ..small()
    }
}

impl World {
    fn append(&mut self, prng: &mut Prng) {
        let group = prng.between(1, 6) + 10 * prng.below(2);
        if self.dropped.contains(&group) || !self.rig.wal.admits(100) {
            return;
        }
        let bytes = match prng.below(20) {
            0 => 1 + prng.below(30),
            1 => prng.between(30_000, 120_000),
            _ => 20 + prng.below(self.entry_bytes),
        } as usize;
        let gather = bytes > 20_000 && prng.chance(3, 4);
        let known = self.rig.model.get(&GroupId(group)).cloned().unwrap_or_default();
        let first = self.rig.wal.first_index(GroupId(group)).map_or(1, Index::get);
        // Sometimes a new leader replaces a suffix.
        if prng.chance(1, 40) && known.len() > 3 {
            let at = &known[known.len() - 1 - prng.below(3) as usize];
            if at.index > first {
                self.rig.append_at(group, at.index, at.first_offset, bytes, gather);
                return;
            }
        }
        self.rig.append(group, bytes, gather);
    }

    fn look(&mut self, prng: &mut Prng) {
        let groups: Vec<GroupId> = self.rig.model.keys().copied().collect();
        if groups.is_empty() {
            return;
        }
        let group = groups[prng.below(groups.len() as u64) as usize];
        let known = self.rig.model[&group].clone();
        let (Some(first), Some(last)) = (self.rig.wal.first_index(group), self.rig.wal.last_index(group)) else {
            return;
        };
        let live: Vec<_> = known.iter().filter(|k| k.index >= first.get()).collect();
        if live.is_empty() {
            return;
        }
        let at = prng.below(live.len() as u64) as usize;
        let max = 1 + prng.below(100_000) as usize;
        // Searches by time are asked up to the commit mark, which is durable.
        let kinds = if live[at].seq <= self.rig.durable { 4 } else { 1 };
        match prng.below(kinds) {
            0 => {
                let offset = live[at].first_offset;
                let items = self.rig.read(group.get(), From::Offset(Offset(offset)), last.get(), max).unwrap();
                let expected = live.iter().find(|k| k.first_offset + i64::from(k.records) > offset);
                match expected {
                    Some(k) => assert!(k.is(&items[0])),
                    None => assert!(items.is_empty()),
                }
            }
            1 => {
                let ts = 1_000 + prng.below(1_010) as i64;
                let upto = live[at].index;
                let behind = live[prng.below(live.len() as u64) as usize].first_offset;
                let (wal, ops) = (&mut self.rig.wal, &mut self.rig.pending);
                let find = wal.find_timestamp(group, ts, (Offset(behind), Index(upto)), prng.below(3), ops);
                let found = self.rig.lookup(find).unwrap().map(|i| i.index.get());
                let fits = |k: &&&rig::Known| {
                    k.max_timestamp >= ts && k.index <= upto && k.first_offset + i64::from(k.records) > behind
                };
                let expected = live.iter().find(fits).map(|k| k.index);
                assert_eq!(found, expected, "first at or after {ts}");
            }
            2 => {
                let upto = live[at].index;
                let behind = live[prng.below(live.len() as u64) as usize].first_offset;
                let (wal, ops) = (&mut self.rig.wal, &mut self.rig.pending);
                let find = wal.find_max_timestamp(group, (Offset(behind), Index(upto)), prng.below(3), ops);
                if let (Find::Pending(id), 0) = (&find, prng.below(4)) {
                    return self.cancel(*id, prng);
                }
                let found = self.rig.lookup(find).unwrap().map(|i| i.index.get());
                let fits = |k: &&&rig::Known| k.index <= upto && k.first_offset + i64::from(k.records) > behind;
                let max = live.iter().filter(fits).map(|k| k.max_timestamp).max();
                let expected = live.iter().filter(fits).find(|k| Some(k.max_timestamp) == max).map(|k| k.index);
                assert_eq!(found, expected, "first with the largest timestamp");
            }
            _ => {
                let from = live[at].index;
                let items = self.rig.read(group.get(), From::Index(Index(from)), last.get(), max).unwrap();
                assert!(!items.is_empty());
                for (item, k) in items.iter().zip(&live[at..]) {
                    assert!(k.is(item));
                }
            }
        }
    }

    /// Nobody waits for a search any more, wherever it is: there is no outcome of it.
    fn cancel(&mut self, id: ReadId, prng: &mut Prng) {
        let ended = |rig: &rig::Rig| rig.outcomes.iter().any(|o| matches!(o, Outcome::Found(other, _) if *other == id));
        for _ in 0..prng.below(6) {
            if self.rig.pending.is_empty() || ended(&self.rig) {
                break;
            }
            self.rig.step();
            self.rig.turn();
        }
        let before = ended(&self.rig);
        self.rig.wal.cancel_find(id);
        while !self.rig.pending.is_empty() {
            self.rig.step();
            self.rig.turn();
        }
        assert_eq!(ended(&self.rig), before, "what was cancelled has no outcome");
        self.rig.outcomes.retain(|o| !matches!(o, Outcome::Found(other, _) if *other == id));
    }

    /// A reader of a group goes on where it was.
    fn go_on(&mut self, prng: &mut Prng) {
        let group = prng.between(1, 3);
        let known = self.rig.model.get(&GroupId(group)).cloned().unwrap_or_default();
        let (Some(first), Some(last)) =
            (self.rig.wal.first_index(GroupId(group)), self.rig.wal.last_index(GroupId(group)))
        else {
            return;
        };
        let next = self.readers.entry(group).or_insert(1);
        *next = (*next).max(first.get());
        for _ in 0..prng.below(6) {
            if *next > last.get() {
                *next = first.get();
                return;
            }
            let max = 1 + prng.below(60_000) as usize;
            let items = self.rig.read(group, From::Index(Index(*next)), last.get(), max).unwrap();
            assert!(!items.is_empty());
            for item in items {
                let k = known.iter().find(|k| k.index == *next).expect("it is alive");
                assert!(k.is(&item), "group {group} index {next}");
                *next += 1;
            }
        }
    }

    fn release(&mut self, prng: &mut Prng) {
        let group = prng.between(1, 6);
        if let Some(last) = self.rig.wal.last_index(GroupId(group)) {
            let below = last.get().saturating_sub(prng.below(20)).max(1);
            self.rig.wal.release(GroupId(group), Index(below));
        }
    }

    fn checkpoint(&mut self) {
        match self.begun.take() {
            None => self.begun = Some(self.rig.wal.begin_checkpoint(false)),
            Some((section, upto)) if self.rig.durable >= upto => {
                self.rig.section = Some(section);
                self.rig.replay_from = upto.next();
                self.rig.wal.checkpoint_published();
            }
            begun => self.begun = begun,
        }
    }

    fn restart(&mut self, prng: &mut Prng) {
        if self.begun.is_none() && prng.chance(1, 3) {
            self.rig.close();
        }
        let durable = self.rig.durable;
        self.begun = None;
        self.passes += self.rig.wal.stats().cleaner_passes;
        self.rig.kill(prng.chance(1, 2));
        while prng.chance(1, 3) {
            let steps = prng.below(40);
            self.rig.open_and_die(steps, prng.chance(1, 2));
        }
        if let Err(error) = self.rig.open() {
            panic!("refused: {error}");
        }
        self.rig.settle_model(durable);
        for group in self.dropped.clone() {
            self.rig.drop_group(group);
        }
        self.rig.verify(50_000);
    }
}

/// Some lives; how many passes the cleaner made to their end. `heavy`: long ones, with large entries.
fn live(seed: u64, heavy: bool) -> u64 {
    let mut prng = Prng::new(seed);
    let mut settings = settings(&mut prng);
    settings.cleaner.enabled |= heavy;
    let (entry_bytes, steps) = if heavy { (20_000, 3..6) } else { (3_000, 0..2) };
    let steps = prng.between(steps.start * 750 + 200, steps.end * 750);
    let rig = Rig::started(settings, prng.next_u64());
    let mut world =
        World { rig, dropped: BTreeSet::new(), begun: None, passes: 0, entry_bytes, readers: BTreeMap::new() };
    for _ in 0..steps {
        match prng.below(100) {
            0..40 => world.append(&mut prng),
            40..60 => world.rig.turn(),
            60..85 if !world.rig.pending.is_empty() => world.rig.step(),
            85..88 => world.look(&mut prng),
            88..90 => world.go_on(&mut prng),
            90..93 => world.release(&mut prng),
            93..95 => world.checkpoint(),
            95 => world.rig.settle(),
            96 if prng.chance(1, 4) => {
                world.dropped.insert(15);
                world.rig.drop_group(15);
            }
            97 => world.rig.now.mono = world.rig.now.mono.plus_ms(10 + 40 * prng.below(3)),
            98 | 99 if prng.chance(1, 5) => world.restart(&mut prng),
            _ => {}
        }
        assert_eq!(world.rig.wal.state(), State::Running);
    }
    world.rig.settle();
    world.rig.verify(100_000);
    let passes = world.passes + world.rig.wal.stats().cleaner_passes;
    world.restart(&mut prng);
    passes
}

#[test]
fn random_lives_lose_nothing() {
    for seed in 0..120 {
        std::panic::catch_unwind(|| live(seed, false)).unwrap_or_else(|_| panic!("seed {seed}"));
    }
}

#[test]
fn long_lives_with_a_cleaner_lose_nothing() {
    let mut passes = 0;
    for seed in 1000..1040 {
        passes += std::panic::catch_unwind(|| live(seed, true)).unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(passes > 100, "the cleaner hardly did anything: {passes} passes");
}
