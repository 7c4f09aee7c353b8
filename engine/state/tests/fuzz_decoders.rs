//! Bytes from a disk may be anything. Whatever a decoder takes must come out of the encoder the same, so that nothing
//! is taken twice or half. `cargo bolero test` runs these for long; `cargo test` briefly.

use torc_base::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use torc_base::time::Wall;
use torc_state::catalog::{Catalog, Command, Defaults, NewTopic};
use torc_state::partition::{Incoming, Partition, Sequenced};

/// Valid bytes with one byte changed, or anything at all.
fn damaged(valid: &[u8], input: &[u8]) -> Vec<u8> {
    let [high, low, change, rest @ ..] = input else { return input.to_vec() };
    if *change == 0 {
        return rest.to_vec();
    }
    let mut bytes = valid.to_vec();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    bytes[at] ^= change;
    bytes
}

#[test]
fn fuzz_partition() {
    let mut partition = Partition::new();
    for n in 0..20 {
        let producer = Sequenced { id: ProducerId(n % 3), epoch: ProducerEpoch(1), base_sequence: n as i32 };
        let batch = Incoming { records: 3, producer: Some(producer), max_timestamp: n };
        partition.replay(Wall(n), LeaderEpoch(n as i32 / 4), Offset(n * 3), &batch);
    }
    partition.trim(Offset(7));
    let mut valid = Vec::new();
    partition.encode(&mut valid);
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = damaged(&valid, input);
        let mut left = &bytes[..];
        if let Ok(partition) = Partition::decode(&mut left) {
            let mut again = Vec::new();
            partition.encode(&mut again);
            assert_eq!(Partition::decode(&mut &again[..]), Ok(partition));
            assert!(again.len() <= bytes.len() - left.len());
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
            catalog.apply(torc_base::ids::Index(1), &command);
            catalog.apply(torc_base::ids::Index(2), &command);
        }
    });
}

#[test]
fn fuzz_catalog() {
    let mut catalog = Catalog::new(Defaults::default());
    for (n, name) in ["orders", "a.b", "c_d"].into_iter().enumerate() {
        let command = catalog.plan_create(wish(name, n as u128 + 1)).expect("a good wish");
        catalog.apply(torc_base::ids::Index(n as u64 + 1), &command);
    }
    let mut valid = Vec::new();
    catalog.encode(&mut valid);
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = damaged(&valid, input);
        if let Ok(catalog) = Catalog::decode(Defaults::default(), &mut &bytes[..]) {
            let mut again = Vec::new();
            catalog.encode(&mut again);
            let back = Catalog::decode(Defaults::default(), &mut &again[..]).expect("just encoded");
            assert!(back.topics().eq(catalog.topics()));
        }
    });
}
