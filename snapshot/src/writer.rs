//! Writes a checkpoint beside the old one and puts it in its place with one rename.
//!
//! Order, each step after the one before is done: remove a left-over, create, write, sync, (wait until the caller
//! allows it), rename, sync the directory, remove the old one. Before the rename's directory sync the old checkpoint
//! is the one that counts.
//!
//! The file is made a piece at a time, each when the one before is written: a checkpoint may be hundreds of megabytes, and who
//! writes it has other things to do. The header, which has the checksums of all that follows it, is written last.

use crate::format::{self, Line, Sections};
use crate::tags::TAG;
use torc_base::buf::Pool;
use torc_base::crc;
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOp};
use torc_base::limits::PAGE;

/// Written at once: the log's flushes wait behind it.
const CHUNK: usize = 256 << 10;

/// What a completion led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More to do; operations were appended.
    Working,
    /// All is on disk; waits for [`CheckpointWriter::publish`].
    Written,
    /// This checkpoint is the one that recovery will read. The old one is being removed.
    Published,
    /// Nothing is left to do; the writer may go.
    Finished,
    /// The checkpoint was given up; the old one still counts. The log goes on; the caller tries again later.
    Failed(DiskError),
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    RemoveLeftover,
    Create,
    Write,
    Sync,
    Close,
    Waiting,
    Rename,
    SyncDir,
    RemoveOld,
    /// It failed with this error while its file was open; the file is being closed.
    Abandon(DiskError),
    Done,
}

/// One checkpoint on its way to the disk.
pub struct CheckpointWriter {
    file: FileId,
    number: u64,
    /// What each section is, with the checksum of what was written of it.
    lines: Vec<Line>,
    /// The sections; those that are written are empty.
    sections: Sections,
    /// The section at hand, and what was written of it.
    at: (usize, usize),
    /// Bytes behind the header, and those of them that were written.
    body: usize,
    written: usize,
    has_header: bool,
    step: Step,
    pool: Pool,
    may_publish: bool,
}

impl CheckpointWriter {
    /// Begins checkpoint `number` (the last published one is `number - 1`). `file` is used while this writer lives.
    pub fn begin(number: u64, sections: Sections, file: FileId, ops: &mut Vec<DiskOp>) -> CheckpointWriter {
        assert!(number > 0);
        let line = |section, bytes: usize| Line { section, crc: crc::crc32c(&[]), bytes: bytes as u64 };
        let lines: Vec<Line> = sections.iter().map(|(section, bytes)| line(*section, bytes.len())).collect();
        let body: usize = sections.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut writer = CheckpointWriter {
            file,
            number,
            lines,
            sections,
            at: (0, 0),
            body: body.next_multiple_of(PAGE),
            written: 0,
            has_header: false,
            step: Step::RemoveLeftover,
            pool: Pool::new(2 * CHUNK, 0),
            may_publish: false,
        };
        writer.emit(ops, DiskKind::Remove { name: format::temporary(number) });
        writer
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        PAGE + self.body
    }

    /// All that the checkpoint says is durable in the log: it may take the old one's place.
    pub fn publish(&mut self, ops: &mut Vec<DiskOp>) {
        self.may_publish = true;
        if self.step == Step::Waiting {
            self.rename(ops);
        }
    }

    fn emit(&mut self, ops: &mut Vec<DiskOp>, kind: DiskKind) {
        ops.push(DiskOp { tag: Tag(TAG | self.number), kind });
    }

    fn rename(&mut self, ops: &mut Vec<DiskOp>) {
        self.step = Step::Rename;
        let (from, to) = (format::temporary(self.number), format::name(self.number));
        self.emit(ops, DiskKind::Rename { from, to });
    }

    /// Writes what comes next of the sections, or the header behind all of them.
    fn write_chunk(&mut self, ops: &mut Vec<DiskOp>) {
        let len = CHUNK.min(self.body - self.written);
        let (at, chunk) = if len > 0 {
            let mut chunk = self.pool.take(len).expect("one chunk at a time");
            self.fill(&mut chunk);
            (PAGE + self.written, chunk)
        } else {
            let mut header = self.pool.take(PAGE).expect("one chunk at a time");
            header.copy_from_slice(&format::encode_header(self.number, &self.lines, self.body as u64));
            self.has_header = true;
            (0, header)
        };
        self.written += len;
        let at = at as u64;
        self.emit(ops, DiskKind::Write { file: self.file, at, runs: vec![chunk.freeze().pages()], durable: false });
    }

    /// Copies what comes next of the sections, and zeroes behind the last of them.
    fn fill(&mut self, chunk: &mut [u8]) {
        let mut filled = 0;
        while let Some((_, bytes)) = self.sections.get_mut(self.at.0)
            && filled < chunk.len()
        {
            let part = &bytes[self.at.1..];
            let part = &part[..part.len().min(chunk.len() - filled)];
            chunk[filled..filled + part.len()].copy_from_slice(part);
            let line = &mut self.lines[self.at.0];
            line.crc = crc::extend(line.crc, part);
            filled += part.len();
            self.at.1 += part.len();
            if self.at.1 == bytes.len() {
                *bytes = Vec::new();
                self.at = (self.at.0 + 1, 0);
            }
        }
        chunk[filled..].fill(0);
    }

    /// Takes the completion of this writer's one outstanding operation.
    pub fn on_disk(&mut self, done: DiskDone, ops: &mut Vec<DiskOp>) -> Progress {
        assert_eq!(done.tag, Tag(TAG | self.number), "a completion of another checkpoint");
        let file = self.file;
        match (&self.step, done.result) {
            (Step::RemoveLeftover, Ok(_) | Err(DiskError::NotFound)) => {
                self.step = Step::Create;
                let name = format::temporary(self.number);
                self.emit(ops, DiskKind::Create { file, name, bytes: self.bytes() as u64 });
            }
            (Step::RemoveOld, _) => {
                // A checkpoint that could not be removed is found and removed at the next start.
                self.step = Step::Done;
                return Progress::Finished;
            }
            (Step::Write | Step::Sync, Err(error)) => {
                self.step = Step::Abandon(error);
                self.emit(ops, DiskKind::Close { file });
            }
            (Step::Abandon(error), _) => {
                let error = error.clone();
                self.step = Step::Done;
                return Progress::Failed(error);
            }
            (_, Err(error)) => {
                self.step = Step::Done;
                return Progress::Failed(error);
            }
            (Step::Create, Ok(_)) => {
                self.step = Step::Write;
                self.write_chunk(ops);
            }
            (Step::Write, Ok(_)) if !self.has_header => self.write_chunk(ops),
            (Step::Write, Ok(_)) => {
                self.step = Step::Sync;
                self.emit(ops, DiskKind::Sync { file });
            }
            (Step::Sync, Ok(_)) => {
                self.step = Step::Close;
                self.emit(ops, DiskKind::Close { file });
            }
            (Step::Close, Ok(_)) if self.may_publish => self.rename(ops),
            (Step::Close, Ok(_)) => {
                self.step = Step::Waiting;
                return Progress::Written;
            }
            (Step::Rename, Ok(_)) => {
                self.step = Step::SyncDir;
                self.emit(ops, DiskKind::SyncDir);
            }
            (Step::SyncDir, Ok(_)) => {
                self.step = Step::RemoveOld;
                self.emit(ops, DiskKind::Remove { name: format::name(self.number - 1) });
                return Progress::Published;
            }
            (Step::Waiting | Step::Done, Ok(_)) => unreachable!("no operation is outstanding in {:?}", self.step),
        }
        Progress::Working
    }
}
