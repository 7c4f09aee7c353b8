//! Configuration, pinning, start and stop, metrics endpoint.
