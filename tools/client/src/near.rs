//! Names that somebody may have meant.

/// At most this many are offered.
const OFFERED_MAX: usize = 3;

/// Those of `names` that are most like `name`, the nearest first.
pub fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    let lower = name.to_lowercase();
    let mut found: Vec<(usize, &str)> = names.map(|other| (edits(&lower, &other.to_lowercase()), other)).collect();
    found.retain(|(edits, other)| {
        *edits <= allowed || (name.len() >= 3 && (other.contains(name) || name.contains(other)))
    });
    found.sort_unstable();
    found.into_iter().map(|(_, other)| other).take(OFFERED_MAX).collect()
}

/// Letters to be put in, taken out or changed to make `b` of `a` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
