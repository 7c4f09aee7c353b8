//! Finds the newest published checkpoint and reads it, every byte verified.

use crate::format::{self, Damage, Header, Sections};
use crate::tags::TAG;
use torc_base::buf::Pool;
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskKind, DiskOk, DiskOp};
use torc_base::limits::PAGE;

/// Read at once.
const CHUNK: usize = 1 << 20;

/// How reading ended.
#[derive(Debug)]
pub enum Loaded {
    /// More to read; operations were appended.
    Reading,
    /// There is no checkpoint: a first start.
    None,
    /// The newest checkpoint.
    Some { number: u64, sections: Sections },
    /// The newest checkpoint cannot be trusted. An older one would lack what the log has since dropped, so a single
    /// node does not start from it.
    Damaged(Damage),
    /// The disk refuses it.
    Unreadable(Damage),
}

enum Step {
    List,
    Open,
    Header,
    Body(Header),
    Close,
    /// Older checkpoints and unfinished ones, left behind by a crash.
    Remove,
    Done,
}

/// Reads the newest checkpoint of a shard's directory.
pub struct CheckpointReader {
    file: FileId,
    number: u64,
    step: Step,
    body: Vec<u8>,
    found: Option<Result<Sections, String>>,
    leftovers: Vec<String>,
    pool: Pool,
}

impl CheckpointReader {
    /// Starts by listing the directory. `file` is used while this reader lives.
    pub fn begin(file: FileId, ops: &mut Vec<DiskOp>) -> CheckpointReader {
        let reader = CheckpointReader {
            file,
            number: 0,
            step: Step::List,
            body: Vec::new(),
            found: None,
            leftovers: Vec::new(),
            pool: Pool::new(2 * CHUNK, 0),
        };
        reader.emit(ops, DiskKind::List);
        reader
    }

    fn emit(&self, ops: &mut Vec<DiskOp>, kind: DiskKind) {
        ops.push(DiskOp { tag: Tag(TAG), kind });
    }

    fn read(&self, at: u64, bytes: usize, ops: &mut Vec<DiskOp>) {
        let bytes = self.pool.take(bytes).expect("one chunk at a time");
        self.emit(ops, DiskKind::Read { file: self.file, at, bytes });
    }

    fn damaged(&mut self, what: String) -> Loaded {
        self.step = Step::Done;
        Loaded::Damaged(Damage { file: format::name(self.number), what })
    }

    fn finish(&mut self, found: Result<Sections, String>, ops: &mut Vec<DiskOp>) -> Loaded {
        self.found = Some(found);
        self.step = Step::Close;
        self.emit(ops, DiskKind::Close { file: self.file });
        Loaded::Reading
    }

    fn next_chunk(&mut self, header: Header, ops: &mut Vec<DiskOp>) -> Loaded {
        let left = header.bytes - self.body.len() as u64;
        if left == 0 {
            let found = format::decode_body(&header, &self.body);
            return self.finish(found, ops);
        }
        self.read((PAGE + self.body.len()) as u64, left.min(CHUNK as u64) as usize, ops);
        self.step = Step::Body(header);
        Loaded::Reading
    }

    /// Removes what a crash left behind, but nothing when the newest checkpoint is damaged: somebody may want to look.
    fn clean_up(&mut self, ops: &mut Vec<DiskOp>) -> Loaded {
        match self.found.take().expect("set before the close") {
            Err(what) => self.damaged(what),
            Ok(sections) => match self.leftovers.pop() {
                None => Loaded::Some { number: self.number, sections },
                Some(name) => {
                    self.found = Some(Ok(sections));
                    self.step = Step::Remove;
                    self.emit(ops, DiskKind::Remove { name });
                    Loaded::Reading
                }
            },
        }
    }

    /// Takes the completion of this reader's one outstanding operation.
    pub fn on_disk(&mut self, done: DiskDone, ops: &mut Vec<DiskOp>) -> Loaded {
        assert_eq!(done.tag, Tag(TAG), "a completion of somebody else");
        let ok = match done.result {
            Ok(ok) => ok,
            Err(error) => {
                self.step = Step::Done;
                let what = format!("cannot be read: {error}");
                return Loaded::Unreadable(Damage { file: format::name(self.number), what });
            }
        };
        match (std::mem::replace(&mut self.step, Step::Done), ok) {
            (Step::List, DiskOk::Listed(names)) => {
                let newest = names.iter().filter_map(|(name, _)| format::number(name)).max();
                let Some(number) = newest else { return Loaded::None };
                self.number = number;
                let ours = |name: &String| name.starts_with("checkpoint-") && *name != format::name(number);
                self.leftovers = names.into_iter().map(|(name, _)| name).filter(ours).collect();
                self.leftovers.sort_unstable();
                self.step = Step::Open;
                self.emit(ops, DiskKind::Open { file: self.file, name: format::name(number) });
            }
            (Step::Open, _) => {
                self.step = Step::Header;
                self.read(0, PAGE, ops);
            }
            (Step::Header, DiskOk::Read { bytes }) => match format::decode_header(&bytes, self.number) {
                Ok(header) => return self.next_chunk(header, ops),
                Err(what) => return self.finish(Err(what), ops),
            },
            (Step::Body(header), DiskOk::Read { bytes }) => {
                let left = header.bytes - self.body.len() as u64;
                if bytes.is_empty() || bytes.len() as u64 > left {
                    return self.finish(Err(format!("ends at byte {}", PAGE + self.body.len())), ops);
                }
                self.body.extend_from_slice(&bytes);
                if !self.body.len().is_multiple_of(PAGE) {
                    return self.finish(Err(format!("ends at byte {}", PAGE + self.body.len())), ops);
                }
                return self.next_chunk(header, ops);
            }
            (Step::Close | Step::Remove, _) => return self.clean_up(ops),
            (_, ok) => unreachable!("{ok:?} does not answer what was asked"),
        }
        Loaded::Reading
    }
}
