//! A tree with a log, for tests.

use super::*;
use torc_base::prng::Prng;

pub(super) const SETTINGS: TreeSettings = TreeSettings {
    secret: (0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321),
    has_ttl: true,
    enforces_quotas: true,
    skips_acls: false,
    memory_max: 64 << 20,
    piece_bytes: torc_base::limits::TREE_CHECKPOINT_PIECE_BYTES,
};

pub(super) const WORLD: Id<'static> = Id { scheme: "world", id: "anyone" };
pub(super) const OPEN: &[Acl<'static>] = &[Acl { perms: perms::ALL, id: WORLD }];

/// What is told to those who watch.
pub(super) type Told = (EventKind, String, i64);

/// A tree, and the log that makes it.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub(super) tree: Tree,
    /// Entry 1 is the first.
    pub(super) log: Vec<Txn>,
    pub(super) zxid: i64,
    pub(super) now: i64,
    pub(super) told: Vec<Told>,
}

impl Rig {
    pub(super) fn new() -> Rig {
        Rig::with(SETTINGS)
    }

    pub(super) fn with(settings: TreeSettings) -> Rig {
        Rig { tree: Tree::new(settings), log: Vec::new(), zxid: 0, now: 1_000, told: Vec::new() }
    }

    pub(super) fn asker(session: i64) -> Asker<'static> {
        Asker { session: SessionId(session), ids: &[], is_moved: false, is_local: false }
    }

    /// Appends a transaction, as it comes out of its bytes.
    pub(super) fn append(&mut self, session: i64, body: Body) -> Index {
        self.zxid += 1;
        self.now += 1;
        let (zxid, time) = (Zxid(self.zxid), Wall(self.now));
        let txn = Txn { session: SessionId(session), cxid: self.zxid as i32, zxid, time, body };
        let mut bytes = Vec::new();
        txn.encode(&mut bytes);
        assert!(bytes.len() <= txn.bytes());
        assert_eq!(Txn::decode(&bytes).expect("just encoded"), txn);
        self.log.push(txn.clone());
        let index = Index(self.log.len() as u64);
        self.tree.append(index, txn);
        index
    }

    /// Appends what a request becomes.
    pub(super) fn ask(&mut self, who: &Asker<'_>, change: Change<'_>) -> Result<Index, TreeError> {
        let body = self.tree.prepare(who, &change)?;
        Ok(self.append(who.session.get(), body))
    }

    pub(super) fn ask_multi(&mut self, who: &Asker<'_>, changes: &[Change<'_>]) -> Result<Index, Refused> {
        self.tree.begin_draft(Wall(self.now + 1));
        let refused = changes.iter().enumerate().find_map(|(at, change)| {
            let error = self.tree.draft(who, change).err()?;
            Some(Refused { error, at })
        });
        if let Some(refused) = refused {
            self.tree.drop_draft();
            return Err(refused);
        }
        let body = self.tree.end_draft(true);
        Ok(self.append(who.session.get(), body))
    }

    /// Asks as the server itself and applies it.
    pub(super) fn does(&mut self, change: Change<'_>) -> Result<Vec<Outcome>, TreeError> {
        self.does_as(&Rig::asker(0), change)
    }

    pub(super) fn does_as(&mut self, who: &Asker<'_>, change: Change<'_>) -> Result<Vec<Outcome>, TreeError> {
        let index = self.ask(who, change)?;
        Ok(self.apply(index))
    }

    /// Applies all through `index`; what the last of them did.
    pub(super) fn apply(&mut self, index: Index) -> Vec<Outcome> {
        let (mut outcomes, mut last) = (Vec::new(), Vec::new());
        let mut told = std::mem::take(&mut self.told);
        let mut tell = |event: Event<'_>| told.push((event.kind, event.path.to_string(), event.zxid.get()));
        while self.tree.apply_next(index, &mut outcomes, &mut tell).is_some() {
            last.clone_from(&outcomes);
        }
        self.told = told;
        last
    }

    pub(super) fn apply_all(&mut self) -> Vec<Outcome> {
        self.apply(Index(self.log.len() as u64))
    }

    /// Takes entries from `from` on back.
    pub(super) fn cut(&mut self, from: Index) {
        self.tree.cut(from);
        self.log.truncate(from.get() as usize - 1);
    }

    /// A session that is committed.
    pub(super) fn session(&mut self) -> i64 {
        let (id, body) = self.tree.prepare_session(Zxid(self.zxid + 1), 10_000).expect("there is room");
        self.append(id.get(), body);
        self.apply_all();
        id.get()
    }

    pub(super) fn told(&mut self) -> Vec<(EventKind, String)> {
        std::mem::take(&mut self.told).into_iter().map(|(kind, path, _)| (kind, path)).collect()
    }

    /// A tree that has applied what is applied here, from the log alone.
    pub(super) fn replay(&self) -> Tree {
        let mut rig = Rig::new();
        rig.tree = Tree::new(self.tree.settings);
        for txn in &self.log[..self.tree.applied().get() as usize] {
            let index = Index(rig.log.len() as u64 + 1);
            rig.log.push(txn.clone());
            rig.tree.append(index, txn.clone());
        }
        rig.apply_all();
        rig.tree
    }

    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = self.tree.children(path, &[]).expect("it is there").0.map(String::from).collect();
        names.sort();
        names
    }
}

pub(super) fn create(path: &str) -> Change<'_> {
    create_as(path, 0, b"")
}

pub(super) fn create_as<'a>(path: &'a str, flags: i32, data: &'a [u8]) -> Change<'a> {
    Change::Create(Create { path, data: Some(data), acls: OPEN, flags, is_container: flags == 4, ttl: None })
}

pub(super) fn create_ttl(path: &str, ttl: i64) -> Change<'_> {
    Change::Create(Create { path, data: None, acls: OPEN, flags: 5, is_container: false, ttl: Some(ttl) })
}

/// Everything that can be read of a tree.
pub(super) fn contents(tree: &Tree) -> BTreeMap<String, (Stat, Option<Vec<u8>>, AclList)> {
    let mut all = BTreeMap::new();
    let mut at = Some(slab::ROOT);
    while let Some(id) = at {
        let path = tree.store.path(id);
        assert_eq!(tree.store.find(&path), Some(id), "{path}");
        let data = tree.store.data(id).map(Vec::from);
        all.insert(path, (tree.store.stat(id), data, tree.store.acl(id).clone()));
        at = tree.store.next_below(slab::ROOT, id);
    }
    assert_eq!(all.len(), tree.znodes().0);
    all
}

/// Some path of few.
pub(super) fn some_path(prng: &mut Prng) -> String {
    let depth = prng.between(1, 3);
    (0..depth).map(|_| format!("/{}", ["a", "b", "c", "d"][prng.below(4) as usize])).collect()
}
