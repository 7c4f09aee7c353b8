//! Patterns in RE2's syntax, as the library that matches them has it: what differs between the two is put into other words, and what only
//! the latter knows is refused, so that a pattern means what it means to Apache Kafka.

/// RE2 repeats at most so often.
const REPEATS_MAX: u32 = 1_000;

/// The same pattern in the syntax of the crate `regex`; `None`: RE2 has no such pattern. What is wrong in both is left as it is.
pub(super) fn translated(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '\\' => escape(rest, &mut out),
            '[' => class(rest, &mut out)?,
            '(' => group(rest, &mut out)?,
            '{' => repetition(rest, &mut out)?,
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Some(out)
}

/// `\Q` begins what stands for itself, up to `\E` or the end: what Java's `Pattern.quote` makes of a name.
fn escape(rest: &str, out: &mut String) -> usize {
    if let Some(quoted) = rest.strip_prefix("\\Q") {
        let literal = quoted.split_once("\\E").map_or(quoted, |(literal, _)| literal);
        out.push_str(&regex::escape(literal));
        return rest.len().min(4 + literal.len());
    }
    let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
    out.push_str(&rest[..length]);
    length
}

/// A class has no other classes in it, but those of POSIX, and no operators.
fn class(rest: &str, out: &mut String) -> Option<usize> {
    let mut at = 1;
    out.push('[');
    if rest[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    // The first one stands for itself.
    if rest[at..].starts_with(']') {
        out.push_str("\\]");
        at += 1;
    }
    while let Some(next) = rest[at..].chars().next() {
        let here = &rest[at..];
        at += match next {
            ']' => {
                out.push(']');
                return Some(at + 1);
            }
            '\\' => {
                let length = 1 + here[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&here[..length]);
                length
            }
            '[' if here.starts_with("[:") && here.contains(":]") => {
                let length = here.find(":]")? + 2;
                out.push_str(&here[..length]);
                length
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(next);
                1
            }
            _ => {
                out.push(next);
                next.len_utf8()
            }
        };
    }
    // It does not end, which is wrong in both.
    Some(at)
}

/// Flags that RE2 lacks are refused.
fn group(rest: &str, out: &mut String) -> Option<usize> {
    let Some(flags) = rest.strip_prefix("(?") else {
        out.push('(');
        return Some(1);
    };
    let end = flags.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(flags.len());
    let is_name = flags.starts_with("P<");
    if !is_name && flags[..end].contains(|c: char| !"imsU-".contains(c)) {
        return None;
    }
    out.push_str("(?");
    out.push_str(&flags[..end]);
    Some(2 + end)
}

/// `{2}`, `{2,}` and `{2,5}` repeat; any other brace stands for itself.
fn repetition(rest: &str, out: &mut String) -> Option<usize> {
    let numbers = rest[1..].split_once('}').map(|(numbers, _)| numbers);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let repeats = numbers.filter(|numbers| {
        let (least, most) = numbers.split_once(',').unwrap_or((numbers, ""));
        is_number(least) && (most.is_empty() || is_number(most))
    });
    let Some(repeats) = repeats else {
        out.push_str("\\{");
        return Some(1);
    };
    let fits = |number: &str| number.is_empty() || number.parse::<u32>().is_ok_and(|number| number <= REPEATS_MAX);
    if !repeats.split(',').all(fits) {
        return None;
    }
    out.push_str(&rest[..repeats.len() + 2]);
    Some(repeats.len() + 2)
}

#[cfg(test)]
#[path = "re2_tests.rs"]
mod tests;
