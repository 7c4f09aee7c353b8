//! CRC32C (Castagnoli), the one checksum of Kafka's record batches and of torc's files.

/// The CRC32C of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    ::crc32c::crc32c(bytes)
}

/// The CRC32C of everything that gave `crc`, followed by `bytes`.
#[inline]
pub fn extend(crc: u32, bytes: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, bytes)
}
