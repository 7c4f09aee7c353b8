use crate::format::{self, Section, Sections};
use crate::{CheckpointReader, CheckpointWriter, Loaded, Plan, Progress};
use std::collections::BTreeMap;
use torc_base::ids::FileId;
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;
use torc_base::prng::Prng;

/// Less is expected than comes, or more.
const PLAN: Plan = Plan { expected: 1_000_000, write_bytes: 256 << 10 };

/// A directory that does what it is told, one operation at a time.
#[derive(Default)]
struct Directory {
    files: BTreeMap<String, Vec<u8>>,
    open: BTreeMap<FileId, String>,
    /// Fail the operation when this reaches zero.
    fail_in: Option<usize>,
}

impl Directory {
    fn execute(&mut self, op: DiskOp) -> DiskDone {
        if let Some(left) = &mut self.fail_in {
            if *left == 0 {
                return DiskDone { tag: op.tag, result: Err(DiskError::Io(5)) };
            }
            *left -= 1;
        }
        let result = match op.kind {
            DiskKind::List => Ok(DiskOk::Listed(self.files.iter().map(|(n, b)| (n.clone(), b.len() as u64)).collect())),
            DiskKind::Open { file, name } => {
                let bytes = self.files[&name].len() as u64;
                self.open.insert(file, name);
                Ok(DiskOk::Opened { bytes })
            }
            DiskKind::Create { file, name, bytes } => {
                assert!(self.files.insert(name.clone(), vec![0; bytes as usize]).is_none());
                self.open.insert(file, name);
                Ok(DiskOk::Opened { bytes })
            }
            DiskKind::Close { file } => {
                self.open.remove(&file).expect("open");
                Ok(DiskOk::Done)
            }
            DiskKind::Write { file, at, runs, .. } => {
                let content = self.files.get_mut(&self.open[&file]).expect("exists");
                let mut at = at as usize;
                for run in runs {
                    let end = at + run.len();
                    content.resize(content.len().max(end), 0);
                    run.copy_into(&mut content[at..end]);
                    at = end;
                }
                Ok(DiskOk::Done)
            }
            DiskKind::Read { file, at, mut bytes } => {
                let content = &self.files[&self.open[&file]];
                let at = (at as usize).min(content.len());
                let end = (at + bytes.len()).min(content.len());
                bytes.truncate(end - at);
                bytes.copy_from_slice(&content[at..end]);
                Ok(DiskOk::Read { bytes })
            }
            DiskKind::Rename { from, to } => {
                let content = self.files.remove(&from).expect("exists");
                self.files.insert(to, content);
                Ok(DiskOk::Done)
            }
            DiskKind::Remove { name } => self.files.remove(&name).map(|_| DiskOk::Done).ok_or(DiskError::NotFound),
            DiskKind::Sync { .. } | DiskKind::SyncDir => Ok(DiskOk::Done),
            DiskKind::Free => Ok(DiskOk::Free { free: 0, total: 0 }),
        };
        DiskDone { tag: op.tag, result }
    }

    fn write(&mut self, number: u64, sections: &Sections) -> Vec<Progress> {
        let mut ops = Vec::new();
        let mut writer = CheckpointWriter::begin(number, PLAN, FileId(1), &mut ops);
        let mut seen = Vec::new();
        let mut pieces = pieces(sections);
        loop {
            while writer.has_room() {
                match pieces.next() {
                    Some(Piece::Section(section)) => writer.section(section),
                    Some(Piece::Bytes(bytes)) => writer.put(bytes, &mut ops),
                    None => writer.end(&mut ops),
                }
            }
            assert!(ops.len() <= 1);
            let Some(op) = ops.pop() else { break };
            let done = self.execute(op);
            let progress = writer.on_disk(done, &mut ops);
            match &progress {
                Progress::Working => continue,
                Progress::Written => writer.publish(&mut ops),
                _ => {}
            }
            seen.push(progress);
        }
        seen
    }

    fn read(&mut self) -> Loaded {
        self.read_with(None).0
    }

    /// Reads, and what came of the section that is streamed.
    fn read_with(&mut self, streamed: Option<Section>) -> (Loaded, Vec<u8>) {
        let (mut ops, mut streamed_bytes) = (Vec::new(), Vec::new());
        let mut reader = CheckpointReader::begin(FileId(1), streamed, &mut ops);
        loop {
            let done = self.execute(ops.pop().expect("an operation while reading"));
            let loaded = reader.on_disk(done, &mut ops);
            while let Some(part) = reader.take_part() {
                assert!(part.len() <= 1 << 20);
                streamed_bytes.extend(part);
            }
            match loaded {
                Loaded::Reading => {}
                end => return (end, streamed_bytes),
            }
        }
    }
}

enum Piece {
    Section(Section),
    Bytes(Vec<u8>),
}

/// Sections as a writer takes them, in pieces of about 30,000 bytes.
fn pieces(sections: &Sections) -> impl Iterator<Item = Piece> + use<'_> {
    sections.iter().flat_map(|(section, bytes)| {
        let pieces = bytes.chunks(29_989).map(|piece| Piece::Bytes(piece.to_vec()));
        std::iter::once(Piece::Section(*section)).chain(pieces)
    })
}

fn sections(seed: u64) -> Sections {
    let mut prng = Prng::new(seed);
    [*b"WAL ", *b"GRPS", *b"CATL"]
        .into_iter()
        .map(|name| {
            let mut bytes = vec![0; prng.below(3 << 20) as usize];
            prng.fill(&mut bytes);
            (Section(name), bytes)
        })
        .collect()
}

