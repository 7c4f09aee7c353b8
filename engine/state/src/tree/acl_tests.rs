use super::*;

const EVERYBODY: Id<'_> = Id { scheme: "world", id: "anyone" };
const ALICE: Id<'_> = Id { scheme: "digest", id: "alice:aGFzaA==" };
const BOB: Id<'_> = Id { scheme: "digest", id: "bob:aGFzaA==" };
const HERE: Id<'_> = Id { scheme: "ip", id: "10.1.2.3" };
const SUPER: Id<'_> = Id { scheme: "super", id: "" };

fn may(id: Id<'_>) -> Acl<'_> {
    Acl { perms: perms::ALL, id }
}

fn ip(id: &str) -> Acl<'_> {
    may(Id { scheme: "ip", id })
}

#[test]
fn somebody_is_let_in_by_an_entry_that_names_them_and_has_the_bit() {
    let list = AclList::new(&[Acl { perms: perms::READ, id: EVERYBODY }, Acl { perms: perms::WRITE, id: ALICE }]);
    assert_eq!(list.allow(perms::READ, &[]), Ok(()));
    assert_eq!(list.allow(perms::WRITE, &[HERE]), Err(TreeError::NoAuth));
    assert_eq!(list.allow(perms::WRITE, &[HERE, ALICE]), Ok(()));
    assert_eq!(list.allow(perms::WRITE, &[BOB]), Err(TreeError::NoAuth));
    assert_eq!(list.allow(perms::ADMIN, &[ALICE]), Err(TreeError::NoAuth));
    assert_eq!(list.allow(perms::ADMIN, &[SUPER]), Ok(()));
    assert_eq!(list.allow(perms::READ | perms::ADMIN, &[]), Ok(()), "any of the bits");
    assert_eq!(AclList::new(&[]).allow(perms::ADMIN, &[]), Ok(()), "an empty list says nothing");
}

#[test]
fn addresses_are_within_nets_of_their_own_kind() {
    let within = |address: &str, net: &str| {
        let list = AclList::new(&[ip(net)]);
        list.allow(perms::READ, &[Id { scheme: "ip", id: address }]).is_ok()
    };
    assert!(within("10.1.2.3", "010.1.02.3") && within("10.1.2.3", "10.1.2.3") && !within("10.1.2.4", "10.1.2.3"));
    assert!(within("10.1.200.3", "10.1.0.0/16") && !within("10.2.0.1", "10.1.0.0/16"));
    assert!(!within("10.1.2.3", "10.1.2.200/25") && within("10.1.2.3", "0.0.0.0/0"));
    assert!(within("fe80::1", "fe80::/10") && !within("10.1.2.3", "::/0") && within("::1", "::/0"));
}

#[test]
fn a_list_that_is_asked_for_is_checked_and_auth_becomes_who_it_is() {
    let resolved = |acls: &[Acl<'_>], ids: &[Id<'_>]| resolve(acls, ids);
    assert_eq!(resolved(&[], &[ALICE]), Err(TreeError::InvalidAcl));
    assert_eq!(resolved(&[may(EVERYBODY), may(EVERYBODY)], &[]), Ok(AclList::world(perms::ALL)));
    let auth = may(Id { scheme: "auth", id: "whatever" });
    assert_eq!(resolved(&[auth], &[HERE]), Err(TreeError::InvalidAcl), "an address proves nothing");
    assert_eq!(resolved(&[auth], &[SUPER]), Err(TreeError::InvalidAcl));
    assert_eq!(resolved(&[auth], &[HERE, ALICE, BOB]), Ok(AclList::new(&[may(ALICE), may(BOB)])));
    for id in ["10.0.0.1/33", "10.0.0", "here", "10.0.0.1/x", "10.0.0.1/-1", "::1/129", ""] {
        assert_eq!(resolved(&[ip(id)], &[]), Err(TreeError::InvalidAcl), "{id}");
    }
    for id in ["10.0.0.1.5", "10.0.0.-1", "256.0.0.1", "10.0.0.", "10..0.1", "::ffff:10.0.0"] {
        assert_eq!(resolved(&[ip(id)], &[]), Err(TreeError::InvalidAcl), "{id}");
    }
    // Zeroes in front do not matter to ZooKeeper.
    for id in ["10.0.0.1/32", "::1/128", "10.0.0.1", "010.0.00.001"] {
        assert_eq!(resolved(&[ip(id)], &[]), Ok(AclList::new(&[ip(id)])), "{id}");
    }
    for (id, right) in
        [("a:b", true), ("a:b:", true), (":b", true), ("a:", false), ("a", false), ("a:b:c", false), ("::", false)]
    {
        let acl = may(Id { scheme: "digest", id });
        assert_eq!(resolved(&[acl], &[]).is_ok(), right, "{id}");
    }
    for (scheme, id) in [("world", "me"), ("super", "x"), ("sasl", "me"), ("", "")] {
        assert_eq!(resolved(&[may(Id { scheme, id })], &[ALICE]), Err(TreeError::InvalidAcl), "{scheme}");
    }
}

#[test]
fn what_auth_becomes_is_bounded() {
    let name = format!("{}:x", "a".repeat(ZNODE_ACL_BYTES_MAX / 8));
    let ids = [Id { scheme: "digest", id: &name }; 10];
    let auth = may(Id { scheme: "auth", id: "" });
    assert_eq!(resolve(&[auth], &ids), Err(TreeError::InvalidAcl));
    assert!(resolve(&[auth], &ids[..7]).is_ok());
}

#[test]
fn a_list_is_kept_once_and_forgotten_with_its_last_znode() {
    let mut table = AclTable::default();
    let (open, own) = (AclList::world(perms::ALL), AclList::new(&[may(ALICE)]));
    let first = table.take(&open);
    assert_eq!(table.take(&open), first);
    let second = table.take(&own);
    assert_ne!(first, second);
    assert_eq!((table.get(first), table.get(second), table.len()), (&open, &own, 2));
    table.give_back(first);
    assert_eq!(table.len(), 2);
    table.give_back(first);
    assert_eq!(table.len(), 1);
    assert_eq!(table.take(&AclList::world(perms::READ)), first, "its number is free");
    table.give_back(first);
    table.give_back(second);
    assert_eq!((table.len(), table.memory()), (0, 0));
}

#[test]
fn the_list_that_most_znodes_have_is_known_by_its_bytes() {
    assert_eq!(AclList::new(&[OPEN]).as_bytes(), OPEN_BYTES);
    let other = AclList::world(perms::ALL & !perms::ADMIN);
    assert_ne!(other.as_bytes(), OPEN_BYTES);
    for perm in [perms::READ, perms::WRITE, perms::CREATE, perms::DELETE, perms::ADMIN, perms::READ | perms::ADMIN] {
        assert_eq!(AclList::new(&[OPEN]).allow(perm, &[]), Ok(()));
        assert_eq!(other.allow(perm, &[]).is_ok(), perm != perms::ADMIN);
    }
}
