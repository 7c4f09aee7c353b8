//! What logs mean: partitions, producers, the catalog.
