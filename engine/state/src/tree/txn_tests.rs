use super::super::acl::perms;
use super::*;

fn txn(body: Body) -> Txn {
    Txn { session: SessionId(i64::MIN + 5), cxid: -8, zxid: Zxid(1 << 40 | 7), time: Wall(1_700_000_000_000), body }
}

fn all() -> Vec<Txn> {
    let path: Arc<str> = "/a/ü-0000000001".into();
    let acl = AclList::world(perms::READ);
    let create = |data: Option<&[u8]>, lifetime| Op::Create {
        path: path.clone(),
        data: data.map(Box::from),
        acl: acl.clone(),
        lifetime,
        creates: i32::MIN,
    };
    let ops = vec![
        create(None, Lifetime::Persistent),
        create(Some(b""), Lifetime::Container),
        create(Some(b"x"), Lifetime::Ttl(1)),
        create(Some(&[9; 300]), Lifetime::Ephemeral(SessionId(-77))),
        Op::Delete { path: path.clone() },
        Op::SetData { path: "/".into(), data: None, version: -1 },
        Op::SetAcl { path: path.clone(), acl: acl.clone(), version: i32::MAX },
        Op::Check { path: path.clone() },
    ];
    let mut all: Vec<Txn> = ops.iter().cloned().map(|op| txn(Body::One(op))).collect();
    all.push(txn(Body::Multi(ops)));
    all.push(txn(Body::Multi(Vec::new())));
    all.push(txn(Body::CreateSession { timeout_ms: u32::MAX }));
    all.push(txn(Body::CloseSession { ephemerals: vec![path.clone(), "/b".into()], last: false }));
    all.push(txn(Body::CloseSession { ephemerals: Vec::new(), last: true }));
    all.push(txn(Body::Error(TreeError::QuotaExceeded)));
    all
}

#[test]
fn every_transaction_comes_out_of_its_bytes_as_it_went_in() {
    for txn in all() {
        let mut bytes = Vec::new();
        txn.encode(&mut bytes);
        assert_eq!(Txn::decode(&bytes), Ok(txn.clone()));
        assert_eq!(Txn::check(&bytes), Ok(txn.zxid));
        assert!(bytes.len() <= txn.bytes(), "{} of {}", bytes.len(), txn.bytes());
        for len in 0..bytes.len() {
            assert!(Txn::decode(&bytes[..len]).is_err(), "{len} bytes of {txn:?}");
            assert!(Txn::check(&bytes[..len]).is_err(), "{len} bytes of {txn:?}");
        }
        bytes.push(0);
        assert!(Txn::decode(&bytes).is_err() && Txn::check(&bytes).is_err());
    }
}

#[test]
fn another_version_and_paths_that_cannot_be_are_refused() {
    let mut bytes = Vec::new();
    txn(Body::One(Op::Delete { path: "/ab".into() })).encode(&mut bytes);
    let mut other = bytes.clone();
    other[0] = VERSION + 1;
    assert!(Txn::decode(&other).is_err());
    let at = bytes.len() - 1;
    bytes[at] = b'/';
    assert!(Txn::decode(&bytes).is_err());
}

#[test]
fn a_number_of_operations_that_cannot_be_there_costs_nothing() {
    let mut bytes = Vec::new();
    txn(Body::Multi(Vec::new())).encode(&mut bytes);
    bytes.pop();
    put_u64(&mut bytes, u64::MAX);
    assert!(Txn::decode(&bytes).is_err());
}
