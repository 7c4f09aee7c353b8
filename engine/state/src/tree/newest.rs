//! The number of the newest record of each hash, for [`super::overlay`]: open addressing, since all that is asked for looks
//! here several times. Where a hash is looked for follows from a secret, so that nobody can choose names that share a place.

/// Places that there are at least, and that stay when nothing is left.
const PLACES_MIN: usize = 64;

/// A hash, and the number of its newest record; 0: nothing is here.
type Place = (u64, u64);

#[derive(Clone, Debug)]
pub(super) struct Newest {
    secret: (u64, u64),
    /// A power of two of them, at most half of which are taken. What is not at its own place is behind it, before the next
    /// free one.
    places: Vec<Place>,
    len: usize,
}

impl Newest {
    pub(super) fn new(secret: (u64, u64)) -> Newest {
        Newest { secret, places: vec![(0, 0); PLACES_MIN], len: 0 }
    }

    /// The place of its own.
    fn own(&self, hash: u64) -> usize {
        let product = u128::from(hash ^ self.secret.1) * u128::from(self.secret.0 | 1);
        (product as u64 ^ (product >> 64) as u64) as usize & (self.places.len() - 1)
    }

    /// Where a hash is, or would be.
    fn find(&self, hash: u64) -> usize {
        let mut at = self.own(hash);
        while self.places[at].1 != 0 && self.places[at].0 != hash {
            at = (at + 1) & (self.places.len() - 1);
        }
        at
    }

    pub(super) fn get(&self, hash: u64) -> Option<u64> {
        Some(self.places[self.find(hash)].1).filter(|number| *number != 0)
    }

    /// The number that it had before.
    pub(super) fn insert(&mut self, hash: u64, number: u64) -> Option<u64> {
        assert!(number != 0, "numbers begin with 1");
        let at = self.find(hash);
        let (_, before) = std::mem::replace(&mut self.places[at], (hash, number));
        if before != 0 {
            return Some(before);
        }
        self.len += 1;
        if self.len * 2 > self.places.len() {
            self.resize(self.places.len() * 2);
        }
        None
    }

    pub(super) fn remove(&mut self, hash: u64) {
        let mut free = self.find(hash);
        if self.places[free].1 == 0 {
            return;
        }
        self.len -= 1;
        // Those behind it that were kept from a place before move up.
        let mask = self.places.len() - 1;
        let mut at = free;
        loop {
            at = (at + 1) & mask;
            if self.places[at].1 == 0 {
                break;
            }
            let away = at.wrapping_sub(self.own(self.places[at].0)) & mask;
            if away >= at.wrapping_sub(free) & mask {
                self.places[free] = self.places[at];
                free = at;
            }
        }
        self.places[free] = (0, 0);
        if self.len == 0 && self.places.len() > 64 * PLACES_MIN {
            self.resize(PLACES_MIN);
        }
    }

    fn resize(&mut self, places: usize) {
        for (hash, number) in std::mem::replace(&mut self.places, vec![(0, 0); places]) {
            if number != 0 {
                let at = self.find(hash);
                self.places[at] = (hash, number);
            }
        }
    }
}

#[cfg(test)]
#[path = "newest_tests.rs"]
mod tests;
