//! Internet addresses as the kernel takes them.

use std::net::SocketAddr;

/// A `sockaddr_in` or `sockaddr_in6`.
pub(crate) enum Name {
    V4(libc::sockaddr_in),
    V6(libc::sockaddr_in6),
}

impl Name {
    pub(crate) fn new(address: SocketAddr) -> Name {
        match address {
            SocketAddr::V4(v4) => Name::V4(libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(v6) => Name::V6(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            }),
        }
    }

    /// AF_INET or AF_INET6.
    pub(crate) fn family(&self) -> i32 {
        match self {
            Name::V4(_) => libc::AF_INET,
            Name::V6(_) => libc::AF_INET6,
        }
    }

    /// Where it lies, as long as it is not moved, and its bytes.
    pub(crate) fn as_raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        match self {
            Name::V4(name) => ((&raw const *name).cast(), size_of_val(name) as u32),
            Name::V6(name) => ((&raw const *name).cast(), size_of_val(name) as u32),
        }
    }
}
