//! From an answer to a frame, for all APIs but Produce and Fetch.

use super::schema::ApiVersionsResponse;
use super::schema::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use super::windows::{WINDOWS, api, window};
use super::{error, wire};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use std::fmt;
use torc_base::ids::TopicId;
use uuid::Uuid;

/// The tag of a field that torc adds to a partition of DescribeLogDirs, for tools of its own: in how many ranges of entries (8
/// bytes) this replica was seen to differ from its leader's. It is there when there are any; other clients pass over it.
pub const DIFFERENCES_TAG: i32 = 10_000;

/// An answer that its version cannot express: a field is set that the version does not have, or a string is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    pub api: i16,
    pub version: i16,
    pub what: String,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answer of API {} cannot be sent in version {}: {}", self.api, self.version, self.what)
    }
}

impl std::error::Error for EncodeError {}

/// Appends the whole frame of `response` to `out`, its 4-byte length first. On an error `out` is as it was.
pub fn encode<T: Encodable + HeaderVersion>(
    response: &T,
    api: i16,
    version: i16,
    correlation: i32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let schema_version = window(api).map_or(version, |window| version.min(window.schema_max));
    let flexible = T::header_version(schema_version) >= 1;
    let start = wire::begin_frame(out, correlation, flexible);
    if let Err(error) = response.encode(out, schema_version) {
        out.truncate(start);
        return Err(EncodeError { api, version, what: error.to_string() });
    }
    wire::end_frame(out, start, 0);
    Ok(())
}

/// The feature whose level 1 lets clients choose the consumer protocol (KIP-848).
const GROUP_VERSION: &str = "group.version";
const GROUP_VERSION_MAX: i16 = 1;
/// Versions of ApiVersions: the first with features, and the first that can say that a feature begins at level 0.
const FEATURES: i16 = 3;
const FEATURES_FROM_0: i16 = 4;

/// The answer to ApiVersions of that version: all windows, the features, no error.
pub fn api_versions(version: i16) -> ApiVersionsResponse {
    let versions = WINDOWS.iter().map(|window| {
        ApiVersion::default()
            .with_api_key(window.api)
            .with_min_version(window.advertised_min)
            .with_max_version(window.max)
    });
    let response = ApiVersionsResponse::default().with_api_keys(versions.collect());
    if version < FEATURES {
        return response;
    }
    let name = || StrBytes::from_static_str(GROUP_VERSION);
    let supported = SupportedFeatureKey::default().with_name(name()).with_max_version(GROUP_VERSION_MAX);
    let finalized = FinalizedFeatureKey::default()
        .with_name(name())
        .with_max_version_level(GROUP_VERSION_MAX)
        .with_min_version_level(GROUP_VERSION_MAX);
    // Java clients before 3.9 take a feature that begins at 0 for an error, so it is left out for them, as in Kafka.
    let supported = (version >= FEATURES_FROM_0).then_some(supported);
    response
        .with_supported_features(supported.into_iter().collect())
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
}

/// Appends the answer to an ApiVersions request of an unknown version: error 35 in the layout of version 0, which every
/// client can read, with the versions of ApiVersions to choose from (KIP-511).
pub fn encode_api_versions_refusal(correlation: i32, out: &mut Vec<u8>) {
    let mut response = api_versions(0).with_error_code(error::UNSUPPORTED_VERSION);
    response.api_keys.retain(|versions| versions.api_key == api::API_VERSIONS);
    encode(&response, api::API_VERSIONS, 0, correlation, out).expect("version 0 has these fields");
}

/// The schema crate's form of a topic id.
pub fn topic_uuid(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// torc's form of a topic id.
pub fn topic_id(uuid: Uuid) -> TopicId {
    TopicId(uuid.as_u128())
}
