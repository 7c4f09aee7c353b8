//! Places for znodes, with their names and data. All grow by a little at a time, however many there are: nothing is moved, and no insertion
//! pays for all that were before.

use super::store::Slot;
use super::texts::{self, Texts};
use torc_base::crc::crc32c;

/// No znode.
pub(super) const NONE: u32 = u32::MAX;
/// The root's place.
pub(super) const ROOT: u32 = 0;

/// Places that are allocated together.
const CHUNK: usize = 1024;

/// Znodes by place. A place that is free points to the next one.
#[derive(Clone, Debug)]
pub(super) struct Slab {
    chunks: Vec<Vec<Slot>>,
    texts: Texts,
    free: u32,
    live: usize,
}

impl Slab {
    pub(super) fn new() -> Slab {
        Slab { chunks: Vec::new(), texts: Texts::new(), free: NONE, live: 0 }
    }

    /// Puts a znode at the place that was freed last, or behind all.
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        self.live += 1;
        if self.free != NONE {
            let id = self.free;
            let place = self.get_mut(id);
            let next = place.next;
            *place = slot;
            self.free = next;
            return id;
        }
        let id = self.end();
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("just made").push(slot);
        id
    }

    /// Frees a place. The name and the data are gone.
    pub(super) fn remove(&mut self, id: u32) -> Slot {
        self.live -= 1;
        let free = Slot::free(self.free);
        self.free = id;
        let slot = std::mem::replace(self.get_mut(id), free);
        self.texts.give_back(slot.cell, slot.len());
        slot
    }

    /// Gives a znode that has none yet a name and data.
    pub(super) fn put(&mut self, slot: &mut Slot, name: &str, data: Option<&[u8]>) {
        let bytes = data.unwrap_or_default();
        slot.measure(name.len(), data.map(<[u8]>::len));
        slot.cell = self.texts.take(slot.len());
        let text = self.texts.get_mut(slot.cell, slot.len());
        text[..name.len()].copy_from_slice(name.as_bytes());
        text[name.len()..].copy_from_slice(bytes);
        slot.data_crc = crc32c(bytes);
    }

    /// Its data become others.
    pub(super) fn put_data(&mut self, id: u32, data: Option<&[u8]>) {
        let (bytes, slot) = (data.unwrap_or_default(), &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]);
        let (cell, before, name) = (slot.cell, slot.len(), slot.name_bytes());
        slot.measure(name, data.map(<[u8]>::len));
        slot.data_crc = crc32c(bytes);
        if !texts::fits(before, slot.len()) {
            slot.cell = self.texts.take(slot.len());
            let name = self.texts.get(cell, before)[..name].to_vec();
            self.texts.get_mut(slot.cell, slot.len())[..name.len()].copy_from_slice(&name);
            self.texts.give_back(cell, before);
        }
        self.texts.get_mut(slot.cell, slot.len())[name..].copy_from_slice(bytes);
    }

    fn text(&self, slot: &Slot) -> &[u8] {
        self.texts.get(slot.cell, slot.len())
    }

    /// The name of a znode that stands here.
    pub(super) fn name(&self, slot: &Slot) -> &str {
        std::str::from_utf8(&self.text(slot)[..slot.name_bytes()]).expect("names are text")
    }

    /// True if that is its name.
    pub(super) fn is_called(&self, slot: &Slot, name: &str) -> bool {
        slot.name_bytes() == name.len() && &self.text(slot)[..name.len()] == name.as_bytes()
    }

    /// Its data.
    pub(super) fn data(&self, slot: &Slot) -> Option<&[u8]> {
        slot.has_data().then(|| &self.text(slot)[slot.name_bytes()..])
    }

    pub(super) fn get(&self, id: u32) -> &Slot {
        &self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Slot {
        &mut self.chunks[id as usize / CHUNK][id as usize % CHUNK]
    }

    /// Places that were ever taken, now or before: all ids are below.
    pub(super) fn end(&self) -> u32 {
        self.chunks.last().map_or(0, |last| ((self.chunks.len() - 1) * CHUNK + last.len()) as u32)
    }

    /// Znodes.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Memory of the places, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.chunks.len() * (CHUNK * size_of::<Slot>() + size_of::<Vec<Slot>>())
    }
}
