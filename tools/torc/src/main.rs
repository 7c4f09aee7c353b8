//! The torc binary.

fn main() {}
