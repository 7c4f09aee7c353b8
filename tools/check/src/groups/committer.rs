//! One group with its only member, which commits, and what it knows: the server must know that, too.

use super::classic;
use super::consumer::Member;
use super::requests::{self, Committed, ILLEGAL_GENERATION, Place, STALE_EPOCH};
use crate::failure::{Result, wrong};
use crate::wire::Client;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use torc_base::prng::Prng;

pub const PARTITIONS: i32 = 4;
pub const TOPIC: &str = "commits";
/// Members of the consumer protocol subscribe to it and take it back: their epochs rise by that.
pub const TOPIC_MORE: &str = "more";
const OFFSET_MAX: u64 = 1_000_000;
const REBALANCE_MS: i32 = 300_000;

/// What the member knows of itself.
pub enum Standing {
    Classic {
        /// What the last acknowledged SyncGroup left.
        place: Option<Place>,
        /// The latest generation that it was told of, perhaps before a SyncGroup that nobody answered.
        told: i32,
        /// A JoinGroup was sent, and no SyncGroup behind it was answered.
        joining: bool,
    },
    Consumer {
        member: Member,
        wants_more: bool,
        /// It wants other topics than it did with this epoch, and has not got there yet.
        moving: Option<i32>,
    },
}

impl Standing {
    /// Before its first request. The odd groups are of the consumer protocol.
    fn new(number: u32, group: &str, prng: &mut Prng) -> Standing {
        if number.is_multiple_of(2) {
            return Standing::Classic { place: None, told: 0, joining: true };
        }
        let member = Member::new(group, &[TOPIC], REBALANCE_MS, prng);
        Standing::Consumer { member, wants_more: false, moving: Some(0) }
    }
}

/// The group.
pub struct Committer {
    pub group: String,
    prng: Prng,
    standing: Standing,
    /// By partition: what the last acknowledged commits left.
    acknowledged: Vec<Committed>,
    /// What there is if the commit was taken that nobody answered.
    pending: Option<Vec<Committed>>,
    /// Numbers of commits stand beside their offsets: no two leave the same.
    next: u64,
    /// Acknowledged ones, of which some went back.
    pub commits: u64,
    pub went_back: u64,
    pub found_unanswered: u64,
    pub generations: u64,
}

impl Committer {
    pub fn new(number: u32, mut prng: Prng) -> Committer {
        let group = format!("committer-{number}");
        let standing = Standing::new(number, &group, &mut prng);
        let acknowledged = vec![None; PARTITIONS as usize];
        let (commits, went_back, found_unanswered, generations) = (0, 0, 0, 0);
        let (pending, next) = (None, 0);
        Committer {
            group,
            prng,
            standing,
            acknowledged,
            pending,
            next,
            commits,
            went_back,
            found_unanswered,
            generations,
        }
    }

    /// Becomes a member.
    pub fn begin(&mut self, client: &mut Client) -> Result<()> {
        self.advance(client)
    }

    /// What is committed is what was acknowledged, or all of the commit that nobody answered; that one if a reader has seen it. The
    /// member is a member still, in the generation or epoch that it was told of.
    pub fn verify(&mut self, client: &mut Client, seen: Option<&[Committed]>) -> Result<()> {
        let found = requests::committed(client, &self.group, TOPIC, PARTITIONS)?;
        let pending = self.pending.take();
        let was_taken = pending.as_ref() == Some(&found);
        let was_seen = pending.is_some() && pending.as_deref() == seen;
        if !was_taken && (was_seen || found != self.acknowledged) {
            let (group, acknowledged) = (&self.group, &self.acknowledged);
            return wrong(format!(
                "{group}: {found:?} is there; {acknowledged:?} was acknowledged, {pending:?} was sent, {seen:?} was read"
            ));
        }
        self.found_unanswered += u64::from(was_taken);
        self.acknowledged = found;
        let (code, place) = match &mut self.standing {
            Standing::Classic { joining: true, .. } | Standing::Consumer { moving: Some(_), .. } => return Ok(()),
            Standing::Classic { place, .. } => {
                let place = place.clone().expect("it has joined");
                (classic::beat(client, &place)?, place)
            }
            Standing::Consumer { member, .. } => {
                let before = member.epoch;
                let code = member.beat(client)?;
                if member.epoch != before {
                    return wrong(format!("{:?}: its epoch was {before} before the kill", member.place()));
                }
                (code, member.place())
            }
        };
        if code == 0 { Ok(()) } else { wrong(format!("a heartbeat of {place:?} after the kill: error {code}")) }
    }

    /// Works until it is told to stop or the server is gone. It is counted as `begun` when its first commit is acknowledged.
    pub fn run(&mut self, address: SocketAddr, stop: &AtomicBool, begun: &AtomicUsize) -> Result<()> {
        let mut client = requests::connect(address, &self.group)?;
        let is_on_its_way = match &self.standing {
            Standing::Classic { joining, .. } => *joining,
            Standing::Consumer { moving, .. } => moving.is_some(),
        };
        if is_on_its_way {
            self.advance(&mut client)?;
        }
        while !stop.load(Ordering::Relaxed) {
            match self.prng.below(24) {
                0 => self.advance(&mut client)?,
                1 => self.beat(&mut client)?,
                2 => self.commit_as_nobody(&mut client)?,
                3 => self.look(&mut client)?,
                _ => {
                    let before = self.commits;
                    self.commit(&mut client)?;
                    begun.fetch_add(usize::from(before == 0 && self.commits > 0), Ordering::Relaxed);
                }
            }
        }
        Ok(())
    }

