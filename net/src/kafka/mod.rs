//! Kafka's protocol, the server's side: a frame becomes a [`Request`], an answer becomes a frame.
//!
//! Produce and Fetch are written by hand, so that record bytes are never copied, and so are two requests of versions that
//! the `kafka-protocol` crate does not have (`offsets_by_id`). The other requests are decoded by the
//! `kafka-protocol` crate, but only after the module `guard` has walked them: that crate trusts the lengths it reads.

pub mod error;
pub mod fetch;
pub mod group_records;
pub mod offsets_by_id;
pub mod produce;
pub mod records;

mod guard;
mod leaders;
mod list_writer;
mod metadata_writer;
mod nested_writer;
mod request;
mod response;
mod shapes;
mod windows;
mod wire;

pub use kafka_protocol::messages as schema;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
pub use leaders::{CurrentLeader, Endpoint};
pub use list_writer::ListWriter;
pub use metadata_writer::MetadataWriter;
pub use nested_writer::{Behind, NestedWriter};
pub use request::{Bad, CONTROL_BYTES_MAX, Header, Request, decode};
pub use response::{
    DIFFERENCES_TAG, EncodeError, api_versions, encode, encode_api_versions_refusal, topic_id, topic_uuid,
};
pub use uuid::Uuid;
pub use windows::{ApiWindow, WINDOWS, api, api_name, window};
