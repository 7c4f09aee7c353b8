//! The io_uring loop that carries out a shard's operations: the only crate that talks to the kernel.
//!
//! [`reactor::run`] drives one [`torc_base::io::App`] on one thread with one ring until it asks to exit.
//! [`mail::mesh`] connects the shards of one process, [`probe::probe`] tells at start whether the kernel will do.

pub mod mail;
pub mod places;
pub mod probe;
pub mod reactor;
pub mod resources;
pub mod settings;
pub mod slice;
pub mod stats;

mod accept;
mod address;
mod clock;
mod disk;
mod durably;
mod kernel;
mod provided;
mod ring;
mod sockets;

#[cfg(test)]
mod durably_tests;
#[cfg(test)]
mod mail_tests;
#[cfg(test)]
mod probe_tests;
#[cfg(test)]
mod resources_tests;
#[cfg(test)]
mod slice_tests;
