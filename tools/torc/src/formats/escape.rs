//! Bytes as they are written on a command line.

/// The bytes of `text`, in which `\n`, `\t`, `\r`, `\0`, `\\` and `\xHH` stand for what shells do not pass on easily.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let (byte, length) = match bytes.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'r') => (b'\r', 2),
            Some(b'0') => (0, 2),
            Some(b'\\') => (b'\\', 2),
            Some(b'x') => {
                let digits = text.get(at + 2..at + 4).filter(|digits| !digits.starts_with('+'));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.ok_or("behind \\x there must be two hex digits")?, 4)
            }
            _ => return Err("a \\ must be followed by n, t, r, 0, \\ or xHH".to_string()),
        };
        out.push(byte);
        at += length;
    }
    Ok(out)
}

/// The same for what must have a byte at least.
pub fn delimiter(text: &str) -> Result<Vec<u8>, String> {
    let bytes = unescape(text)?;
    if bytes.is_empty() { Err("it must have a byte at least".to_string()) } else { Ok(bytes) }
}
