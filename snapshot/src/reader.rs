//! Finds the newest published checkpoint and reads it, every byte verified.

use crate::format::{self, Damage, Header, Section, Sections};
use crate::tags::TAG;
use torc_base::buf::Pool;
use torc_base::crc;
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
    /// The newest checkpoint. A section that was handed on as it came ([`CheckpointReader::take_part`]) is empty.
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
    Body(Box<Body>),
    Close,
    /// Older checkpoints and unfinished ones, left behind by a crash.
    Remove,
    Done,
}

/// What stands behind the header, as far as it was read.
struct Body {
    header: Header,
    read: u64,
    /// Sections that are whole.
    sections: Sections,
    /// Of the one at hand: what came of it, its checksum, and what of it is to be kept.
    came: u64,
    crc: u32,
    bytes: Vec<u8>,
}

impl Body {
    fn new(header: Header) -> Body {
        Body { header, read: 0, sections: Vec::new(), came: 0, crc: crc::crc32c(&[]), bytes: Vec::new() }
    }

    /// Takes what comes next; bytes of the section that is `streamed` go to `part`.
    fn take(&mut self, mut chunk: &[u8], streamed: Option<Section>, part: &mut Vec<u8>) -> Result<(), String> {
        while let Some(line) = self.header.sections.get(self.sections.len()) {
            let mine = (line.bytes - self.came).min(chunk.len() as u64) as usize;
            let (mine, rest) = chunk.split_at(mine);
            (self.came, self.crc) = (self.came + mine.len() as u64, crc::extend(self.crc, mine));
            let kept = if streamed == Some(line.section) { &mut *part } else { &mut self.bytes };
            kept.extend_from_slice(mine);
            self.read += mine.len() as u64;
            chunk = rest;
            if self.came < line.bytes {
                return Ok(());
            }
            if self.crc != line.crc {
                let at = PAGE as u64 + self.read - self.came;
                return Err(format!("section {:?} at byte {at}: the checksum does not match", line.section));
            }
            self.sections.push((line.section, std::mem::take(&mut self.bytes)));
            (self.came, self.crc) = (0, crc::crc32c(&[]));
        }
        self.read += chunk.len() as u64;
        Ok(())
    }
}

/// Reads the newest checkpoint of a shard's directory.
pub struct CheckpointReader {
    file: FileId,
    number: u64,
    step: Step,
    /// The section that is handed on as it comes, and what came of it with the last completion.
    streamed: Option<Section>,
    part: Vec<u8>,
    found: Option<Result<Sections, String>>,
    leftovers: Vec<String>,
    pool: Pool,
}

impl CheckpointReader {
    /// Starts by listing the directory. `file` is used while this reader lives. The section that is `streamed` may be too long to
    /// be in memory as a whole: see [`CheckpointReader::take_part`].
    pub fn begin(file: FileId, streamed: Option<Section>, ops: &mut Vec<DiskOp>) -> CheckpointReader {
        let reader = CheckpointReader {
            file,
            number: 0,
            step: Step::List,
            streamed,
            part: Vec::new(),
            found: None,
            leftovers: Vec::new(),
            pool: Pool::new(2 * CHUNK, 0),
        };
        reader.emit(ops, DiskKind::List);
        reader
    }

    /// What the last completion brought of the section that is streamed. Its checksum is known when all of it was read: before
    /// that nothing that is made of it counts.
    pub fn take_part(&mut self) -> Option<Vec<u8>> {
        (!self.part.is_empty()).then(|| std::mem::take(&mut self.part))
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

    fn next_chunk(&mut self, body: Box<Body>, ops: &mut Vec<DiskOp>) -> Loaded {
        let left = body.header.bytes - body.read;
        if left == 0 {
            return self.finish(Ok(body.sections), ops);
        }
        self.read(PAGE as u64 + body.read, left.min(CHUNK as u64) as usize, ops);
        self.step = Step::Body(body);
        Loaded::Reading
    }

    fn take(&mut self, mut body: Box<Body>, bytes: &[u8], ops: &mut Vec<DiskOp>) -> Loaded {
        match body.take(bytes, self.streamed, &mut self.part) {
            Ok(()) => self.next_chunk(body, ops),
            Err(what) => self.finish(Err(what), ops),
        }
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
                // Sections without bytes may be all that there is.
                Ok(header) => return self.take(Box::new(Body::new(header)), &[], ops),
                Err(what) => return self.finish(Err(what), ops),
            },
            (Step::Body(body), DiskOk::Read { bytes }) => {
                let ends = PAGE as u64 + body.read + bytes.len() as u64;
                let left = body.header.bytes - body.read;
                if bytes.is_empty() || bytes.len() as u64 > left || !bytes.len().is_multiple_of(PAGE) {
                    return self.finish(Err(format!("ends at byte {ends}")), ops);
                }
                return self.take(body, &bytes, ops);
            }
            (Step::Close | Step::Remove, _) => return self.clean_up(ops),
            (_, ok) => unreachable!("{ok:?} does not answer what was asked"),
        }
        Loaded::Reading
    }
}
