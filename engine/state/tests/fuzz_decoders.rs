//! Bytes from a disk may be anything. Whatever a decoder takes must come out of the encoder the same, so that nothing
//! is taken twice or half. `cargo bolero test` runs these for long; `cargo test` briefly.

mod damaged;

use damaged::damaged;
use torc_base::ids::{Index, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use torc_base::time::Wall;
use torc_state::catalog::{Catalog, Command, Defaults, NewTopic};
use torc_state::partition::{Clock, Incoming, Partition, Sequenced};

#[test]
fn fuzz_partition() {
    let mut partition = Partition::new();
    for n in 0..20 {
        let producer = Sequenced { id: ProducerId(n % 3), epoch: ProducerEpoch(1), base_sequence: n as i32 };
        let batch = Incoming { records: 3, producer: Some(producer), max_timestamp: n };
        let index = |k: u64| Index(n as u64 * 4 + k);
        partition.begin_term(index(1), LeaderEpoch(n as i32 / 4));
        partition.append(index(2), Offset(n * 3), &batch, 100);
        partition.append_trim(index(3), Offset(n));
        partition.append_clock(index(4), Clock { now: Wall(n), forget: Wall(n - 9) });
    }
    partition.apply(Index(60));
    let mut valid = Vec::new();
    partition.encode(&mut valid);
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = damaged(&valid, input);
        let mut left = &bytes[..];
        if let Ok(partition) = Partition::decode(&mut left) {
            let mut again = Vec::new();
            partition.encode(&mut again);
            let mut back = Partition::decode(&mut &again[..]).expect("just encoded");
            let mut third = Vec::new();
            back.encode(&mut third);
            assert_eq!(third, again);
            // Two numbers of older torcs, the commit mark and the end behind it, may be one that takes a byte more.
            assert!(again.len() <= bytes.len() - left.len() + 1);
            // Whatever it says, what is pending can be cut, or committed.
            let mut cut = back.clone();
            cut.cut(Index(0));
            assert!(cut.pending().is_none() && cut.end() == cut.high_watermark());
            back.apply(Index(u64::MAX));
            assert!(back.pending().is_none() && back.end() == back.high_watermark());
        }
    });
}

fn wish(name: &str, id: u128) -> NewTopic {
    let config = [("retention.ms".to_string(), "1000".to_string())].into();
    NewTopic {
        name: name.into(),
        id: torc_base::ids::TopicId(id),
        partitions: 3,
        replication: 1,
        assignments: Vec::new(),
        config,
        created: Wall(5),
    }
}

#[test]
fn fuzz_command() {
    let command = Catalog::new(Defaults::default()).plan_create(wish("orders", 77)).expect("a good wish");
    let mut valid = Vec::new();
    command.encode(&mut valid);
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = damaged(&valid, input);
        if let Ok(command) = Command::decode(&bytes) {
            let mut again = Vec::new();
            command.encode(&mut again);
            assert_eq!(Command::decode(&again), Ok(command.clone()));
            // Whatever it says, applying it is safe.
            let mut catalog = Catalog::new(Defaults::default());
            catalog.apply(Index(1), &command);
            catalog.apply(Index(2), &command);
        }
    });
}

#[test]
fn fuzz_catalog() {
    let mut catalog = Catalog::new(Defaults::default());
    for (n, name) in ["orders", "a.b", "c_d"].into_iter().enumerate() {
        let command = catalog.plan_create(wish(name, n as u128 + 1)).expect("a good wish");
        catalog.apply(Index(n as u64 + 1), &command);
    }
    for (index, name) in [(4, "pending"), (6, "more")] {
        let command = catalog.plan_create(wish(name, index)).expect("a good wish");
        catalog.append(Index(index as u64), command);
    }
    let mut valid = Vec::new();
    catalog.encode(&mut valid);
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = damaged(&valid, input);
        if let Ok(catalog) = Catalog::decode(Defaults::default(), &mut &bytes[..]) {
            let mut again = Vec::new();
            catalog.encode(&mut again);
            let back = Catalog::decode(Defaults::default(), &mut &again[..]).expect("just encoded");
            assert!(back.topics().eq(catalog.topics()) && back.pending().eq(catalog.pending()));
        }
    });
}
