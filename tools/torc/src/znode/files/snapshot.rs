//! Snapshot files, `snapshot.ZXID`, as ZooKeeper 3.4 to 3.9 writes them: a head, sessions, access lists, znodes, and a checksum;
//! behind it newer versions have the tree's digest, which readers do not need. Source: FileSnap and DataTree of Apache ZooKeeper.

use super::jute::{Adler, Damage, FileReader, Writer};
use super::state::{Kept, Node, State, parent};
use std::collections::BTreeMap;
use std::sync::Arc;
use torc_net::zookeeper::OwnedAcl;

/// `ZKSN`.
const MAGIC: i32 = 0x5a4b_534e;
const VERSION: i32 = 2;
/// The access list of znodes that everybody may do everything with, where it is not in the list of lists.
const OPEN: i64 = -1;

pub(super) fn acls(reader: &mut FileReader<'_>) -> Result<Vec<OwnedAcl>, Damage> {
    let one = |reader: &mut FileReader<'_>| {
        let perms = reader.int("permissions")?;
        let scheme = reader.string("a scheme")?.to_string();
        Ok(OwnedAcl { perms, scheme, id: reader.string("an id")?.to_string() })
    };
    (0..reader.count(12, "an access list")?).map(|_| one(reader)).collect()
}

/// Reads a file. `zxid`: the one in its name.
///
/// # Errors
/// It is cut short, or not what was written.
pub fn read(bytes: &[u8], zxid: i64) -> Result<State, Damage> {
    let mut reader = FileReader::new(bytes);
    if reader.int("the head")? != MAGIC {
        return Err(Damage { at: 0, what: "it is no snapshot of ZooKeeper's".to_string() });
    }
    let version = reader.int("the head")?;
    if version != VERSION {
        return Err(reader.damage(format!("version {version} of snapshots is unknown, {VERSION} is known")));
    }
    reader.long("the head")?;
    let mut state = State { zxid, ..State::default() };
    for _ in 0..reader.count(12, "sessions")? {
        let (id, timeout_ms) = (reader.long("a session")?, reader.int("a session")?);
        state.sessions.insert(id, timeout_ms);
    }
    let open = Arc::new(vec![OwnedAcl::open()]);
    let mut lists = BTreeMap::from([(OPEN, Arc::clone(&open))]);
    for _ in 0..reader.count(12, "access lists")? {
        let number = reader.long("an access list's number")?;
        lists.insert(number, Arc::new(acls(&mut reader)?));
    }
    znodes(&mut reader, &mut state, &lists)?;
    let sum = reader.checksum();
    let sealed = reader.long("the checksum")?;
    if sum != sealed {
        return Err(reader.damage(format!("the checksum is {sum:#x}, and {sealed:#x} was written")));
    }
    match reader.string("the end")? {
        "/" => Ok(state),
        _ => Err(reader.damage("there is no end behind the checksum")),
    }
}

/// Reads znodes up to the path that ends them.
fn znodes(
    reader: &mut FileReader<'_>,
    state: &mut State,
    lists: &BTreeMap<i64, Arc<Vec<OwnedAcl>>>,
) -> Result<(), Damage> {
    loop {
        let path = reader.string("a path")?;
        let path = match path {
            "/" => break,
            "" => "/",
            path => path,
        };
        let data = reader.buffer("a znode's data")?.map(<[u8]>::to_vec);
        let list = reader.long("an access list's number")?;
        let acls = lists
            .get(&list)
            .ok_or_else(|| reader.damage(format!("{path} has access list {list}, which is missing")))?;
        let kept = kept(reader)?;
        if path != "/" && !state.nodes.contains_key(parent(path)) {
            return Err(reader.damage(format!("{path} is in no znode")));
        }
        state.nodes.insert(path.to_string(), Node { data, acls: Arc::clone(acls), kept });
    }
    match state.nodes.contains_key("/") {
        true => Ok(()),
        false => Err(reader.damage("there is no root")),
    }
}

fn kept(reader: &mut FileReader<'_>) -> Result<Kept, Damage> {
    const WHAT: &str = "a znode's stat";
    Ok(Kept {
        czxid: reader.long(WHAT)?,
        mzxid: reader.long(WHAT)?,
        ctime: reader.long(WHAT)?,
        mtime: reader.long(WHAT)?,
        version: reader.int(WHAT)?,
        cversion: reader.int(WHAT)?,
        aversion: reader.int(WHAT)?,
        owner: reader.long(WHAT)?,
        pzxid: reader.long(WHAT)?,
    })
}

/// The file that has `state`, as ZooKeeper 3.5 and all later ones read it.
pub fn write(state: &State) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(MAGIC);
    out.int(VERSION);
    out.long(-1);
    out.count(state.sessions.len());
    for (id, timeout_ms) in &state.sessions {
        out.long(*id);
        out.int(*timeout_ms);
    }
    let mut lists: BTreeMap<&[OwnedAcl], i64> = BTreeMap::new();
    for node in state.nodes.values() {
        let next = lists.len() as i64 + 1;
        lists.entry(&node.acls).or_insert(next);
    }
    out.count(lists.len());
    for (list, number) in &lists {
        out.long(*number);
        out.count(list.len());
        for acl in *list {
            out.int(acl.perms);
            out.string(&acl.scheme);
            out.string(&acl.id);
        }
    }
    for (path, node) in &state.nodes {
        out.string(if path == "/" { "" } else { path });
        out.buffer(node.data.as_deref());
        out.long(lists[node.acls.as_slice()]);
        let kept = &node.kept;
        [kept.czxid, kept.mzxid, kept.ctime, kept.mtime].into_iter().for_each(|value| out.long(value));
        [kept.version, kept.cversion, kept.aversion].into_iter().for_each(|value| out.int(value));
        out.long(kept.owner);
        out.long(kept.pzxid);
    }
    out.string("/");
    let mut sum = Adler::default();
    sum.add(&out.0);
    out.long(sum.value());
    out.string("/");
    out.0
}
