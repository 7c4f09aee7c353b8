//! One core's state machine: events in, operations out.
