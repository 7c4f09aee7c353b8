use super::*;

#[test]
fn bytes_are_written_as_everybody_writes_them() {
    let cases =
        [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
    for (bytes, text) in cases {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(&[0xfb, 0xef, 0xff]), "++//");
}

#[test]
fn a_user_is_known_by_the_hash_that_zookeeper_makes() {
    // What ZooKeeper's DigestAuthenticationProvider prints for it.
    assert_eq!(digest("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
    let proved = authenticate("digest", Some(b"super:test"), "10.0.0.1", None).expect("a known scheme");
    assert_eq!(proved, [Identity { scheme: "digest", id: digest("super:test") }]);
    let all =
        authenticate("digest", Some(b"super:test"), "10.0.0.1", Some(&digest("super:test"))).expect("a known scheme");
    assert_eq!(all.iter().map(|identity| identity.scheme).collect::<Vec<_>>(), ["super", "digest"]);
    assert_eq!(
        authenticate("digest", Some(b"super:best"), "10.0.0.1", Some(&digest("super:test"))).expect("known").len(),
        1
    );
    assert!(digest("a:b:c").starts_with("a:") && digest("a").starts_with("a:"));
    assert_ne!(digest("a:b:c"), digest("a:b"));
}

#[test]
fn an_address_is_the_clients_own_and_other_schemes_prove_nothing() {
    let proved = authenticate("ip", Some(b"1.2.3.4"), "10.0.0.1", None).expect("a known scheme");
    assert_eq!(proved[0].as_id(), Id { scheme: "ip", id: "10.0.0.1" });
    for scheme in ["sasl", "x509", "super", "world", "auth", ""] {
        assert_eq!(authenticate(scheme, Some(b"super:test"), "10.0.0.1", None), Err(TreeError::AuthFailed), "{scheme}");
    }
    // Null proves nothing, where something is to be proved.
    assert_eq!(authenticate("ip", None, "10.0.0.1", None), Ok(proved));
    assert_eq!(authenticate("digest", None, "10.0.0.1", None), Err(TreeError::AuthFailed));
    assert!(authenticate("digest", Some(b""), "10.0.0.1", None).is_ok());
}
