//! Bytes of the tree's log and of its snapshots may be anything. `cargo bolero test` runs these for long; `cargo test`
//! briefly.

mod damaged;

use damaged::damaged;
use torc_base::ids::{Index, SessionId, Zxid};
use torc_base::time::Wall;
use torc_state::tree::{AclList, Body, Lifetime, Loader, Op, Taker, Tree, TreeSettings, Txn, perms};

const SETTINGS: TreeSettings = TreeSettings {
    secret: (1, 2),
    has_ttl: true,
    enforces_quotas: true,
    skips_acls: false,
    memory_max: 1 << 30,
    piece_bytes: 1 << 15,
};

fn txn(n: i64, body: Body) -> Txn {
    Txn { session: SessionId(7), cxid: n as i32, zxid: Zxid(n), time: Wall(1_000 + n), body }
}

fn create(path: &str, lifetime: Lifetime) -> Op {
    let (acl, data) = (AclList::world(perms::READ), Some([1, 2, 3].into()));
    Op::Create { path: path.into(), data, acl, lifetime, creates: 1 }
}

fn some_txns() -> Vec<Txn> {
    let ephemeral = Lifetime::Ephemeral(SessionId(7));
    let multi = Body::Multi(vec![
        create("/a/b", Lifetime::Ttl(5)),
        Op::SetData { path: "/a".into(), data: None, version: 1 },
        Op::Check { path: "/a".into() },
        create("/a/c", ephemeral),
        Op::SetAcl { path: "/a/b".into(), acl: AclList::world(perms::ALL), version: 1 },
    ]);
    let bodies = [
        Body::CreateSession { timeout_ms: 5_000 },
        Body::One(create("/a", Lifetime::Persistent)),
        multi,
        Body::One(Op::Delete { path: "/a/b".into() }),
        Body::CloseSession { ephemerals: vec!["/a/c".into()], last: true },
    ];
    bodies.into_iter().enumerate().map(|(n, body)| txn(n as i64 + 1, body)).collect()
}

fn apply_all(tree: &mut Tree) {
    let mut outcomes = Vec::new();
    while tree.apply_next(Index(u64::MAX - 1), &mut outcomes, &mut |_| ()).is_some() {}
}

#[test]
fn fuzz_txn() {
    let txns = some_txns();
    bolero::check!().for_each(|input: &[u8]| {
        for valid in &txns {
            let mut bytes = Vec::new();
            valid.encode(&mut bytes);
            let bytes = damaged(&bytes, input);
            assert_eq!(Txn::check(&bytes), Txn::decode(&bytes).map(|txn| txn.zxid));
            let Ok(txn) = Txn::decode(&bytes) else { continue };
            let mut again = Vec::new();
            txn.encode(&mut again);
            assert_eq!(Txn::decode(&again), Ok(txn.clone()));
            // Whatever it says, it can be appended, taken back, and applied.
            let mut tree = Tree::new(SETTINGS);
            tree.append(Index(1), txn.clone());
            tree.cut(Index(1));
            assert_eq!((tree.pending(), tree.digest()), ((0, 0), Tree::new(SETTINGS).digest()));
            let mut other = tree.clone();
            tree.append(Index(1), txn.clone());
            apply_all(&mut tree);
            // The same by who has not made it, in parts.
            other.follow(Index(1), txn);
            while other.apply_part(Index(1), 1, &mut Vec::new(), &mut |_| ()).is_some() {}
            assert_eq!((other.digest(), other.pending()), (tree.digest(), (0, 0)));
        }
    });
}

#[test]
fn fuzz_snapshot() {
    let mut tree = Tree::new(SETTINGS);
    for (n, txn) in some_txns().into_iter().take(4).enumerate() {
        tree.append(Index(n as u64 + 1), txn);
    }
    apply_all(&mut tree);
    tree.begin_snapshot(Taker::Checkpoint);
    let pieces: Vec<Vec<u8>> = std::iter::from_fn(|| tree.next_piece(Taker::Checkpoint)).collect();
    bolero::check!().for_each(|input: &[u8]| {
        for damaged_piece in 0..pieces.len() {
            let mut loader = Loader::new(SETTINGS);
            let is_read = pieces.iter().enumerate().all(|(n, piece)| {
                let bytes = if n == damaged_piece { damaged(piece, input) } else { piece.clone() };
                loader.piece(&bytes).is_ok()
            });
            if let (true, Ok(mut loaded)) = (is_read, loader.finish()) {
                assert_eq!(loaded.digest(), tree.digest());
                loaded.begin_snapshot(Taker::Checkpoint);
                assert!(std::iter::from_fn(|| loaded.next_piece(Taker::Checkpoint)).count() >= 2);
            }
        }
    });
}
