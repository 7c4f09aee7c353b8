//! The io_uring loop that carries out a shard's operations.
