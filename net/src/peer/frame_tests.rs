use super::{EntryHead, Frame, GroupMessages, GroupsWriter, PRELUDE, decode};
use torc_base::buf::{Buf, Pool};
use torc_base::crc::crc32c;
use torc_base::ids::{GroupId, Offset};
use torc_base::malformed::Malformed;
use torc_base::prng::Prng;

type Entry = (EntryHead, Vec<u8>);
type Message = (GroupId, Vec<u8>, Vec<Entry>);

fn random_messages(prng: &mut Prng) -> Vec<Message> {
    let random = |prng: &mut Prng, most: u64| {
        let mut bytes = vec![0; prng.below(most) as usize];
        prng.fill(&mut bytes);
        bytes
    };
    let entry = |prng: &mut Prng| {
        let bytes = random(prng, 3000);
        let prefix_len = prng.below(bytes.len().min(60) as u64 + 1) as u8;
        let head = EntryHead {
            kind: prng.below(256) as u8,
            prefix_len,
            records: prng.below(1 << 32) as u32,
            first_offset: Offset(prng.below(1 << 60) as i64 - 1),
            max_timestamp: prng.below(1 << 60) as i64 - 5,
            body_crc: crc32c(&bytes[usize::from(prefix_len)..]),
        };
        (head, bytes)
    };
    let message = |prng: &mut Prng| {
        let entries = (0..prng.below(5)).map(|_| entry(prng)).collect();
        (GroupId(prng.below(u64::MAX)), random(prng, 200), entries)
    };
    (0..prng.below(9)).map(|_| message(prng)).collect()
}

/// The frame behind its length, as it arrives, in one buffer that begins on a page.
fn written(messages: &[Message], pool: &Pool) -> Buf {
    let mut writer = GroupsWriter::default();
    for (group, message, entries) in messages {
        assert!(writer.admits(message.len(), entries.len()));
        writer.message(*group, message, entries.len());
        entries.iter().for_each(|(head, bytes)| writer.entry(*head, of(bytes, pool)));
    }
    assert_eq!(writer.is_empty(), messages.is_empty());
    let len = writer.len();
    let frame: Vec<u8> = writer.finish(pool).iter().flat_map(|part| part.to_vec()).collect();
    assert_eq!(frame.len(), len);
    assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, len - 4);
    of(&frame[4..], pool)
}

fn of(bytes: &[u8], pool: &Pool) -> Buf {
    let mut buf = pool.take(bytes.len()).expect("no limit");
    buf.copy_from_slice(bytes);
    buf.freeze()
}

fn groups(frame: &Buf) -> GroupMessages {
    let Ok(Frame::Groups(groups)) = decode(frame) else { panic!("messages of groups") };
    groups
}

fn read(frame: &Buf) -> Result<Vec<Message>, Malformed> {
    let Frame::Groups(mut groups) = decode(frame)? else { panic!("messages of groups") };
    let mut messages = Vec::new();
    while let Some(said) = groups.next() {
        let mut said = said?;
        let mut entries = Vec::new();
        while let Some(entry) = said.entries.next() {
            let (head, bytes) = entry?;
            entries.push((head, bytes.to_vec()));
        }
        messages.push((said.group, said.message.to_vec(), entries));
    }
    Ok(messages)
}

#[test]
fn messages_and_entries_are_read_as_they_were_written() {
    let pool = Pool::new(usize::MAX, 1 << 20);
    for seed in 0..300 {
        let messages = random_messages(&mut Prng::new(seed));
        assert_eq!(read(&written(&messages, &pool)).unwrap(), messages, "seed {seed}");
    }
}

#[test]
fn entries_leave_from_where_they_are_and_stay_where_they_land() {
    let pool = Pool::new(usize::MAX, 0);
    let block = of(&[7; 100_000], &pool);
    let parts = [block.slice(10..40_000), block.slice(40_000..40_100), block.slice(50_000..100_000)];
    let mut writer = GroupsWriter::default();
    writer.message(GroupId(9), b"three", 3);
    let head = |bytes: &Buf| EntryHead {
        kind: 1,
        prefix_len: 0,
        records: 1,
        first_offset: Offset(0),
        max_timestamp: 0,
        body_crc: crc32c(bytes),
    };
    parts.iter().for_each(|part| writer.entry(head(part), part.clone()));
    let used = pool.used();
    let sent = writer.finish(&pool);
    assert!(pool.used() - used <= 4096, "only the head is new");
    // Neighbours are one part.
    assert_eq!(sent.iter().map(|part| part.len()).collect::<Vec<_>>()[1..], [40_090, 50_000]);
    assert_eq!(sent[1].as_ptr(), parts[0].as_ptr());

    let frame: Vec<u8> = sent.iter().flat_map(|part| part.to_vec()).collect();
    let frame = of(&frame[4..], &pool);
    let used = pool.used();
    let mut entries = groups(&frame).next().unwrap().unwrap().entries;
    assert_eq!((entries.len(), entries.bytes()), (3, 90_090));
    let (_, first) = entries.next().unwrap().unwrap();
    assert!(frame.as_ptr_range().contains(&first.as_ptr()) && pool.used() == used);
}

#[test]
fn whatever_is_damaged_on_the_way_is_noticed() {
    let pool = Pool::new(usize::MAX, 1 << 20);
    let mut noticed = 0;
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        let messages = random_messages(&mut prng);
        let frame = written(&messages, &pool);
        for _ in 0..60 {
            let mut damaged = frame.to_vec();
            match prng.below(3) {
                0 => {
                    let at = prng.below(damaged.len() as u64) as usize;
                    damaged[at] ^= 1 << prng.below(8);
                }
                1 => damaged.truncate(prng.below(damaged.len() as u64) as usize),
                _ => damaged.push(prng.below(256) as u8),
            }
            assert!(read(&of(&damaged, &pool)).is_err(), "seed {seed}");
            noticed += 1;
        }
    }
    assert_eq!(noticed, 2400);
}

#[test]
fn a_head_is_bounded() {
    let mut writer = GroupsWriter::default();
    let mut messages = 0;
    while writer.admits(8 << 10, 0) {
        writer.message(GroupId(1), &[0; 8 << 10], 0);
        messages += 1;
    }
    assert!((100..130).contains(&messages), "{messages}");
    assert!(writer.len() <= 4 + PRELUDE + (1 << 20));
}
