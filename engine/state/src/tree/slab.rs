//! Places for znodes, with their names and data, and how one is found by its parent and name. All grow by a little at a time, however many there
//! are: nothing is moved, and no insertion pays for all that were before.

use super::store::Slot;
use super::texts::{self, Texts};
use torc_base::crc::crc32c;

/// No znode.
pub(super) const NONE: u32 = u32::MAX;
/// The root's place.
pub(super) const ROOT: u32 = 0;

/// Places that are allocated together, and heads of chains.
const CHUNK: usize = 1024;

/// Znodes by place. A place that is free points to the next one by its chain.
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
            let next = place.chain;
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

/// Znodes by what stands for their path: linear hashing (Litwin 1980) over chains that run through the znodes. One chain is
/// split with each insertion that finds as many chains as znodes. The places of chains follow from a secret, so that nobody
/// can choose names that all share one.
#[derive(Clone, Debug)]
pub(super) struct Index {
    secret: (u64, u64),
    heads: Vec<Vec<u32>>,
    /// Chains; those from here on are still to be split, up to the power of two below.
    count: u32,
}

impl Index {
    pub(super) fn new(secret: (u64, u64)) -> Index {
        Index { secret, heads: vec![fresh_heads()], count: 1 }
    }

    /// The chain of a path.
    fn chain(&self, path_hash: u64) -> u32 {
        let product = u128::from(path_hash ^ self.secret.0) * u128::from(self.secret.1 | 1);
        let mixed = product as u64 ^ (product >> 64) as u64;
        let next = self.count.next_power_of_two();
        let chain = mixed as u32 & (next - 1);
        if chain < self.count { chain } else { chain - next / 2 }
    }

    fn head(&self, chain: u32) -> u32 {
        self.heads[chain as usize / CHUNK][chain as usize % CHUNK]
    }

    fn head_mut(&mut self, chain: u32) -> &mut u32 {
        &mut self.heads[chain as usize / CHUNK][chain as usize % CHUNK]
    }

    /// The first znode of this hash for which `is_it` holds.
    pub(super) fn find(&self, slab: &Slab, path_hash: u64, is_it: impl Fn(&Slot) -> bool) -> Option<u32> {
        let mut id = self.head(self.chain(path_hash));
        while id != NONE {
            let slot = slab.get(id);
            if slot.path_hash == path_hash && is_it(slot) {
                return Some(id);
            }
            id = slot.chain;
        }
        None
    }

    /// Adds a znode that stands in the slab.
    pub(super) fn insert(&mut self, slab: &mut Slab, id: u32) {
        if slab.live() > self.count as usize {
            self.split(slab);
        }
        self.link(slab, id);
    }

    /// Takes a znode out that is still in the slab.
    pub(super) fn remove(&mut self, slab: &mut Slab, id: u32) {
        let Slot { path_hash, chain: next, .. } = *slab.get(id);
        let chain = self.chain(path_hash);
        let mut at = self.head(chain);
        if at == id {
            *self.head_mut(chain) = next;
            return;
        }
        while slab.get(at).chain != id {
            at = slab.get(at).chain;
        }
        slab.get_mut(at).chain = next;
    }

    fn link(&mut self, slab: &mut Slab, id: u32) {
        let chain = self.chain(slab.get(id).path_hash);
        let head = self.head_mut(chain);
        slab.get_mut(id).chain = *head;
        *head = id;
    }

    fn split(&mut self, slab: &mut Slab) {
        let from = self.count - (self.count + 1).next_power_of_two() / 2;
        if self.count as usize == self.heads.len() * CHUNK {
            self.heads.push(fresh_heads());
        }
        self.count += 1;
        let mut id = std::mem::replace(self.head_mut(from), NONE);
        while id != NONE {
            let next = slab.get(id).chain;
            self.link(slab, id);
            id = next;
        }
    }

    /// How many chains there are of each length.
    #[cfg(test)]
    pub(super) fn lengths(&self, slab: &Slab) -> Vec<usize> {
        let mut lengths = Vec::new();
        for chain in 0..self.count {
            let first = self.head(chain);
            let next = |id: &u32| Some(slab.get(*id).chain).filter(|next| *next != NONE);
            let len = std::iter::successors((first != NONE).then_some(first), next).count();
            lengths.resize(lengths.len().max(len + 1), 0);
            lengths[len] += 1;
        }
        lengths
    }

    /// Memory, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.heads.len() * (CHUNK * size_of::<u32>() + size_of::<Vec<u32>>())
    }
}

fn fresh_heads() -> Vec<u32> {
    vec![NONE; CHUNK]
}
