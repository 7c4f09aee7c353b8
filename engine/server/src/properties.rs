//! The syntax of `server.properties`, as `java.util.Properties` reads it (its documentation of `load` is the specification):
//!
//! - `key=value`, `key:value`, `key value`, with blanks around; a key alone has an empty value;
//! - `#` and `!` begin comments, at the start of a line only;
//! - a line that ends in a backslash goes on in the next one, without that one's indentation;
//! - a backslash takes the meaning from `=`, `:`, blanks, `#`, `!` and itself; `\t`, `\n`, `\r`, `\f`, `\uXXXX`.
//!
//! Java takes the bytes for ISO-8859-1; people write UTF-8. What is valid UTF-8 is read as such, anything else as ISO-8859-1.

/// One `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it begins, from 1.
    pub line: usize,
    /// Without escapes.
    pub key: String,
    /// Without escapes; blanks at its end belong to it.
    pub value: String,
}

/// A line that Java refuses too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// The text of a file: UTF-8 if it is that, else ISO-8859-1, whose bytes are the first 256 characters. A byte-order mark at its
/// start, which some editors write, is no part of it.
pub fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_string(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// All entries of a file, in order. A key may stand there more than once.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<Malformed>) {
    let (mut entries, mut malformed) = (Vec::new(), Vec::new());
    for (line, text) in logical_lines(text) {
        let (key, value) = split(&text);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => entries.push(Entry { line, key, value }),
            (Err(why), _) | (_, Err(why)) => malformed.push(Malformed { line, why }),
        }
    }
    (entries, malformed)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines with their continuations, without comments and empty ones; each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (number, line) in natural_lines(text).enumerate() {
        let line = line.trim_start_matches(is_blank);
        // A backslash alone continues nothing: the next line is as good as a first one.
        let begun = continues && lines.last().is_some_and(|(_, text)| !text.is_empty());
        if !begun && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        if !begun {
            if lines.last().is_some_and(|(_, text)| text.is_empty()) {
                lines.pop();
            }
            lines.push((number + 1, String::new()));
        }
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        continues = backslashes % 2 == 1;
        let (_, whole) = lines.last_mut().expect("pushed when it began");
        whole.push_str(if continues { &line[..line.len() - 1] } else { line });
    }
    if lines.last().is_some_and(|(_, text)| text.is_empty()) {
        lines.pop();
    }
    lines
}

/// Lines that end in `\n`, `\r` or both.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[end..];
        rest = after.strip_prefix("\r\n").or(after.get(1..));
        Some(&text[..end])
    })
}

/// Key and value, both with their escapes. The key ends at the first `=`, `:` or blank without a backslash before it; one `=` or
/// `:` may follow on blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let ends = |c: char| {
        let end = !escaped && (c == '=' || c == ':' || is_blank(c));
        escaped = c == '\\' && !escaped;
        end
    };
    let (key, rest) = line.split_at(line.find(ends).unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

/// What an escaped text stands for. `\uXXXX` are UTF-16: two may make one character.
fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('\\') {
        return Ok(text.to_string());
    }
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        // The end of a file may stand right behind a backslash.
        let escape = if c == '\\' { chars.next() } else { None };
        let c = match escape {
            None if c == '\\' => continue,
            None => c,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\u{c}',
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let sound = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let unit = u16::from_str_radix(&digits, 16).ok().filter(|_| sound);
                units.push(unit.ok_or_else(|| format!("`\\u{digits}` is not \\u and four hexadecimal digits"))?);
                continue;
            }
            Some(other) => other,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "a \\u escape is half of a character".to_string())
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
