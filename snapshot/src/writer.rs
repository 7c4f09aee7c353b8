//! Writes a checkpoint beside the old one and puts it in its place with one rename.
//!
//! Order, each step after the one before is done: remove a left-over, create, write, sync, (wait until the caller
//! allows it), rename, sync the directory, remove the old one. Before the rename's directory sync the old checkpoint
//! is the one that counts.

use crate::format::{self, Sections};
use crate::tags::TAG;
use torc_base::buf::Pool;
use torc_base::ids::{FileId, Tag};
use torc_base::io::{DiskDone, DiskError, DiskKind, DiskOp};

/// Written at once.
const CHUNK: usize = 1 << 20;

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
    bytes: Vec<u8>,
    written: usize,
    step: Step,
    pool: Pool,
    may_publish: bool,
}

impl CheckpointWriter {
    /// Begins checkpoint `number` (the last published one is `number - 1`). `file` is used while this writer lives.
    pub fn begin(number: u64, sections: &Sections, file: FileId, ops: &mut Vec<DiskOp>) -> CheckpointWriter {
        assert!(number > 0);
        let mut writer = CheckpointWriter {
            file,
            number,
            bytes: format::encode(number, sections),
            written: 0,
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
        self.bytes.len()
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

    fn write_chunk(&mut self, ops: &mut Vec<DiskOp>) {
        let end = (self.written + CHUNK).min(self.bytes.len());
        let mut chunk = self.pool.take(end - self.written).expect("one chunk at a time");
        chunk.copy_from_slice(&self.bytes[self.written..end]);
        let at = self.written as u64;
        self.written = end;
        self.emit(ops, DiskKind::Write { file: self.file, at, runs: vec![chunk.freeze().pages()], durable: false });
    }

    /// Takes the completion of this writer's one outstanding operation.
    pub fn on_disk(&mut self, done: DiskDone, ops: &mut Vec<DiskOp>) -> Progress {
        assert_eq!(done.tag, Tag(TAG | self.number), "a completion of another checkpoint");
        let file = self.file;
        match (&self.step, done.result) {
            (Step::RemoveLeftover, Ok(_) | Err(DiskError::NotFound)) => {
                self.step = Step::Create;
                let name = format::temporary(self.number);
                self.emit(ops, DiskKind::Create { file, name, bytes: self.bytes.len() as u64 });
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
            (Step::Write, Ok(_)) if self.written < self.bytes.len() => self.write_chunk(ops),
            (Step::Write, Ok(_)) => {
                self.step = Step::Sync;
                self.emit(ops, DiskKind::Sync { file });
            }
            (Step::Sync, Ok(_)) => {
                self.step = Step::Close;
                self.bytes = Vec::new();
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
