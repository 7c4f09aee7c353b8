//! A turn is bounded, whatever it is that many ask for, and who asks for little goes before the rest of those.

use super::rig::{Client, Rig};
use super::verbs::{FETCH, METADATA, fetch_request, large, metadata_request, wanted};
use torc_base::limits::{START_BYTES, TURN_COST};
use torc_net::kafka::schema::{DescribeLogDirsRequest, FetchResponse};

const LOG_DIRS: i16 = 4;
/// Clients that ask for much, and requests of each.
const GREEDY: usize = 40;
const AHEAD: usize = 100;
/// The least that a request counts.
const LEAST: usize = 4;

#[test]
fn many_small_requests_take_turns_and_who_comes_does_not_wait_for_them() {
    let mut rig = Rig::new(1);
    let greedy: Vec<Client> = (0..GREEDY).map(|_| rig.connect(0)).collect();
    let newcomer = rig.connect(0);
    rig.run();
    let small = metadata_request(&[]);
    for client in &greedy {
        (0..AHEAD).for_each(|_| _ = rig.send(*client, METADATA, &small));
    }
    let asked = rig.send(newcomer, METADATA, &small);
    let (mut turns, mut served) = (Vec::new(), None);
    while rig.turn(0) {
        let answers = greedy.iter().map(|client| std::iter::from_fn(|| rig.take_frame(*client)).count());
        turns.push(answers.sum::<usize>());
        if let Some((correlation, _)) = rig.take_frame(newcomer) {
            assert_eq!(correlation, asked);
            served = Some(turns.len());
        }
    }
    assert_eq!(turns.iter().sum::<usize>(), GREEDY * AHEAD);
    assert!(served.is_some_and(|turn| turn <= 2), "it was served in turn {served:?}");
    // Each is served a little at once, as nothing is known of it; then all together have what a turn has.
    let most = 2 * TURN_COST as usize / LEAST;
    assert!(turns.iter().skip(2).all(|answers| *answers <= most), "{turns:?}");
    assert!(turns.len() > GREEDY * AHEAD / most, "{turns:?}");
}

#[test]
fn long_answers_are_ended_before_others_are_begun() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 800, &[]), 0);
    let many: Vec<Client> = (0..20).map(|_| rig.connect(0)).collect();
    let all = DescribeLogDirsRequest::default().with_topics(None);
    let sent: Vec<(Client, i32)> = many.iter().map(|client| (*client, rig.send(*client, LOG_DIRS, &all))).collect();
    let mut answered = 0;
    while rig.turn(0) {
        let now = sent
            .iter()
            .filter(|(client, asked)| rig.take::<DescribeLogDirsRequest>(*client, LOG_DIRS, *asked).is_some());
        let now = now.count();
        assert!(now <= 3, "{now} at once, behind {answered}");
        answered += now;
    }
    assert_eq!(answered, sent.len());
}

#[test]
fn a_consumer_is_given_little_until_it_has_read() {
    let mut rig = Rig::new(1);
    let client = rig.connect(0);
    assert_eq!(rig.create(client, "t", 1, &[]), 0);
    for _ in 0..18 {
        rig.produce(client, -1, "t", 0, &large(50_000));
    }
    let reader = rig.connect(0);
    let (mut offset, mut answers) = (0, Vec::new());
    for _ in 0..3 {
        let answer: FetchResponse = rig.ask(reader, FETCH, &fetch_request(vec![wanted("t", 0, offset)], 0));
        let bytes = answer.responses[0].partitions[0].records.as_ref().map_or(0, |records| records.len());
        // One record to a batch.
        offset += bytes as i64 / 50_000;
        answers.push(bytes);
    }
    assert!((50_000..=START_BYTES).contains(&answers[0]), "{answers:?}");
    assert!(answers[1] > answers[0] && answers[2] > answers[1], "{answers:?}");
}
