//! Answers that tell of many groups, and of all their members: they are made over turns.

use super::{Part, ReplyTo, Text, consumer, lists};
use crate::kafka::makings::Nesting;
use crate::kafka::view::View;
use std::iter::Zip;
use std::vec::IntoIter;
use torc_net::kafka::Behind;
use torc_net::kafka::schema::{ConsumerGroupDescribeResponse, DescribeGroupsResponse, ListGroupsResponse};
use torc_state::coordinator::response::{DescribedConsumer, DescribedMember, Listed};

/// An answer that is being made.
pub(in crate::kafka) struct Grouping {
    pub(in crate::kafka) nesting: Nesting,
    version: i16,
    /// Groups tell which operations are allowed.
    operations: bool,
    rest: Rest,
    /// Behind all groups.
    whole: Option<Behind>,
}

/// The groups that a request names, each with what its coordinator said.
type Named = Zip<IntoIter<Text>, IntoIter<Part>>;

/// What is left to tell: groups, and members of the group at hand with what stands behind them.
enum Rest {
    Classic(Named, Option<(IntoIter<DescribedMember>, Behind)>),
    Consumer(Named, Option<(IntoIter<DescribedConsumer>, Behind)>),
    Listed(IntoIter<IntoIter<Listed>>, IntoIter<Listed>),
}

impl Grouping {
    /// The answer to a DescribeGroups.
    pub(super) fn classic(to: ReplyTo, operations: bool, groups: Vec<Text>, parts: Vec<Part>) -> Grouping {
        let mut nesting = Nesting::new(to);
        let whole = nesting.open(groups.len(), |groups| DescribeGroupsResponse::default().with_groups(groups));
        let rest = Rest::Classic(groups.into_iter().zip(parts), None);
        Grouping { nesting, version: to.version, operations, rest, whole: Some(whole) }
    }

    /// The answer to a ConsumerGroupDescribe.
    pub(super) fn consumer(to: ReplyTo, operations: bool, groups: Vec<Text>, parts: Vec<Part>) -> Grouping {
        let mut nesting = Nesting::new(to);
        let whole = nesting.open(groups.len(), |groups| ConsumerGroupDescribeResponse::default().with_groups(groups));
        let rest = Rest::Consumer(groups.into_iter().zip(parts), None);
        Grouping { nesting, version: to.version, operations, rest, whole: Some(whole) }
    }

    /// The answer to a ListGroups: what each coordinator has, and the code for the coordinators that did not say.
    pub(super) fn listed(to: ReplyTo, code: i16, groups: Vec<Vec<Listed>>) -> Grouping {
        let mut nesting = Nesting::new(to);
        let count = groups.iter().map(Vec::len).sum();
        let response = |groups| ListGroupsResponse::default().with_error_code(code).with_groups(groups);
        let whole = Some(nesting.open(count, response));
        let groups: Vec<IntoIter<Listed>> = groups.into_iter().map(Vec::into_iter).collect();
        let rest = Rest::Listed(groups.into_iter(), Vec::new().into_iter());
        Grouping { nesting, version: to.version, operations: false, rest, whole }
    }

    /// Tells on, for about `left` groups and members. True if all has been told.
    pub(in crate::kafka) fn tell_on(&mut self, view: &View, left: &mut usize) -> bool {
        while *left > 0 {
            let Some(items) = self.tell_next(view) else {
                self.whole.take().into_iter().for_each(|behind| self.nesting.close(behind));
                return true;
            };
            *left = left.saturating_sub(1 + items);
        }
        false
    }

    /// Tells of one more group or member; how many items that was besides. `None`: there are no others.
    fn tell_next(&mut self, view: &View) -> Option<usize> {
        let (nesting, version) = (&mut self.nesting, self.version);
        match &mut self.rest {
            Rest::Classic(groups, at) => match at.take() {
                Some((mut members, behind)) => {
                    let Some(member) = members.next() else {
                        nesting.close(behind);
                        return Some(0);
                    };
                    let items = nesting.put_long(&lists::member(version, &member));
                    *at = Some((members, behind));
                    Some(items)
                }
                None => {
                    let (group, part) = groups.next()?;
                    let (answer, members) = lists::described(version, self.operations, &group, part);
                    let behind = nesting.open(members.len(), |members| answer.clone().with_members(members));
                    *at = Some((members.into_iter(), behind));
                    Some(0)
                }
            },
            Rest::Consumer(groups, at) => match at.take() {
                Some((mut members, behind)) => {
                    let Some(member) = members.next() else {
                        nesting.close(behind);
                        return Some(0);
                    };
                    let items = nesting.put_long(&consumer::member(view, version, member));
                    *at = Some((members, behind));
                    Some(items)
                }
                None => {
                    let (group, part) = groups.next()?;
                    let (answer, members) = consumer::described(self.operations, &group, part);
                    let behind = nesting.open(members.len(), |members| answer.clone().with_members(members));
                    *at = Some((members.into_iter(), behind));
                    Some(0)
                }
            },
            Rest::Listed(groups, at) => loop {
                if let Some(listed) = at.next() {
                    return Some(nesting.put_long(&lists::listed(version, &listed)));
                }
                *at = groups.next()?;
            },
        }
    }
}
