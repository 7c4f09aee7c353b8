//! How znodes end by themselves: ZooKeeper keeps it in the place of the session that an ephemeral one goes with. Its clients
//! are told of that session alone: to them containers and znodes with a time to live look like persistent ones.

/// The mark of a container.
const CONTAINER: i64 = i64::MIN;
/// The marks of a time to live: the upper bits, the rest is milliseconds.
const TTL_MARK: i64 = 0xff << 56;
const TTL_BITS: i64 = (1 << 40) - 1;

/// How a znode ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    Never,
    /// With this session.
    WithSession(i64),
    /// When its last child is gone.
    Emptied,
    /// When it had no child and no change for so many milliseconds.
    After(i64),
}

impl Ends {
    /// What a znode's owner says.
    pub fn of(owner: i64) -> Ends {
        match owner {
            0 => Ends::Never,
            CONTAINER => Ends::Emptied,
            _ if owner & !TTL_BITS == TTL_MARK && owner != TTL_MARK => Ends::After(owner & TTL_BITS),
            session => Ends::WithSession(session),
        }
    }

    /// The inverse.
    pub fn owner(self) -> i64 {
        match self {
            Ends::Never => 0,
            Ends::Emptied => CONTAINER,
            Ends::After(ms) => TTL_MARK | (ms & TTL_BITS),
            Ends::WithSession(session) => session,
        }
    }
}

/// What a server tells of it, by the owner in a stat.
pub fn told(owner: i64) -> &'static str {
    if owner == 0 { "persistent" } else { "ephemeral" }
}