    fn place(&self) -> Place {
        match &self.standing {
            Standing::Classic { place, .. } => place.clone().expect("it has joined"),
            Standing::Consumer { member, .. } => member.place(),
        }
    }

    /// Comes into the next generation, or to the next epoch.
    fn advance(&mut self, client: &mut Client) -> Result<()> {
        match &mut self.standing {
            Standing::Classic { place, told, joining } => {
                let member = place.as_ref().map_or(String::new(), |place| place.member.clone());
                *joining = true;
                let (code, new) = classic::join(client, &self.group, &member)?;
                let before = place.as_ref().map_or(0, |place| place.generation);
                // A generation of which it was told without its assignment it may be told of again.
                if code != 0 || new.generation <= before || new.generation < *told {
                    return wrong(format!("{new:?} after generation {before}, told of {told}: error {code}"));
                }
                *told = new.generation;
                match classic::sync_alone(client, &new)? {
                    0 => (*place, *joining) = (Some(new), false),
                    code => return wrong(format!("SyncGroup of {new:?}: error {code}")),
                }
            }
            Standing::Consumer { member, wants_more, moving } => {
                if moving.is_none() {
                    *moving = Some(member.epoch);
                    *wants_more = !*wants_more;
                    member.want(if *wants_more { &[TOPIC, TOPIC_MORE] } else { &[TOPIC] });
                }
                member.settle_alone(client)?;
                let holds = PARTITIONS as usize + usize::from(*wants_more);
                if member.owned.len() != holds || Some(member.epoch) <= *moving {
                    return wrong(format!("{member:?} was to get {holds} partitions and an epoch after {moving:?}"));
                }
                *moving = None;
            }
        }
        self.generations += 1;
        Ok(())
    }

    fn beat(&mut self, client: &mut Client) -> Result<()> {
        let code = match &mut self.standing {
            Standing::Classic { place, .. } => classic::beat(client, place.as_ref().expect("it has joined"))?,
            Standing::Consumer { member, .. } => member.beat(client)?,
        };
        if code == 0 { Ok(()) } else { wrong(format!("a heartbeat of {:?}: error {code}", self.place())) }
    }

    /// A commit with a generation that is not the member's is refused, and leaves nothing: of a generation before, as somebody sends
    /// it who has been away, or of an epoch that there never was.
    fn commit_as_nobody(&mut self, client: &mut Client) -> Result<()> {
        let mut place = self.place();
        let due = match &self.standing {
            Standing::Classic { .. } => {
                place.generation -= 1;
                ILLEGAL_GENERATION
            }
            Standing::Consumer { .. } => {
                place.generation += 1;
                STALE_EPOCH
            }
        };
        let offsets = vec![Some(OFFSET_MAX as i64 + 1); PARTITIONS as usize];
        match requests::commit(client, &place, TOPIC, &offsets, "nobody's")? {
            code if code == due => Ok(()),
            code => wrong(format!("a commit of {place:?}, who is nobody: {code}, not error {due}")),
        }
    }

    /// What was acknowledged can be read, and nothing else.
    fn look(&mut self, client: &mut Client) -> Result<()> {
        let found = requests::committed(client, &self.group, TOPIC, PARTITIONS)?;
        if found == self.acknowledged {
            return Ok(());
        }
        wrong(format!("{}: {found:?} is there, {:?} was acknowledged", self.group, self.acknowledged))
    }

    /// Commits for some partitions: mostly further ones, now and then earlier ones, as somebody does who goes back.
    fn commit(&mut self, client: &mut Client) -> Result<()> {
        let note = self.next.to_string();
        self.next += 1;
        let goes_back = self.prng.chance(1, 10);
        let mut offsets = vec![None; PARTITIONS as usize];
        for (offset, before) in offsets.iter_mut().zip(&self.acknowledged) {
            let before = before.as_ref().map_or(0, |(offset, _)| *offset as u64);
            if self.prng.chance(2, 3) {
                let to = if goes_back { self.prng.below(before + 1) } else { before + self.prng.between(1, 100) };
                *offset = Some(to.min(OFFSET_MAX) as i64);
            }
        }
        if offsets.iter().all(Option::is_none) {
            return Ok(());
        }
        let after = offsets.iter().zip(&self.acknowledged);
        let after = after.map(|(new, old)| new.map(|offset| (offset, note.clone())).or_else(|| old.clone())).collect();
        self.pending = Some(after);
        match requests::commit(client, &self.place(), TOPIC, &offsets, &note)? {
            0 => {}
            code => return wrong(format!("a commit of {:?}: error {code}", self.place())),
        }
        self.acknowledged = self.pending.take().expect("just sent");
        self.commits += 1;
        self.went_back += u64::from(goes_back);
        Ok(())
    }
}
