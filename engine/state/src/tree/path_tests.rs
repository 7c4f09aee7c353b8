use super::*;

#[test]
fn paths_of_ordinary_znodes_are_taken() {
    for path in [
        "/",
        "/a",
        "/a/b",
        "/.a",
        "/a.",
        "/a/...",
        "/..a/b..",
        "/a b",
        "/\u{a0}",
        "/ünï/日本",
        "/\u{fdd0}",
        "/\u{ffef}",
    ] {
        assert_eq!(check(path), Ok(()), "{path:?}");
    }
}

#[test]
fn what_is_no_path_is_a_bad_argument() {
    for path in ["", "a", "a/b", "//", "/a/", "/a//b", "//a", "/.", "/..", "/./a", "/a/..", "/a/../b", "/a/.", "/a/./b"]
    {
        assert_eq!(check(path), Err(TreeError::BadArguments), "{path:?}");
    }
}

#[test]
fn characters_that_zookeeper_refuses_are_refused_at_the_borders_of_their_ranges() {
    let refused = [
        '\0',
        '\u{1}',
        '\u{1f}',
        '\u{7f}',
        '\u{9f}',
        '\u{e000}',
        '\u{f8ff}',
        '\u{fff0}',
        '\u{ffff}',
        '\u{10000}',
        '🦀',
    ];
    for c in refused {
        assert_eq!(check(&format!("/a{c}b")), Err(TreeError::BadArguments), "{c:?}");
    }
    for c in [' ', '~', '\u{a0}', '\u{d7ff}', '\u{f900}', '\u{ffef}'] {
        assert_eq!(check(&format!("/a{c}b")), Ok(()), "{c:?}");
    }
}

#[test]
fn a_path_splits_before_its_last_slash() {
    assert_eq!(split("/a"), Some(("", "a")));
    assert_eq!(split("/a/b"), Some(("/a", "b")));
    assert_eq!(split("/a/"), Some(("/a", "")));
    assert_eq!(split("/"), Some(("", "")));
    assert_eq!((split("a"), split(""), split("/a\0/b")), (None, None, None));
    assert_eq!((parent("/a"), parent("/a/b"), parent("/a/b/c")), ("/", "/a", "/a/b"));
}
