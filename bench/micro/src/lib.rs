//! What the benches in `benches/hot` step: production code over a disk and a client that cost next to nothing.

pub mod disk;
pub mod log;
pub mod node;
pub mod turns;
