use super::super::Change;
use super::super::rig::{Rig, SETTINGS, contents, create, create_as, some_path};
use super::*;
use torc_base::prng::Prng;
use torc_base::time::Wall;

fn load(pieces: &[Vec<u8>]) -> Result<Tree, DecodeError> {
    let mut loader = Loader::new(TreeSettings { secret: (1, 2), ..SETTINGS });
    let mut is_end = false;
    for piece in pieces {
        assert!(!is_end);
        is_end = loader.piece(piece)?;
    }
    loader.finish()
}

fn take(rig: &mut Rig) -> Vec<Vec<u8>> {
    rig.tree.begin_snapshot(Taker::Checkpoint);
    std::iter::from_fn(|| rig.tree.next_piece(Taker::Checkpoint)).collect()
}

fn filled() -> Rig {
    let mut rig = Rig::new();
    let session = rig.session();
    rig.does(create_as("/a", 0, b"data")).expect("a good request");
    rig.does_as(&Rig::asker(session), create_as("/a/e", 3, b"")).expect("a good request");
    rig.does(create_as("/a/c", 4, b"")).expect("a good request");
    rig.does(create("/zookeeper/quota/a")).expect("a good request");
    rig.does(create_as("/zookeeper/quota/a/zookeeper_limits", 0, b"count=9")).expect("a good request");
    rig.does(create("/zookeeper/quota/a/zookeeper_stats")).expect("a good request");
    rig
}

fn random_change(rig: &mut Rig, prng: &mut Prng, session: i64) {
    let path = some_path(prng);
    let data = vec![b'd'; prng.below(40) as usize];
    let flags = [0, 1, 2, 3, 4][prng.below(5) as usize];
    let change = match prng.below(5) {
        0 | 1 => super::super::rig::create_as(&path, flags, &data),
        2 => Change::Delete(&path, -1),
        _ => Change::SetData(&path, (prng.below(5) > 0).then_some(&data), -1),
    };
    let _ = rig.does_as(&Rig::asker(session), change);
}

#[test]
fn a_tree_comes_out_of_its_snapshot_and_goes_on_alike() {
    let mut rig = filled();
    let pieces = take(&mut rig);
    let tree = load(&pieces).expect("just taken");
    assert_eq!((tree.applied(), tree.zxid(), tree.digest()), (rig.tree.applied(), rig.tree.zxid(), rig.tree.digest()));
    assert_eq!(contents(&tree), contents(&rig.tree));
    assert!(tree.sessions().eq(rig.tree.sessions()));
    let mut other = Rig { tree, ..rig.clone() };
    for rig in [&mut rig, &mut other] {
        rig.does(create_as("/a/b", 2, b"more")).expect("a good request");
        rig.does(create("/a/c/x")).expect("a good request");
        rig.does(Change::Delete("/a/c/x", -1)).expect("a good request");
        assert_eq!(rig.tree.due(Wall(0), 9), ["/a/c"]);
    }
    assert_eq!(contents(&other.tree), contents(&rig.tree));
    assert_eq!(other.tree.digest(), rig.tree.digest());
    assert!(rig.tree.next_piece(Taker::Checkpoint).is_none());
}

#[test]
fn a_snapshot_is_of_the_moment_when_it_began_whatever_is_written_meanwhile() {
    for seed in 0..30 {
        let mut prng = Prng::new(seed);
        let mut rig = Rig::new();
        let session = rig.session();
        for _ in 0..prng.between(0, 200) {
            random_change(&mut rig, &mut prng, session);
        }
        let (before, digest) = (contents(&rig.tree), rig.tree.digest());
        let at = rig.tree.applied();
        rig.tree.begin_snapshot(Taker::Checkpoint);
        let mut pieces = Vec::new();
        loop {
            for _ in 0..prng.below(60) {
                random_change(&mut rig, &mut prng, session);
            }
            match rig.tree.next_piece(Taker::Checkpoint) {
                Some(piece) => pieces.push(piece),
                None => break,
            }
        }
        let tree = load(&pieces).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!((contents(&tree), tree.digest(), tree.applied()), (before, digest, at), "seed {seed}");
        // The log behind it leads to the same state.
        let mut other = Rig { tree, ..rig.clone() };
        for (n, txn) in rig.log.iter().enumerate().skip(at.get() as usize) {
            other.tree.append(Index(n as u64 + 1), txn.clone());
        }
        other.apply_all();
        assert_eq!(
            (contents(&other.tree), other.tree.digest()),
            (contents(&rig.tree), rig.tree.digest()),
            "seed {seed}"
        );
    }
}

