//! Of a damaged log all is read that is whole, and all is told that is lost: for those whose neighbours have it.

mod rig;

use rig::{Known, Rig, batches, marked, small};
use std::collections::BTreeSet;
use torc_base::ids::{BatchSeq, GroupId, Index, Offset};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;
use torc_wal::{From, Lost, WalError, batch};

/// Three groups in several segments, with a checkpoint at some place if `checkpoint`; all of it vouched for.
fn filled(seed: u64, checkpoint: bool) -> Rig {
    let mut rig = Rig::started(marked(), seed);
    let mut prng = Prng::new(seed);
    let rounds = prng.between(30, 120);
    let at = prng.below(rounds);
    for round in 0..rounds {
        for group in 1..=3 {
            if prng.chance(2, 3) {
                let bytes = prng.between(30, 2_000) as usize;
                rig.append(group, bytes, false);
            }
        }
        if prng.chance(1, 6) {
            rig.append(1, 20_000, true);
        }
        // Some batches are under way at once.
        if prng.chance(1, 2) {
            rig.settle()
        } else {
            rig.turn()
        }
        if checkpoint && round == at {
            rig.settle();
            rig.checkpoint();
        }
    }
    rig.settle();
    rig.pass_time(30);
    rig
}

/// The same disk, a new process, which reads on behind damage.
fn reborn(rig: &Rig) -> Rig {
    let mut other = rig.reborn();
    other.salvages = true;
    other
}

/// True if the loss of this entry was told: by itself or with its batch.
fn is_told(lost: &[Lost], known: &Known) -> bool {
    lost.iter().any(|lost| match lost {
        Lost::Entry { group, index, term, .. } => {
            (*group, index.get(), term.get()) == (known.group, known.index, known.term)
        }
        Lost::Batches { first, last, .. } => (*first..=*last).contains(&known.seq),
        Lost::Gap { .. } => false,
    })
}

/// What is told is lost, and nothing else: entries behind the checkpoint come, or their loss does; those before it can be
/// read, or reading them is an error, or their group is said to have a gap.
fn check(rig: &mut Rig, what: &str) {
    let lost = rig.lost.clone();
    let mut behind: Vec<&Known> =
        rig.history.iter().filter(|k| k.seq >= rig.replay_from && !is_told(&lost, k)).collect();
    behind.sort_by_key(|k| (k.seq, k.group));
    assert_eq!(behind.len(), rig.recovered.len(), "{what}: entries behind the checkpoint; {lost:?}");
    for (known, item) in behind.iter().zip(&rig.recovered) {
        assert!(known.is(item), "{what}: recovered group {} index {}", item.group, item.index);
    }
    let gaps: BTreeSet<GroupId> =
        lost.iter().filter_map(|lost| if let Lost::Gap { group } = lost { Some(*group) } else { None }).collect();
    for (group, known) in rig.model.clone() {
        let missing = |k: &&Known| k.seq < rig.replay_from && is_told(&lost, k);
        let batch_lost = known.iter().filter(missing).any(|k| {
            lost.iter().any(|l| matches!(l, Lost::Batches { first, last, .. } if (*first..=*last).contains(&k.seq)))
        });
        assert_eq!(gaps.contains(&group), batch_lost, "{what}: group {group} lacks entries before the checkpoint");
        // Whoever replays cuts the group at the first of those that are lost.
        let cut = known.iter().find(|k| k.seq >= rig.replay_from && is_told(&lost, k));
        if let Some(cut) = cut {
            rig.wal.take_back(group, Index(cut.index), Offset(cut.first_offset));
        }
        let whole = known.iter().take_while(|k| cut.is_none_or(|cut| k.index < cut.index));
        for k in whole.filter(|_| !batch_lost) {
            match rig.read(group.get(), From::Index(Index(k.index)), k.index, 1) {
                Ok(items) => assert!(items.len() == 1 && k.is(&items[0]), "{what}: wrong bytes at {}", k.index),
                Err(WalError::Corrupt(_)) => assert!(k.seq < rig.replay_from, "{what}: {} is not whole", k.index),
                Err(other) => panic!("{what}: {other}"),
            }
        }
    }
}

/// The same without the words: a segment that was sealed meanwhile has other evidence.
fn places(lost: &[Lost]) -> Vec<Lost> {
    let mut lost = lost.to_vec();
    for lost in &mut lost {
        match lost {
            Lost::Entry { what, .. } | Lost::Batches { what, .. } => what.clear(),
            Lost::Gap { .. } => {}
        }
    }
    lost
}

/// The log is written on, and read again: the same is lost, and what came behind is there.
fn goes_on(mut rig: Rig, what: &str) {
    let lost = rig.lost.clone();
    let groups: Vec<GroupId> = rig.model.keys().copied().collect();
    for group in &groups {
        let known = rig.model.get_mut(group).expect("listed");
        let cut = known.iter().position(|k| k.seq >= rig.replay_from && is_told(&lost, k)).unwrap_or(known.len());
        known.truncate(cut);
    }
    let mut new = Vec::new();
    for group in groups {
        new.push(rig.append(group.get(), 300, false));
        rig.settle();
    }
    rig.pass_time(30);
    let (durable, salvaged) = (rig.durable, rig.recovered.len());
    rig.kill(true);
    rig.open().unwrap_or_else(|e| panic!("{what}: a second start: {e}"));
    assert!(rig.wal.durable() >= durable, "{what}");
    assert_eq!(places(&rig.lost), places(&lost), "{what}");
    assert_eq!(rig.recovered.len(), salvaged + new.len(), "{what}");
    // With a checkpoint behind it the damage is nobody's any more.
    rig.checkpoint();
    rig.settle();
    rig.kill(true);
    rig.open().unwrap_or_else(|e| panic!("{what}: a third start: {e}"));
    assert_eq!(rig.recovered.len(), 0, "{what}");
}

