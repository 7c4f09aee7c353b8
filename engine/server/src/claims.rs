//! Which cores the shards of all servers on this machine have taken. Several servers on one machine, as a cluster that is tried out has
//! them, would else sit on the same core: three nodes on two cores did two thirds of what they do when only the first is bound to one.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Cores that are this process' until this is dropped or the process ends, however it ends. A core is claimed by a name in the kernel's
/// abstract namespace, which servers in other network namespaces do not see: they go by what they are allowed to run on.
#[derive(Debug)]
pub struct Claims {
    prefix: String,
    held: Vec<(usize, UnixDatagram)>,
}

/// Where a shard runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Bound to this core, which no other shard has.
    Own(usize),
    /// Bound to this core, which another shard of this server has, too.
    Shared(usize),
    /// Wherever the kernel finds room: another server has the core.
    Anywhere,
}

impl Claim {
    /// The core that it is bound to.
    pub fn core(self) -> Option<usize> {
        match self {
            Claim::Own(core) | Claim::Shared(core) => Some(core),
            Claim::Anywhere => None,
        }
    }
}

impl Claims {
    /// Claims under names that begin with `prefix`: those of other prefixes are not seen.
    pub fn new(prefix: &str) -> Claims {
        Claims { prefix: prefix.to_owned(), held: Vec::new() }
    }

    /// A core for each of `wishes`: the one that is wished for, or, where another server has that, a free one of `others`.
    pub fn take(&mut self, wishes: &[usize], others: &[usize]) -> Vec<Claim> {
        wishes.iter().map(|&wish| self.take_one(wish, others)).collect()
    }

    fn take_one(&mut self, wish: usize, others: &[usize]) -> Claim {
        if self.held.iter().any(|(core, _)| *core == wish) {
            return Claim::Shared(wish);
        }
        for core in std::iter::once(wish).chain(others.iter().copied()) {
            match self.bind(core) {
                Ok(socket) => {
                    self.held.push((core, socket));
                    return Claim::Own(core);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // Nothing is known of others then: as if there were none, but for what only a core of its own allows.
                Err(_) => return Claim::Shared(wish),
            }
        }
        Claim::Anywhere
    }

    fn bind(&self, core: usize) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(format!("{}/core/{core}", self.prefix))?)
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
