use crate::options::ProduceArgs;
use crate::payload::{Producer, Recipe, Stamp, Template, read_stamp, seal, set_sequence};
use clap::{Args, Command, FromArgMatches};
use torc_net::kafka::records::{Batch, read, verify};

/// What `torc bench produce` would make of these options.
pub fn recipe(arguments: &str, stamped: bool) -> Result<Recipe, String> {
    let command = ProduceArgs::augment_args(Command::new("produce").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments.split_whitespace()).unwrap();
    Recipe::new(&ProduceArgs::from_arg_matches(&matches).unwrap().records, stamped)
}

fn stamps(batch: &[u8]) -> Vec<Option<Stamp>> {
    read(batch).unwrap().iter().map(|record| read_stamp(record.value.as_ref().unwrap()).unwrap()).collect()
}

#[test]
fn batches_hold_what_was_asked_for() {
    let batches = recipe("--record-size 100 --records 7 --keys 3", false).unwrap().batches(Producer::NONE, 5);
    assert_eq!(batches.len(), 8);
    for template in &batches {
        let batch: Batch = verify(&template.batch).unwrap();
        assert_eq!((batch.records, batch.producer_id, batch.base_sequence), (7, -1, -1));
        let records = read(&template.batch).unwrap();
        assert!(records.iter().all(|r| r.value.as_ref().unwrap().len() == 100 && r.key.is_some()));
        assert_eq!((template.records, template.payload), (7, 7 * (100 + 14)));
    }
    assert!(batches[0].batch != batches[1].batch);
}

#[test]
fn a_batch_is_filled_to_its_bytes_and_never_empty() {
    let of = |arguments| recipe(arguments, false).unwrap().batches(Producer::NONE, 5);
    assert_eq!(of("--record-size 1000 --batch-bytes 1MB")[0].records, 1000);
    assert_eq!(of("--record-size 1000 --batch-bytes 10")[0].records, 1);
    assert!(of("--record-size 1000 --batch-bytes 1MB").len() < 8, "large batches are few");
    let mixed = &of("--record-size 10:1,90..110:1 --records 1000")[0];
    assert!((40_000..70_000).contains(&mixed.payload), "{}", mixed.payload);
}

#[test]
fn stamps_and_sequences_are_changed_in_place() {
    let producer = Producer { id: 77, epoch: 3 };
    let template: &Template = &recipe("--records 5", true).unwrap().batches(producer, 5)[0];
    let mut batch = template.batch.clone();
    let stamp = Stamp { id: 0x1234, due: 99 };
    template.stamp(&mut batch, stamp);
    set_sequence(&mut batch, 40);
    assert!(verify(&batch).is_err(), "not sealed yet");
    seal(&mut batch);
    let header = verify(&batch).unwrap();
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (77, 3, 40));
    assert_eq!(stamps(&batch), vec![Some(stamp); 5]);
}

#[test]
fn a_compressed_batch_is_stamped_by_building_it_anew() {
    let recipe = recipe("--records 5 --codec lz4", true).unwrap();
    assert!(recipe.rebuilds());
    let template = &recipe.batches(Producer::NONE, 5)[0];
    let stamp = Stamp { id: 9, due: 8 };
    let batch = recipe.rebuild(template, Producer::NONE, 5, stamp);
    verify(&batch).unwrap();
    assert_eq!(stamps(&batch), vec![Some(stamp); 5]);
}

#[test]
fn damage_is_told_from_values_of_others() {
    let template = &recipe("--records 1", true).unwrap().batches(Producer::NONE, 5)[0];
    let mut value = read(&template.batch).unwrap()[0].value.clone().unwrap();
    assert!(read_stamp(&value).unwrap().is_some());
    value[50] ^= 1;
    assert!(read_stamp(&value).is_err());
    assert_eq!(read_stamp(b"somebody else's record, long enough to hold a stamp"), Ok(None));
    assert_eq!(read_stamp(b"short"), Ok(None));
    assert!(recipe("--record-size 23", true).is_err());
}
