use super::super::acl::{Acl, Id, perms};
use super::super::rig::{SETTINGS, some_path};
use super::*;
use std::collections::BTreeMap;
use torc_base::prng::Prng;

fn made<'a>(data: Option<&'a [u8]>, acl: &'a AclList) -> Made<'a> {
    Made { data, acl, owner: 0, zxid: Zxid(7), time: Wall(70), creates: 1 }
}

#[test]
fn a_znode_of_a_hundred_bytes_with_a_name_of_twenty_takes_less_than_two_hundred_and_twenty() {
    let acl = AclList::world(perms::ALL);
    for znodes in [10_000_usize, 65_536, 150_000] {
        let mut store = Store::new(SETTINGS.secret);
        let parent = store.insert(ROOT, "parent", made(None, &acl));
        let before = store.memory();
        for n in 0..znodes {
            let name = format!("name-{n:015}");
            assert_eq!(name.len(), 20);
            store.insert(parent, &name, made(Some(&[b'x'; 100]), &acl));
        }
        let each = (store.memory() - before) / znodes;
        assert!((200..220).contains(&each), "{each} bytes for each of {znodes}");
        assert_eq!(store.data_bytes, znodes as u64 * 100);
    }
}

#[test]
fn memory_that_was_counted_is_given_back_and_places_are_taken_again() {
    let acl = AclList::new(&[Acl { perms: 1, id: Id { scheme: "ip", id: "10.0.0.1" } }]);
    let mut store = Store::new(SETTINGS.secret);
    // The root keeps what it gets with its first child.
    store.update(ROOT, |root| root.family().creates = 0);
    let (digest, allocated, end) = (store.digest, store.allocated, store.slab.end());
    let mut most = 0;
    for round in 0..3 {
        let ids: Vec<u32> = (0..1000).map(|n| store.insert(ROOT, &format!("{n}"), made(Some(b"data"), &acl))).collect();
        most = most.max(store.slab.end());
        assert_eq!(most, end + 1000, "round {round}");
        for id in ids {
            store.set_data(id, Some(&[0; 500]), 1, Zxid(8), Wall(80));
            store.remove(id, Zxid(0));
        }
        store.update(ROOT, |root| root.family().creates = 0);
        assert_eq!((store.digest, store.allocated, store.data_bytes, store.slab.live()), (digest, allocated, 0, 1));
        assert_eq!(store.acls.len(), 1);
    }
}

#[test]
fn paths_lead_to_what_was_put_there_whatever_is_made_and_removed() {
    for seed in 0..20 {
        let mut prng = Prng::new(seed);
        let acl = AclList::world(perms::ALL);
        let mut store = Store::new((prng.next_u64(), prng.next_u64()));
        let mut model = BTreeMap::from([("/".to_string(), ROOT)]);
        for _ in 0..400 {
            let path = some_path(&mut prng);
            let parent = super::super::path::parent(&path).to_string();
            let below = format!("{path}/");
            match (model.get(&path), model.get(&parent)) {
                (None, Some(parent)) => {
                    let name = path.rsplit_once('/').expect("a path").1;
                    let id = store.insert(*parent, name, made(Some(path.as_bytes()), &acl));
                    model.insert(path, id);
                }
                (Some(id), _) if !model.keys().any(|other| other.starts_with(&below)) => {
                    store.remove(*id, Zxid(9));
                    model.remove(&path);
                }
                _ => {}
            }
            let probe = some_path(&mut prng);
            assert_eq!(store.find(&probe), model.get(&probe).copied(), "seed {seed}: {probe}");
        }
        for (path, id) in &model {
            assert_eq!((store.path(*id), store.find(path)), (path.clone(), Some(*id)), "seed {seed}");
            let children = store.children(*id).count();
            assert_eq!(store.stat(*id).num_children as usize, children, "seed {seed}: {path}");
        }
        let below = std::iter::successors(Some(ROOT), |id| store.next_below(ROOT, *id)).count();
        assert_eq!((below, store.slab.live()), (model.len(), model.len()), "seed {seed}");
    }
}

