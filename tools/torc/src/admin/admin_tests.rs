use super::consent::is_meant;
use super::pattern::{is_pattern, matches};

#[test]
fn patterns_match_whole_names() {
    for (pattern, names) in [
        ("ord*", &["ord", "orders", "ord.eu-1"][..]),
        ("*", &["a", "orders"]),
        ("*.eu", &["orders.eu", ".eu", "a.eu.eu"]),
        ("o?ders", &["orders", "o.ders"]),
        ("a*b*c", &["abc", "a-b-c", "abbcbc", "axbxbxc"]),
        ("**", &["", "a"]),
        ("orders", &["orders"]),
    ] {
        for name in names {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }
    for (pattern, name) in [
        ("ord*", "word"),
        ("*.eu", "orders.eu2"),
        ("o?ders", "oders"),
        ("a*b*c", "acb"),
        ("orders", "order"),
        ("", "a"),
    ] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
    assert!(is_pattern("a*") && is_pattern("a?") && !is_pattern("a.b_c-d"));
    // One that would take for ever if every `*` tried everything.
    assert!(!matches(&("a*".repeat(100) + "c"), &format!("{}b", "a".repeat(249))));
}

#[test]
fn only_yes_is_yes() {
    let ask = |answer: &str| {
        let mut asked = Vec::new();
        let meant = is_meant("the plan\n", "Do it?", &mut answer.as_bytes(), &mut asked);
        (meant, String::from_utf8(asked).unwrap())
    };
    for (answer, meant) in
        [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yes please\n", false)]
    {
        assert_eq!(ask(answer), (meant, "the plan\nDo it? [y/N] ".to_string()), "{answer:?}");
    }
}