#[test]
fn what_was_published_is_read_back_and_replaces_the_one_before() {
    let mut directory = Directory::default();
    assert!(matches!(directory.read(), Loaded::None));
    for number in 1..4 {
        let seen = directory.write(number, &sections(number));
        assert_eq!(seen, [Progress::Written, Progress::Published, Progress::Finished]);
        assert_eq!(directory.files.len(), 1, "the old one is gone");
        match directory.read() {
            Loaded::Some { number: n, sections: read } => assert!(n == number && read == sections(number)),
            other => panic!("{other:?}"),
        }
        assert!(directory.open.is_empty());
    }
}

#[test]
fn an_error_at_any_step_leaves_a_checkpoint_that_can_be_read() {
    let mut failures = 0;
    for step in 0.. {
        let mut directory = Directory::default();
        directory.write(1, &sections(1));
        directory.fail_in = Some(step);
        let seen = directory.write(2, &sections(2));
        directory.fail_in = None;
        directory.open.clear();
        let Loaded::Some { number, sections: read } = directory.read() else { panic!("nothing to read") };
        assert!(read == sections(number));
        if seen.contains(&Progress::Published) {
            assert_eq!(number, 2);
        }
        match seen.last() {
            Some(Progress::Failed(_)) => failures += 1,
            _ => break,
        }
        // The next attempt meets what the failed one left behind.
        let number = number + 1;
        assert_eq!(directory.write(number, &sections(3)).last(), Some(&Progress::Finished));
    }
    assert!(failures >= 8, "each step failed once: {failures}");
}

#[test]
fn every_damaged_byte_is_noticed() {
    let mut directory = Directory::default();
    let content: Sections = vec![(Section(*b"ABCD"), vec![7; 5000]), (Section(*b"EFGH"), b"text".to_vec())];
    directory.write(9, &content);
    let file = format::name(9);
    let clean = directory.files[&file].clone();
    let used = PAGE + 5004;
    for at in (0..64).chain((64..used).step_by(37)).chain([PAGE - 1, used - 1]) {
        directory.files.get_mut(&file).unwrap()[at] ^= 0x10;
        match directory.read() {
            Loaded::Damaged(damage) => assert!(damage.to_string().contains(&file)),
            other => panic!("byte {at}: {other:?}"),
        }
        directory.files.insert(file.clone(), clean.clone());
    }
    for length in [0, 100, PAGE, PAGE + 100, 2 * PAGE] {
        directory.files.insert(file.clone(), clean[..length].to_vec());
        assert!(matches!(directory.read(), Loaded::Damaged(_)), "cut to {length}");
    }
}

#[test]
fn what_a_crash_left_behind_is_removed_at_the_next_start() {
    let mut directory = Directory::default();
    directory.write(5, &sections(5));
    directory.files.insert(format::name(4), b"old".to_vec());
    directory.files.insert(format::temporary(6), b"unfinished".to_vec());
    directory.files.insert("wal-000001".into(), b"not ours".to_vec());
    assert!(matches!(directory.read(), Loaded::Some { number: 5, .. }));
    assert_eq!(directory.files.keys().collect::<Vec<_>>(), [&format::name(5), "wal-000001"]);
}

#[test]
fn a_section_that_is_streamed_comes_as_it_was_written_and_is_not_kept() {
    let mut directory = Directory::default();
    let mut content = sections(7);
    content.insert(1, (Section(*b"NONE"), Vec::new()));
    directory.write(1, &content);
    for (place, (section, bytes)) in content.iter().enumerate() {
        let (loaded, streamed) = directory.read_with(Some(*section));
        let Loaded::Some { sections: mut read, .. } = loaded else { panic!("{loaded:?}") };
        assert!(streamed == *bytes && read[place].1.is_empty());
        read[place].1 = streamed;
        assert!(read == content);
    }
    let file = directory.files.get_mut(&format::name(1)).unwrap();
    file[PAGE + 10] ^= 1;
    let (loaded, _) = directory.read_with(Some(content[0].0));
    assert!(matches!(loaded, Loaded::Damaged(_)), "what was streamed does not count");
}

#[test]
fn one_that_is_given_up_at_any_step_leaves_the_one_before_and_its_number_to_the_next() {
    let mut given_up = 0;
    for step in 0.. {
        let mut directory = Directory::default();
        directory.write(1, &sections(1));
        let mut ops = Vec::new();
        let mut writer = CheckpointWriter::begin(2, PLAN, FileId(1), &mut ops);
        writer.section(Section(*b"TREE"));
        let mut end = None;
        for at in 0..step {
            // Now and then nothing is under way, since too little has come.
            if writer.has_room() && at % 3 == 0 {
                writer.put(vec![1; 100_000], &mut ops);
            }
            if let Some(op) = ops.pop() {
                let done = directory.execute(op);
                assert_eq!(writer.on_disk(done, &mut ops), Progress::Working);
            }
        }
        writer.give_up(&mut ops);
        assert!(!writer.has_room());
        while let Some(op) = ops.pop() {
            let done = directory.execute(op);
            end = Some(writer.on_disk(done, &mut ops));
        }
        assert_eq!(end, Some(Progress::GivenUp), "at step {step}");
        assert!(directory.open.is_empty());
        given_up += 1;
        assert_eq!(directory.write(2, &sections(2)).last(), Some(&Progress::Finished));
        assert!(matches!(directory.read(), Loaded::Some { number: 2, .. }));
        if step == 40 {
            break;
        }
    }
    assert_eq!(given_up, 41);
}
