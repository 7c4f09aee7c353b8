use super::*;
use torc_net::kafka::fetch::Partition;

const NOW: Mono = Mono(1);

fn topic(name: &str, partitions: impl IntoIterator<Item = (i32, i64)>) -> Topic {
    let partition = |(index, fetch_offset)| Partition {
        index,
        current_leader_epoch: -1,
        fetch_offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        max_bytes: 100,
    };
    Topic { name: name.into(), id: TopicId::ZERO, partitions: partitions.into_iter().map(partition).collect() }
}

fn key(index: i32) -> Key {
    Key { name: "t".into(), id: TopicId::ZERO, index }
}

fn forget(index: i32) -> Forgotten {
    Forgotten { name: "t".into(), id: TopicId::ZERO, partitions: vec![index] }
}

/// What a fetch reads, and in which session; 0: without one.
#[derive(Debug)]
struct Plan {
    session: i32,
    incremental: bool,
    parts: Vec<(Key, Wanted)>,
}

impl Sessions {
    /// Plans a fetch, some partitions at a time.
    fn planned(
        &mut self,
        now: Mono,
        by_id: bool,
        session: (i32, i32),
        topics: &[Topic],
        forgotten: &[Forgotten],
    ) -> Result<Plan, i16> {
        let mut planning = self.plan(now, by_id, session, topics.to_vec(), forgotten.to_vec())?;
        let mut parts = Vec::new();
        loop {
            let step = self.plan_on(now, &mut planning, &mut 3, |key, wanted| parts.push((key, wanted)))?;
            if let Some((session, incremental)) = step {
                return Ok(Plan { session, incremental, parts });
            }
        }
    }
}

/// Index and offset of what a plan reads, in its order.
fn parts(plan: &Plan) -> Vec<(i32, i64)> {
    plan.parts.iter().map(|(key, wanted)| (key.index, wanted.offset)).collect()
}

#[test]
fn later_requests_change_what_the_first_one_named() {
    let mut sessions = Sessions::new(5, 1);
    let plan =
        sessions.planned(NOW, false, (0, 0), &[topic("t", [(2, 0), (0, 0), (2, 5)])], &[]).expect("a new session");
    assert_eq!((plan.incremental, parts(&plan)), (false, vec![(2, 5), (0, 0)]), "named twice: the last one counts");
    let id = plan.session;
    let plan =
        sessions.planned(NOW, false, (id, 1), &[topic("t", [(0, 7), (1, 1)])], &[forget(2)]).expect("the next epoch");
    assert_eq!((plan.session, plan.incremental, parts(&plan)), (id, true, vec![(0, 7), (1, 1)]));
}

#[test]
fn a_session_without_partitions_is_not_kept() {
    let mut sessions = Sessions::new(5, 1);
    assert_eq!(sessions.planned(NOW, false, (0, 0), &[], &[]).expect("answered").session, 0);
    assert_eq!(sessions.planned(NOW, false, (0, -1), &[topic("t", [(0, 0)])], &[]).expect("answered").session, 0);
}

/// What a session has by name it does not know by id: its client would hear nothing more of that.
#[test]
fn a_session_by_name_does_not_go_on_by_id_nor_the_other_way_round() {
    for by_id in [false, true] {
        let mut sessions = Sessions::new(5, 1);
        let named = [topic("t", [(0, 0)])];
        let id = sessions.planned(NOW, by_id, (0, 0), &named, &[]).expect("a new session").session;
        let refused = sessions.planned(NOW, !by_id, (id, 1), &[topic("u", [(0, 0)])], &[]).err();
        assert_eq!(refused, Some(error::FETCH_SESSION_TOPIC_ID_ERROR));
        let plan = sessions.planned(NOW, by_id, (id, 1), &[], &[]).expect("its epoch has not been used");
        assert_eq!(parts(&plan), [(0, 0)], "and nothing was added");
        let anew = sessions.planned(NOW, !by_id, (id, 0), &named, &[]).expect("a new session");
        assert!(
            anew.session > 0 && sessions.planned(NOW, by_id, (id, 2), &[], &[]).is_err(),
            "in the place of the old one"
        );
    }
}

#[test]
fn epochs_wrap_to_1() {
    let mut sessions = Sessions::new(5, 1);
    let id = sessions.planned(NOW, false, (0, 0), &[topic("t", [(0, 0)])], &[]).expect("a new session").session;
    sessions.sessions.get_mut(&id).expect("kept").epoch = i32::MAX;
    sessions.planned(NOW, false, (id, i32::MAX), &[], &[]).expect("the expected epoch");
    sessions.planned(NOW, false, (id, 1), &[], &[]).expect("0 and -1 mean something else");
}

