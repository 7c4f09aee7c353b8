//! Checkpoints: written and published atomically, verified on read.
