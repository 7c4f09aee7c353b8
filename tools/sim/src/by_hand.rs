//! A client that keeps offsets in a group without being a member of any: it commits what it likes, now and then goes
//! before it has an answer, looks what is there, and deletes it. Several of them may share a group.

use crate::client::{self, Client, Next};
use crate::groups::Place;
use crate::history::{History, code};
use crate::requests;
use crate::violation::{Rule, Violation};
use crate::wire::{Asked, Connection, Port, Waiting, decode};
use crate::world::MS;
use bytes::Bytes;
use kafka_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_protocol::messages::*;
use torc_base::prng::Prng;

/// See the module.
pub struct ByHand {
    /// The group's number in the history.
    group: usize,
    rng: Prng,
    connection: Connection,
    found: bool,
    not_before: u64,
    stopping: bool,
    /// It has looked what is there since it was told to stop.
    looked: bool,
}

impl ByHand {
    /// One that keeps offsets in `group`.
    pub fn new(group: usize, mut rng: Prng) -> ByHand {
        let connection = Connection::new(client::manner(&mut rng));
        ByHand { group, rng, connection, found: false, not_before: 0, stopping: false, looked: false }
    }

    /// Places of live topics, some of them.
    fn places(&mut self, history: &History) -> Vec<Place> {
        let live = history.live();
        if live.is_empty() {
            return Vec::new();
        }
        let mut places = Vec::new();
        for _ in 0..self.rng.between(1, 5) {
            let t = live[self.rng.below(live.len() as u64) as usize];
            let place = (t, self.rng.below(history.topics[t].partitions.len() as u64) as usize);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    fn act(&mut self, port: &mut dyn Port, history: &mut History) {
        if !self.found {
            let version = self.rng.between(0, 6) as i16;
            let request = requests::find(&history.groups.all[self.group].name, version);
            return self.connection.ask(port, version, &request, Some(Asked::FindCoordinator));
        }
        let what = if self.stopping { 12 } else { self.rng.below(20) };
        if what < 10 {
            self.commit(port, history);
        } else if what < 18 {
            self.look(port, history);
        } else if what == 18 {
            self.delete_offsets(port, history);
        } else if self.rng.chance(1, 4) {
            self.delete_group(port, history);
        }
    }

    fn commit(&mut self, port: &mut dyn Port, history: &mut History) {
        let mut offsets = Vec::new();
        for place in self.places(history) {
            let offset = self.rng.below(10_000) as i64;
            offsets.push((place, offset, history.groups.write_begins(self.group, place, Some(offset))));
        }
        if offsets.is_empty() {
            return;
        }
        let request = requests::commit(history, self.group, &offsets);
        let writes = offsets.into_iter().map(|(place, _, number)| (place, number)).collect();
        let asked = Asked::Commit { generation: -1, asked: history.groups.moment(), writes };
        let version = self.rng.between(2, 9) as i16;
        self.connection.ask(port, version, &request, Some(asked));
    }

    fn look(&mut self, port: &mut dyn Port, history: &mut History) {
        self.looked = self.stopping;
        let version = self.rng.between(1, 9) as i16;
        let all = version >= 2 && (self.stopping || self.rng.chance(1, 3));
        let places =
            (!all).then(|| if self.stopping { history.groups.written(self.group) } else { self.places(history) });
        let request = requests::committed(history, self.group, version, places.as_deref());
        let asked = Asked::Committed { asked: history.groups.moment(), places };
        self.connection.ask(port, version, &request, Some(asked));
    }

    fn delete_offsets(&mut self, port: &mut dyn Port, history: &mut History) {
        let places = self.places(history);
        let topic = |(t, p): &Place| {
            let part = OffsetDeleteRequestPartition::default().with_partition_index(*p as i32);
            OffsetDeleteRequestTopic::default()
                .with_name(requests::topic(&history.topics[*t].name))
                .with_partitions(vec![part])
        };
        let request = OffsetDeleteRequest::default()
            .with_group_id(requests::group(&history.groups.all[self.group].name))
            .with_topics(places.iter().map(topic).collect());
        let writes =
            places.iter().map(|place| (*place, history.groups.write_begins(self.group, *place, None))).collect();
        self.connection.ask(port, 0, &request, Some(Asked::Forget { writes }));
    }

    fn delete_group(&mut self, port: &mut dyn Port, history: &mut History) {
        let places = history.groups.written(self.group);
        let writes =
            places.iter().map(|place| (*place, history.groups.write_begins(self.group, *place, None))).collect();
        let request = DeleteGroupsRequest::default()
            .with_groups_names(vec![requests::group(&history.groups.all[self.group].name)]);
        let version = self.rng.between(0, 2) as i16;
        self.connection.ask(port, version, &request, Some(Asked::ForgetGroup { writes }));
    }

    fn refused(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        what: &str,
        error: i16,
        expected: &[i16],
    ) -> Result<(), Violation> {
        if error != code::NONE && history.explain_group(what, error, expected)? {
            self.found = false;
            self.not_before = port.now() + self.rng.below(20 * MS);
        }
        Ok(())
    }

    /// What has become of writes that have one error together.
    fn ended(&self, history: &mut History, writes: &[(Place, u64)], error: i16) {
        for (place, number) in writes {
            match error {
                code::NONE => history.groups.write_ends(self.group, *place, *number),
                // It may have been written before the coordinator was lost.
                error if history.is_open(error) => {}
                _ => history.groups.write_refused(self.group, *place, *number),
            }
        }
    }

    fn answered(
        &mut self,
        port: &dyn Port,
        history: &mut History,
        waiting: Waiting,
        frame: Bytes,
    ) -> Result<(), Violation> {
        let version = waiting.version;
        match &waiting.asked {
            Asked::FindCoordinator => {
                let (error, node) = requests::coordinator(decode(frame, version)?, version);
                self.found = error == code::NONE && port.reaches(node);
                self.refused(port, history, "find coordinator", error, &[])
            }
            Asked::Commit { writes, .. } => {
                for (error, place, number) in requests::judged(history, writes, &decode(frame, version)?)? {
                    if error == code::UNKNOWN_TOPIC {
                        history.explain("commit", error, Some(place.0))?;
                    } else {
                        self.refused(port, history, "commit", error, &[])?;
                    }
                    self.ended(history, &[(place, number)], error);
                }
                Ok(())
            }
            Asked::Committed { asked, places } => {
                match requests::told_committed(history, version, places.as_deref(), decode(frame, version)?)? {
                    Ok(told) => requests::check_committed(history, self.group, *asked, places.as_deref(), &told),
                    Err(error) => {
                        self.looked = false;
                        self.refused(port, history, "fetch offsets", error, &[])
                    }
                }
            }
            Asked::Forget { writes } => {
                let answer: OffsetDeleteResponse = decode(frame, version)?;
                self.refused(port, history, "delete offsets", answer.error_code, &[code::NO_GROUP])?;
                // Where there is no group, nothing is committed; whether it was before, nobody says.
                if answer.error_code == code::NONE {
                    self.ended(history, writes, code::NONE);
                }
                Ok(())
            }
            Asked::ForgetGroup { writes } => {
                let answer: DeleteGroupsResponse = decode(frame, version)?;
                let Some(result) = answer.results.first() else {
                    return Err(Violation::new(Rule::Protocol, "an empty answer to DeleteGroups"));
                };
                self.refused(port, history, "delete group", result.error_code, &[code::NO_GROUP])?;
                if result.error_code == code::NONE {
                    self.ended(history, writes, code::NONE);
                }
                Ok(())
            }
            other => unreachable!("who commits by hand does not ask {other:?}"),
        }
    }

    fn hang_up(&mut self, port: &mut dyn Port, history: &mut History) -> Result<(), Violation> {
        if let Some(link) = self.connection.link {
            port.abort(link);
        }
        self.lost(port, history)
    }
}

impl Client for ByHand {
    fn wake(&mut self, port: &mut dyn Port, history: &mut History) -> Result<Next, Violation> {
        if client::out_of_patience(port, history, &self.connection)? {
            self.hang_up(port, history)?;
        }
        let idle = self.connection.outstanding() == 0;
        if self.stopping && self.looked && idle {
            if let Some(link) = self.connection.link.take() {
                port.half_close(link);
            }
            return Ok(Next::Done);
        }
        if idle && port.now() >= self.not_before && self.connection.open(port, &mut self.rng) {
            self.act(port, history);
        }
        if !self.stopping && self.rng.chance(1, 60) {
            self.hang_up(port, history)?;
        }
        Ok(Next::Wake(self.rng.between(100_000, 15 * MS)))
    }

    fn receive(&mut self, port: &mut dyn Port, history: &mut History, bytes: &[u8]) -> Result<(), Violation> {
        for (waiting, frame) in self.connection.receive(bytes)? {
            self.answered(port, history, waiting, frame)?;
        }
        Ok(())
    }

    fn lost(&mut self, _port: &mut dyn Port, _history: &mut History) -> Result<(), Violation> {
        self.connection.lost();
        self.found = false;
        self.looked = false;
        Ok(())
    }

    fn link(&self) -> Option<u64> {
        self.connection.link
    }

    fn stop(&mut self) {
        self.stopping = true;
    }

    fn follows(&self) -> bool {
        true
    }
}
