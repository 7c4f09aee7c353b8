//! Patterns of names, with `*` (any text) and `?` (any character).

/// What is to become of a pattern that no name matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// The answer is "none".
    Empty,
    /// Whoever wants to do something with what it names has mistyped it.
    Refused,
}

/// True if `text` stands for the names that match it, and for none itself.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// True if the whole `name` is what `pattern` says.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and as far as it has taken text: taking more of it is all that a mismatch can lead to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
