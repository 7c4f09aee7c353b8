use crate::properties::{Entry, decode, parse};

/// Line, key and value of each entry; nothing may be malformed.
fn read(text: &str) -> Vec<(usize, String, String)> {
    let (entries, malformed) = parse(text);
    assert!(malformed.is_empty(), "{text:?}: {malformed:?}");
    entries.into_iter().map(|Entry { line, key, value }| (line, key, value)).collect()
}

/// The single entry of a text, on whatever line.
fn one(text: &str) -> (String, String) {
    let entries = read(text);
    assert_eq!(entries.len(), 1, "{text:?}: {entries:?}");
    let (_, key, value) = entries.into_iter().next().unwrap();
    (key, value)
}

#[test]
fn a_key_ends_at_the_first_separator() {
    for text in [
        "k=v",
        "k:v",
        "k v",
        "k\tv",
        "k\u{c}v",
        "k = v",
        "k : v",
        "k  =  v",
        "  k=v",
        "\t\u{c} k=v",
        "k =v",
        "k= v",
        "k\\\n  =v",
    ] {
        assert_eq!(one(text), ("k".into(), "v".into()), "{text:?}");
    }
    // Only one separator is skipped; the others are the value's.
    for (text, value) in
        [("k==v", "=v"), ("k::v", ":v"), ("k = :v", ":v"), ("k=v=w", "v=w"), ("k v = w", "v = w"), ("k=v  ", "v  ")]
    {
        assert_eq!(one(text), ("k".into(), value.into()), "{text:?}");
    }
    for text in ["k", "k=", "k:", "k ", "  k  ", "k\\\n"] {
        assert_eq!(one(text), ("k".into(), String::new()), "{text:?}");
    }
    assert_eq!(one("=v"), (String::new(), "v".into()));
}

#[test]
fn a_backslash_takes_the_meaning_from_what_follows() {
    for (text, key, value) in [
        ("listeners=PLAINTEXT\\://h\\:9092", "listeners", "PLAINTEXT://h:9092"),
        ("a\\=b\\:c\\ d=v", "a=b:c d", "v"),
        ("\\#k=v", "#k", "v"),
        ("\\!k=\\#v", "!k", "#v"),
        ("k=C\\:\\\\data", "k", "C:\\data"),
        ("k\\\\=v", "k\\", "v"),
        ("k=\\q\\\"", "k", "q\""),
        ("k=a\\tb\\nc\\rd\\fe", "k", "a\tb\nc\rd\u{c}e"),
        ("k=\\ v", "k", " v"),
    ] {
        assert_eq!(one(text), (key.into(), value.into()), "{text:?}");
    }
}

#[test]
fn unicode_escapes_are_utf_16() {
    assert_eq!(one("\\u006b=\\u00e9\\u20AC\\uD83D\\uDE00"), ("k".into(), "\u{e9}\u{20ac}\u{1f600}".into()));
    assert_eq!(one("k=\\\\u0041"), ("k".into(), "\\u0041".into()), "an escaped backslash begins no escape");
    for text in ["k=\\u12", "k=\\u12g4", "k=\\u+123", "\\u=v", "k=\\uD83D", "k=\\uDE00\\uD83D"] {
        let (entries, malformed) = parse(&format!("a=1\n{text}\nb=2\n"));
        assert_eq!(malformed.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2], "{text:?}");
        assert_eq!(entries.len(), 2, "{text:?}: the lines around it are read");
    }
}

#[test]
fn comments_and_empty_lines_are_skipped() {
    let text = "# one\n! two\n   # three\n\n \t\u{c}\nk=v # no comment\n#k=\\\nl=w\n";
    let expected = [(6, "k".to_string(), "v # no comment".to_string()), (8, "l".to_string(), "w".to_string())];
    assert_eq!(read(text), expected, "a comment does not go on in the next line");
}

#[test]
fn lines_end_in_any_way() {
    for end in ["\n", "\r", "\r\n"] {
        let text = ["a=1", "", "b=2\\", "  3", "c=4"].join(end);
        let expected =
            [(1, "a", "1"), (3, "b", "23"), (5, "c", "4")].map(|(n, k, v)| (n, k.to_string(), v.to_string()));
        assert_eq!(read(&text), expected, "{end:?}");
    }
}

#[test]
fn a_line_goes_on_behind_an_odd_number_of_backslashes() {
    assert_eq!(one("k=a,\\\n    b,\\\n\t c"), ("k".into(), "a,b,c".into()));
    assert_eq!(one("ke\\\n  y=v"), ("key".into(), "v".into()));
    assert_eq!(one("k=a\\\\\\\nb"), ("k".into(), "a\\b".into()));
    assert_eq!(read("k=a\\\\\nb=c").len(), 2, "an escaped backslash does not");
    // What looks like a comment there is none; an empty line ends it.
    assert_eq!(one("k=a\\\n#b"), ("k".into(), "a#b".into()));
    assert_eq!(read("k=a\\\n\nb=c").len(), 2);
    // With nothing before it, it is.
    assert_eq!(one("\\\n# c\nk=v"), ("k".into(), "v".into()));
    assert_eq!(read("k=a\\").len(), 1, "the file may end there");
    assert_eq!(read("\\").len(), 0);
}

#[test]
fn bytes_are_utf_8_or_else_latin_1() {
    assert_eq!(decode("k=é€".as_bytes()), "k=é€");
    assert_eq!(decode(b"k=\xe9"), "k=é");
    assert_eq!(decode(b"\xef\xbb\xbfk=v"), "k=v");
    assert_eq!(decode(b""), "");
}
