//! Raft (and later ZAB) as step functions without I/O.
