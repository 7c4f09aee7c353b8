//! Bytes in hex.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends `bytes`, two digits each.
pub fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// `bytes` as a text.
pub fn text(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    put(&mut out, bytes);
    String::from_utf8(out).expect("digits are ASCII")
}

/// The bytes that digits of either case stand for.
pub fn parse(digits: &[u8]) -> Result<Vec<u8>, &'static str> {
    let digit = |c: u8| (c as char).to_digit(16).map(|digit| digit as u8).ok_or("a hex digit is 0 to 9 or a to f");
    if !digits.len().is_multiple_of(2) {
        return Err("hex digits come in pairs");
    }
    digits.chunks_exact(2).map(|pair| Ok((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}