#[test]
fn what_a_damaged_batch_held_is_told_and_all_else_is_read() {
    let (mut entries, mut whole, mut gaps) = (0, 0, 0);
    for seed in 1..=6 {
        let mut base = filled(seed, seed % 2 == 0);
        let vouched = base.wal.stats().vouched;
        base.kill(true);
        let names: Vec<String> = base.disk.files.keys().cloned().collect();
        let mut prng = Prng::new(seed);
        for name in names {
            for header in batches(&base.disk.files[&name].bytes) {
                if header.seq > vouched || header.count == 0 || !prng.chance(1, 12) {
                    continue;
                }
                let (at, end) = (header.position as usize, header.total as usize);
                let places = [9, 33, batch::HEADER_BYTES + 17, batch::table_end(header.count as usize) + 5, end - 1];
                for place in places {
                    let mut rig = reborn(&base);
                    rig.disk.files.get_mut(&name).unwrap().bytes[at + place] ^= 0x10;
                    let what = format!("seed {seed}, {name}: batch {} byte {place}", header.seq);
                    rig.open().unwrap_or_else(|e| panic!("{what}: {e}"));
                    check(&mut rig, &what);
                    entries += rig.lost.iter().filter(|l| matches!(l, Lost::Entry { .. })).count();
                    whole += rig.lost.iter().filter(|l| matches!(l, Lost::Batches { .. })).count();
                    gaps += rig.lost.iter().filter(|l| matches!(l, Lost::Gap { .. })).count();
                    goes_on(rig, &what);
                }
            }
        }
    }
    assert!(entries > 15 && whole > 15 && gaps > 5, "{entries} entries, {whole} batches, {gaps} gaps");
}

#[test]
fn whole_pages_may_be_gone_and_several_places_damaged() {
    for seed in 20..=26 {
        let mut base = filled(seed, seed % 3 == 0);
        let vouched = base.wal.stats().vouched;
        base.kill(true);
        let names: Vec<String> = base.disk.files.keys().cloned().collect();
        let mut prng = Prng::new(seed);
        for round in 0..6 {
            let mut rig = reborn(&base);
            let what = format!("seed {seed}, round {round}");
            for _ in 0..prng.between(1, 4) {
                let name = &names[prng.below(names.len() as u64) as usize];
                let headers = batches(&base.disk.files[name].bytes);
                let Some(last) = headers.iter().rfind(|h| h.seq <= vouched) else { continue };
                // Not the header page of the segment, and not what nothing vouches for.
                let pages = (last.position + last.total) as usize / PAGE;
                if pages < 3 {
                    continue;
                }
                let from = 1 + prng.below(pages as u64 - 2) as usize;
                let to = (from + prng.between(1, 12) as usize).min(pages);
                rig.disk.files.get_mut(name).unwrap().bytes[from * PAGE..to * PAGE].fill(0);
            }
            rig.open().unwrap_or_else(|e| panic!("{what}: {e}"));
            check(&mut rig, &what);
            goes_on(rig, &what);
        }
    }
}

/// The end of a log that was closed is damaged: nothing comes behind it, and what is written next does.
#[test]
fn a_log_goes_on_behind_its_end_that_is_lost() {
    for seed in 40..=46 {
        let mut base = filled(seed, false);
        base.close();
        base.settle();
        base.kill(true);
        let last = base.wal.durable();
        let (name, header) = base
            .disk
            .files
            .iter()
            .flat_map(|(name, file)| batches(&file.bytes).into_iter().map(move |h| (name.clone(), h)))
            .filter(|(_, h)| h.seq <= last && h.count > 0)
            .max_by_key(|(_, h)| h.seq)
            .expect("a batch");
        for place in [9, 33, batch::HEADER_BYTES + 17, batch::table_end(header.count as usize) + 5] {
            let mut rig = reborn(&base);
            rig.disk.files.get_mut(&name).unwrap().bytes[header.position as usize + place] ^= 1;
            let what = format!("seed {seed}, byte {place}");
            rig.open().unwrap_or_else(|e| panic!("{what}: {e}"));
            check(&mut rig, &what);
            assert!(rig.wal.durable() >= last, "{what}: a batch's number is given once");
            goes_on(rig, &what);
        }
    }
}

/// A torn tail is no damage, whoever looks.
#[test]
fn what_was_being_written_is_cut_as_ever() {
    let mut base = Rig::started(small(), 60);
    base.fill(1, 6, 400);
    let durable = base.durable;
    for _ in 0..3 {
        base.append(1, 500, false);
        base.append(2, 9_000, true);
        base.turn();
    }
    while !base.pending.is_empty() {
        let op = base.pending.remove(0);
        base.disk.execute(op.kind).expect("no fault");
    }
    let name = base.disk.files.keys().next().unwrap().clone();
    let torn = batches(&base.disk.files[&name].bytes).into_iter().find(|h| h.seq > durable).expect("one is under way");
    let mut rig = reborn(&base);
    rig.disk.files.get_mut(&name).unwrap().bytes[torn.position as usize + 9] ^= 1;
    let cut = rig.open().expect("a torn tail");
    assert!(cut.is_some() && rig.lost.is_empty(), "{cut:?} {:?}", rig.lost);
    assert_eq!(rig.wal.durable(), BatchSeq(torn.seq.get() - 1));
}
