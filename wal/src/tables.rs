//! Batch tables that have been read and checked, for batches that several groups share: a reader of one group after
//! the other need not read and sum them again.

use crate::batch::Header;
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_base::ids::SegmentId;

/// Memory for tables.
const TABLES_BYTES: usize = 8 << 20;

/// A batch's header and descriptors, as they lie on disk, checked.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) header: Header,
    pub(crate) bytes: Box<[u8]>,
}

type Key = (SegmentId, u32);

/// The most recently used tables, by segment and position of the batch.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    known: BTreeMap<Key, (Arc<Table>, u64)>,
    order: BTreeMap<u64, Key>,
    bytes: usize,
    clock: u64,
}

impl Tables {
    pub(crate) fn get(&mut self, segment: SegmentId, batch: u32) -> Option<Arc<Table>> {
        let (table, used) = self.known.get_mut(&(segment, batch))?;
        self.clock += 1;
        self.order.remove(used);
        self.order.insert(self.clock, (segment, batch));
        *used = self.clock;
        Some(Arc::clone(table))
    }

    /// Keeps a checked table; the longest unused go when there is too much.
    pub(crate) fn insert(&mut self, header: Header, bytes: &[u8]) {
        let key = (header.segment, header.position);
        self.remove(key);
        while self.bytes + bytes.len() > TABLES_BYTES {
            let Some((_, &oldest)) = self.order.first_key_value() else { return };
            self.remove(oldest);
        }
        self.clock += 1;
        self.bytes += bytes.len();
        self.order.insert(self.clock, key);
        self.known.insert(key, (Arc::new(Table { header, bytes: bytes.into() }), self.clock));
    }

    fn remove(&mut self, key: Key) {
        if let Some((table, used)) = self.known.remove(&key) {
            self.bytes -= table.bytes.len();
            self.order.remove(&used);
        }
    }

    /// The segment is gone.
    pub(crate) fn forget(&mut self, segment: SegmentId) {
        let keys: Vec<Key> = self.known.range((segment, 0)..=(segment, u32::MAX)).map(|(&key, _)| key).collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }
}