#[test]
fn what_is_no_path_leads_nowhere() {
    let acl = AclList::world(perms::ALL);
    let mut store = Store::new(SETTINGS.secret);
    let a = store.insert(ROOT, "a", made(None, &acl));
    let b = store.insert(a, "b", made(None, &acl));
    assert_eq!((store.find("/a/b"), store.find(""), store.find("/")), (Some(b), Some(ROOT), Some(ROOT)));
    for path in ["a", "a/b", "//a", "/a/", "/a//b", "/b", "/a/b/", "/a/b/c", "/b/a", "//", "/a\0"] {
        assert_eq!(store.find(path), None, "{path:?}");
    }
}

#[test]
fn null_is_not_the_same_as_no_bytes() {
    let acl = AclList::world(perms::ALL);
    let mut store = Store::new(SETTINGS.secret);
    let id = store.insert(ROOT, "a", made(None, &acl));
    let mut seen = vec![store.digest];
    for data in [Some(&b""[..]), Some(b"x"), None, Some(b"y"), Some(b"z")] {
        store.set_data(id, data, 0, Zxid(7), Wall(70));
        assert_eq!(store.data(id), data);
        assert_eq!(store.name(id), "a");
        seen.push(store.digest);
    }
    assert_eq!(seen[0], seen[3]);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5, "each has a digest of its own");
}

#[test]
fn the_digest_tells_every_field_and_no_order() {
    type Change<'a> = &'a dyn Fn(&mut Store, u32);
    let (open, read) = (AclList::world(perms::ALL), AclList::world(perms::READ));
    let digest = |change: Change<'_>| {
        let mut store = Store::new(SETTINGS.secret);
        let id = store.insert(ROOT, "a", made(Some(b"data"), &open));
        change(&mut store, id);
        store.digest
    };
    let base = digest(&|_, _| {});
    let changes: [Change<'_>; 10] = [
        &|store, id| store.set_data(id, Some(b"date"), 0, Zxid(7), Wall(70)),
        &|store, id| store.set_data(id, Some(b"data"), 1, Zxid(7), Wall(70)),
        &|store, id| store.set_data(id, Some(b"data"), 0, Zxid(8), Wall(70)),
        &|store, id| store.set_data(id, Some(b"data"), 0, Zxid(7), Wall(71)),
        &|store, id| store.set_acl(id, &read, 0),
        &|store, id| store.set_acl(id, &open, 1),
        &|store, id| store.update(id, |slot| slot.czxid = 8),
        &|store, id| store.update(id, |slot| slot.family().pzxid = 8),
        &|store, id| store.update(id, |slot| slot.family().creates = 8),
        &|store, id| store.update(id, |slot| slot.ctime = 8),
    ];
    for (n, change) in changes.iter().enumerate() {
        assert_ne!(digest(change), base, "change {n}");
    }
    let order = |names: [&str; 3]| {
        let mut store = Store::new(SETTINGS.secret);
        let _ = names.map(|name| store.insert(ROOT, name, made(Some(name.as_bytes()), &open)));
        store.digest
    };
    assert_eq!(order(["a", "b", "c"]), order(["c", "a", "b"]));
}

#[test]
fn the_visible_count_of_changes_of_children_counts_creations_and_deletions() {
    let acl = AclList::world(perms::ALL);
    let mut store = Store::new(SETTINGS.secret);
    let mut seen = Vec::new();
    let make =
        |store: &mut Store, name: &str, creates: i32| store.insert(ROOT, name, Made { creates, ..made(None, &acl) });
    let a = make(&mut store, "a", 1);
    seen.push(store.stat(ROOT).cversion);
    make(&mut store, "b", 2);
    seen.push(store.stat(ROOT).cversion);
    store.remove(a, Zxid(9));
    seen.push(store.stat(ROOT).cversion);
    assert_eq!(seen, [1, 2, 3]);
    assert_eq!(store.stat(ROOT).pzxid, Zxid(9));
}