#[test]
fn pieces_are_bounded_and_what_changes_waits_in_sight() {
    let mut rig = Rig::new();
    let data = vec![7; 10_000];
    for n in 0..100 {
        rig.does(create_as(&format!("/n{n}"), 0, &data)).expect("a good request");
    }
    rig.tree.begin_snapshot(Taker::Checkpoint);
    rig.does(Change::SetData("/n50", Some(b"other"), -1)).expect("a good request");
    rig.does(Change::SetData("/n50", Some(b"third"), -1)).expect("a good request");
    let waiting = rig.tree.snapshot_waiting(Taker::Checkpoint);
    assert!((10_000..10_200).contains(&waiting), "{waiting}: once");
    let pieces: Vec<Vec<u8>> = std::iter::from_fn(|| rig.tree.next_piece(Taker::Checkpoint)).collect();
    assert!(pieces.len() >= 5 && pieces.iter().all(|piece| piece.len() < TREE_PIECE_BYTES + 11_000));
    let tree = load(&pieces).expect("just taken");
    assert_eq!(tree.data("/n50", &[]).expect("it is there").0, Some(&data[..]));
    rig.tree.begin_snapshot(Taker::Checkpoint);
    rig.tree.abandon_snapshot(Taker::Checkpoint);
    assert!(rig.tree.next_piece(Taker::Checkpoint).is_none());
}

#[test]
fn a_snapshot_that_is_damaged_or_not_whole_is_no_tree() {
    let mut rig = filled();
    let pieces = take(&mut rig);
    assert_eq!(pieces.len(), 4);
    for n in 0..pieces.len() - 1 {
        let mut fewer = pieces.clone();
        fewer.remove(n);
        assert!(load(&fewer).is_err(), "without piece {n}");
        let mut twice = pieces.clone();
        twice.insert(n, pieces[n].clone());
        assert!(load(&twice).is_err(), "piece {n} twice");
    }
    for (n, piece) in pieces.iter().enumerate() {
        for at in 0..piece.len() {
            for flip in [1, 0x80] {
                let mut damaged = pieces.clone();
                damaged[n][at] ^= flip;
                if let Ok(tree) = load(&damaged) {
                    // Which entry it is of is not what the digest tells; the log that follows does.
                    assert_eq!(tree.digest(), rig.tree.digest(), "piece {n}, byte {at}");
                    assert_eq!(contents(&tree), contents(&rig.tree), "piece {n}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn znodes_that_hang_on_themselves_are_no_tree() {
    let open = AclList::world(perms::ALL);
    let mut slab = Slab::new();
    let mut slot = |parent: u32, name: &str| {
        let mut slot = Slot::free(NONE);
        slot.parent = parent;
        slab.put(&mut slot, name, None);
        (slot, slab.clone())
    };
    let mut tree = |znodes: &[(u32, u32, &str)]| {
        let mut piece = vec![ZNODES];
        for (id, parent, name) in znodes {
            let (slot, slab) = slot(*parent, name);
            encode(&mut piece, *id, &slab, &slot, &open, &open);
        }
        let mut head = vec![HEAD, VERSION, 0, 0];
        put_u64(&mut head, znodes.len() as u64);
        head.extend([0; 9]);
        load(&[head, piece, vec![END]]).expect_err("no tree").what
    };
    let digest = "the digest of a snapshot";
    assert_eq!(tree(&[(0, 0, ""), (1, 0, "a"), (5, 1, "b"), (2, 5, "a")]), digest, "it hangs together");
    assert_eq!(tree(&[(0, 0, ""), (1, 2, "a"), (2, 1, "b")]), "the parents of znodes");
    assert_eq!(tree(&[(0, 0, ""), (1, 1, "a")]), "the parents of znodes");
    assert_eq!(tree(&[(0, 0, ""), (1, 0, "a"), (2, 0, "a")]), "the parents of znodes");
    assert_eq!(tree(&[(0, 0, ""), (1, 3, "a")]), "a parent's place");
    assert_eq!(tree(&[(0, 0, ""), (1, 0, "a"), (1, 0, "b")]), "a znode's place");
    assert_eq!(tree(&[(1, 0, "a")]), "the number of znodes and sessions");
    assert_eq!(tree(&[(0, 0, ""), (0, 0, "")]), "a second root");
    assert_eq!(tree(&[(0, 0, "x")]), "a name");
}
