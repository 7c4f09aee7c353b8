use super::super::subscription::compile;
use super::translated;

/// What Apache Kafka's library (re2j 1.8) says of a pattern and a name.
const JUDGED: &[(&str, &str, Option<bool>)] = &[
    (r"orders-.*", "orders-eu", Some(true)),
    (r"\Qa.b\E", "a.b", Some(true)),
    (r"\Qa.b\E", "axb", Some(false)),
    (r"\Qa.b\E.*", "a.b-1", Some(true)),
    (r"x\Q[", "x[", Some(true)),
    (r"\Q\E", "", Some(true)),
    (r"\Qa\b\E", r"a\b", Some(true)),
    (r"a{1000}", "a", Some(false)),
    (r"a{1001}", "a", None),
    (r"a{2,1001}", "a", None),
    (r"a{99999999999}", "a", None),
    (r"a{2,3}", "aaa", Some(true)),
    (r"a{2,}", "aaaa", Some(true)),
    (r"a{,2}", "a{,2}", Some(true)),
    (r"a{,2}", "aa", Some(false)),
    (r"a{x}", "a{x}", Some(true)),
    (r"a{", "a{", Some(true)),
    (r"[a&&b]", "&", Some(true)),
    (r"[a&&b]", "a", Some(true)),
    (r"[a~~b]", "~", Some(true)),
    (r"[[a]", "[", Some(true)),
    (r"[]a]", "]", Some(true)),
    (r"[^]a]", "]", Some(false)),
    (r"[[:alpha:]_]+", "ab_", Some(true)),
    (r"[\d.]+", "1.2", Some(true)),
    (r"(?i)ORDERS", "orders", Some(true)),
    (r"(?i:A)b", "ab", Some(true)),
    (r"(?-s)a.b", "axb", Some(true)),
    (r"(?P<name>a)", "a", Some(true)),
    (r"(?x)a b", "ab", None),
    (r"(?u)a", "a", None),
    (r"(?:a|b)+", "abab", Some(true)),
    (r"(?=a)", "a", None),
    (r"(a)\1", "aa", None),
    (r"(", "(", None),
    (r"[a", "a", None),
    (r"a)|(b", "a", None),
    (r"*", "*", None),
];

#[test]
fn patterns_mean_what_they_mean_to_kafka() {
    for (pattern, name, judged) in JUDGED {
        let found = compile(pattern).ok().map(|regex| regex.is_match(name.as_bytes()));
        assert_eq!(found, *judged, "{pattern:?} on {name:?}, which is {:?} here", translated(pattern));
    }
}

#[test]
fn any_pattern_is_translated_without_a_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Some(pattern) = std::str::from_utf8(bytes).ok().and_then(translated) {
            assert!(pattern.len() <= 4 * bytes.len());
        }
    });
}
