//! The simulator: production shards over simulated sectors and packets.
