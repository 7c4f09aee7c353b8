//! What a disk may give back of bytes that were good.

/// Valid bytes with one byte changed, or anything at all.
pub fn damaged(valid: &[u8], input: &[u8]) -> Vec<u8> {
    let [high, low, change, rest @ ..] = input else { return input.to_vec() };
    if *change == 0 {
        return rest.to_vec();
    }
    let mut bytes = valid.to_vec();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    bytes[at] ^= change;
    bytes
}
