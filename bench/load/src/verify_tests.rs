use crate::payload::{Producer, Recipe, Stamp, seal};
use crate::produce::Acknowledged;
use crate::verify::{Checker, Verdict};
use torc_base::ids::{LeaderEpoch, Offset};
use torc_net::kafka::records::place;

/// A batch of three records with `id` at `offset`, as a broker would return it.
fn batch(id: u64, offset: i64) -> Vec<u8> {
    let template = &crate::tests::payload_tests::recipe("--records 3", true).map(recipe_batches).unwrap()[0];
    let mut batch = template.batch.clone();
    template.stamp(&mut batch, Stamp { id, due: 1 });
    seal(&mut batch);
    place(&mut batch, Offset(offset), LeaderEpoch(0));
    batch
}

fn recipe_batches(recipe: Recipe) -> Vec<crate::payload::Template> {
    recipe.batches(Producer::NONE, 5)
}

fn acknowledged(id: u64, base_offset: i64) -> Acknowledged {
    Acknowledged { partition: 0, base_offset, records: 3, id }
}

fn verdict(ledger: Vec<Acknowledged>, log: &[(i32, Vec<u8>)]) -> Verdict {
    let mut checker = Checker::new(ledger);
    for (partition, bytes) in log {
        checker.batch(*partition, bytes);
    }
    checker.verdict()
}

#[test]
fn a_log_as_acknowledged_is_good() {
    let ledger = vec![acknowledged(8, 3), acknowledged(7, 0)];
    let found = verdict(ledger, &[(0, batch(7, 0)), (0, batch(8, 3))]);
    assert!(found.is_good());
    assert_eq!((found.read, found.acknowledged, found.unacknowledged), (6, 6, 0));
}

#[test]
fn what_is_lost_replaced_doubled_or_damaged_is_found() {
    let ledger = || vec![acknowledged(7, 0), acknowledged(8, 3)];
    let lost = verdict(ledger(), &[(0, batch(7, 0))]);
    assert_eq!((lost.missing, lost.is_good()), (3, false));
    let replaced = verdict(ledger(), &[(0, batch(7, 0)), (0, batch(9, 3))]);
    assert_eq!((replaced.wrong, replaced.missing), (3, 3));
    let misplaced = verdict(ledger(), &[(0, batch(7, 0)), (1, batch(8, 3))]);
    assert_eq!((misplaced.unacknowledged, misplaced.missing), (3, 3));
    let doubled = verdict(ledger(), &[(0, batch(7, 0)), (0, batch(7, 0)), (0, batch(8, 3))]);
    assert_eq!((doubled.disordered, doubled.is_good()), (3, false));
    let appended_twice = verdict(ledger(), &[(0, batch(7, 0)), (0, batch(8, 3)), (0, batch(8, 6))]);
    assert_eq!((appended_twice.unacknowledged, appended_twice.is_good()), (3, true), "an answer may have been lost");
    let mut damaged = batch(8, 3);
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let found = verdict(ledger(), &[(0, batch(7, 0)), (0, damaged.clone())]);
    assert_eq!((found.damaged_batches, found.missing), (1, 3));
    // A broker that damages a value and makes the CRC fit.
    seal(&mut damaged);
    let found = verdict(ledger(), &[(0, batch(7, 0)), (0, damaged)]);
    assert_eq!((found.damaged, found.missing), (1, 1));
}

/// The batch of a run without --verify, with values of `size` bytes.
fn plain(size: &str) -> Vec<u8> {
    let recipe = crate::tests::payload_tests::recipe(&format!("--records 3 --record-size {size}"), false).unwrap();
    recipe_batches(recipe)[0].batch.clone()
}

#[test]
fn records_of_plain_runs_are_told_from_those_of_others() {
    let found = verdict(Vec::new(), &[(0, plain("100"))]);
    assert_eq!((found.plain, found.foreign, found.damaged), (3, 0, 0));
    assert!(found.is_good() && found.to_string().contains("3 written by torc bench without --verify"), "{found}");
    assert_eq!(verdict(Vec::new(), &[(0, plain("8"))]).plain, 3, "the shortest that holds a mark");
    let short = verdict(Vec::new(), &[(0, plain("7"))]);
    assert_eq!((short.plain, short.foreign), (0, 3), "too short for a mark");
    assert!(short.to_string().contains("3 without torc bench's mark"), "{short}");
    let mut damaged = plain("100");
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    seal(&mut damaged);
    assert_eq!(verdict(Vec::new(), &[(0, damaged)]).damaged, 1, "what a broker changes under a CRC that fits");
}

#[test]
fn a_check_that_read_nothing_is_not_good() {
    let found = verdict(Vec::new(), &[]);
    assert!(!found.is_good() && found.to_string().contains("nothing was read"), "{found}");
}
