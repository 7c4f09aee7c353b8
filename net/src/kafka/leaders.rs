//! Who leads a partition that a client asked in vain, in the tagged fields of the answer (KIP-951).

use super::wire;

/// The node that leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    pub id: i32,
    pub epoch: i32,
}

/// Where a node is that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: i32,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

/// Tag of the endpoints, in answers to both Produce and Fetch.
const ENDPOINTS: u32 = 0;

/// Appends the tagged fields of a partition: its leader under `tag`, or none.
pub(crate) fn put_leader(out: &mut Vec<u8>, tag: u32, leader: Option<CurrentLeader>) {
    let Some(CurrentLeader { id, epoch }) = leader else { return out.push(0) };
    let mut field = [0; 9];
    field[..4].copy_from_slice(&id.to_be_bytes());
    field[4..8].copy_from_slice(&epoch.to_be_bytes());
    put_tagged(out, tag, &field);
}

/// Appends the tagged fields of an answer: where nodes are, or none.
pub(crate) fn put_endpoints(out: &mut Vec<u8>, endpoints: &[Endpoint]) {
    if endpoints.is_empty() {
        return out.push(0);
    }
    let mut field = Vec::new();
    wire::put_length(&mut field, true, endpoints.len());
    for Endpoint { id, host, port, rack } in endpoints {
        field.extend_from_slice(&id.to_be_bytes());
        wire::put_string(&mut field, true, host);
        field.extend_from_slice(&i32::from(*port).to_be_bytes());
        wire::put_nullable_string(&mut field, true, rack.as_deref());
        field.push(0);
    }
    put_tagged(out, ENDPOINTS, &field);
}

/// Appends one tagged field as all of them.
fn put_tagged(out: &mut Vec<u8>, tag: u32, field: &[u8]) {
    out.push(1);
    wire::put_uvarint(out, tag);
    wire::put_uvarint(out, u32::try_from(field.len()).expect("a field of an answer is short"));
    out.extend_from_slice(field);
}