#[test]
fn only_news_is_told() {
    let mut sessions = Sessions::new(5, 1);
    let id = sessions.planned(NOW, false, (0, 0), &[topic("t", [(0, 0), (1, 0)])], &[]).expect("a new session").session;
    assert!(sessions.note_sent(id, &key(0), (0, 5, 0), false), "the first time");
    assert!(!sessions.note_sent(id, &key(0), (0, 5, 0), false));
    assert!(sessions.note_sent(id, &key(0), (0, 5, 0), true), "records");
    assert!(sessions.note_sent(id, &key(0), (0, 6, 0), false), "the high watermark");
    assert!(sessions.note_sent(id, &key(0), (0, 6, 3), false), "the log start");
    assert!(sessions.note_sent(id, &key(0), (1, -1, -1), false), "an error");
    assert!(sessions.note_sent(id, &key(0), (1, -1, -1), false), "each time");
    assert!(sessions.note_sent(id, &key(0), (0, 6, 3), false), "its end");
    assert!(sessions.note_sent(id, &key(9), (0, 0, 0), false), "whatever the session does not know");
    let plan = sessions.planned(NOW, false, (id, 1), &[], &[]).expect("the next epoch");
    assert_eq!(parts(&plan), [(1, 0), (0, 0)], "who gave records is last");
}

#[test]
fn a_busy_session_keeps_its_place() {
    let mut sessions = Sessions::new(1, 1);
    let first = sessions.planned(NOW, false, (0, 0), &[topic("t", [(0, 0)])], &[]).expect("a new session").session;
    let later = Mono(NOW.0 + 121_000_000_000);
    let open =
        |sessions: &mut Sessions| sessions.planned(later, false, (0, 0), &[topic("t", [(0, 0)])], &[]).unwrap().session;
    assert_eq!(open(&mut sessions), 0, "its first fetch is not answered yet");
    sessions.idle(first);
    let second = open(&mut sessions);
    assert!(second != 0 && second != first);
    let gone = sessions.planned(later, false, (first, 1), &[], &[]).expect_err("evicted");
    assert_eq!(gone, error::FETCH_SESSION_ID_NOT_FOUND);
}

/// A client may name what does not exist, and so any number of partitions, request by request.
#[test]
fn all_sessions_together_hold_only_so_many_partitions() {
    let mut sessions = Sessions::new(5, 1);
    let (half, third) = (FETCH_SESSION_PARTITIONS_MAX as i32 / 2, FETCH_SESSION_PARTITIONS_MAX as i32 / 3);
    let many = |from: i32, count: i32| [topic("t", (from..from + count).map(|index| (index, 0)))];
    let first = sessions.planned(NOW, false, (0, 0), &many(0, half), &[]).expect("room").session;
    let second = sessions.planned(NOW, false, (0, 0), &many(0, third), &[]).expect("room").session;
    assert!(first > 0 && second > 0);
    let without = sessions.planned(NOW, false, (0, 0), &many(0, half), &[]).expect("answered, but not kept");
    assert_eq!((without.session, without.parts.len()), (0, half as usize));
    let all: Vec<i32> = (0..third).collect();
    let forgotten = Forgotten { name: "t".into(), id: TopicId::ZERO, partitions: all };
    sessions.planned(NOW, false, (second, 1), &many(third, third), &[forgotten]).expect("what is forgotten makes room");
    let grown = sessions.planned(NOW, false, (second, 2), &many(0, third), &[]).expect_err("too many");
    assert_eq!(grown, error::FETCH_SESSION_ID_NOT_FOUND);
    sessions.planned(NOW, false, (first, 1), &many(half, third), &[]).expect("the other one has the room now");
    sessions.planned(NOW, false, (first, -1), &[], &[]).expect("its end");
    assert_eq!(sessions.partitions, 0);
}

/// It may take its client some turns to have all of it looked up; others come meanwhile.
#[test]
fn a_session_that_ends_while_its_fetch_is_planned_is_gone() {
    let mut sessions = Sessions::new(5, 1);
    let id = sessions.planned(NOW, false, (0, 0), &[topic("t", (0..9).map(|index| (index, 0)))], &[]).unwrap().session;
    let mut read = 0;
    for left in [1, 5] {
        let epoch = sessions.sessions[&id].epoch;
        let mut planning = sessions.plan(NOW, false, (id, epoch), vec![topic("t", [(9, 0)])], Vec::new()).unwrap();
        let step = sessions.plan_on(NOW, &mut planning, &mut { left }, |_, _| read += 1);
        assert_eq!(step, Ok(None), "it is not at its end");
        if left == 5 {
            sessions.planned(NOW, false, (id, -1), &[], &[]).expect("its end");
            let step = sessions.plan_on(NOW, &mut planning, &mut 100, |_, _| read += 1);
            assert_eq!(step, Err(error::FETCH_SESSION_ID_NOT_FOUND));
        }
    }
    assert!(read < 9 && sessions.partitions == 0);
}

/// As in Kafka: there is no session that could have such an epoch.
#[test]
fn epochs_below_minus_one_are_those_of_no_session() {
    let mut sessions = Sessions::new(5, 1);
    for epoch in [-2, -7, i32::MIN] {
        let refused = sessions.planned(NOW, false, (0, epoch), &[topic("t", [(0, 7), (1, 1)])], &[]).err();
        assert_eq!(refused, Some(error::FETCH_SESSION_ID_NOT_FOUND), "{epoch}");
    }
}
