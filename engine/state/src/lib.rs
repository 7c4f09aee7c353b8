//! What logs mean: partitions, producers, retention, topic settings, the catalog. Pure data, no I/O, no wire types.

pub mod codec;
pub mod partition;
pub mod producers;
pub mod retention;
