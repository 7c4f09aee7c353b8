//! The segmented write-ahead log, as a state machine over disk operations.
