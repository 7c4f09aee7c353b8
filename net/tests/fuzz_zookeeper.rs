//! Fuzz targets: arbitrary requests of ZooKeeper's clients and answers of its servers never panic, and take no memory at all.

use torc_net::foreign::{by_first_bytes, is_kafka_request, is_zookeeper_connect};
use torc_net::zookeeper::{Answer, Connect, Connected, Ops, Request, Strings, decode};

/// Numbers of operations that are known, and some that are not.
const OPS: std::ops::RangeInclusive<i32> = -12..=108;

#[test]
fn hostile_requests_do_no_harm() {
    bolero::check!().with_iterations(10_000).for_each(|input: &[u8]| {
        walk(input);
        let _ = Connect::decode(input);
        // Who has come to the wrong port is told by what comes first.
        let _ = (input.first_chunk().map(|first| by_first_bytes(*first)), is_kafka_request(input));
        assert!(!is_zookeeper_connect(input) || Connect::decode(input).is_ok());
        for op in OPS {
            let mut frame = vec![0, 0, 0, 1];
            frame.extend_from_slice(&op.to_be_bytes());
            frame.extend_from_slice(input);
            walk(&frame);
        }
    });
}

/// Looks at all that a request says.
fn walk(frame: &[u8]) {
    let taken = allocation_counter::measure(|| match decode(frame) {
        Ok((_, Request::Create(create))) => assert!(create.acls.count() * 12 <= frame.len()),
        Ok((_, Request::SetAcl(_, acls, _))) => assert!(acls.count() * 12 <= frame.len()),
        Ok((_, Request::Multi(mut ops) | Request::MultiRead(mut ops))) => {
            // They may be gone on with from any place.
            let all = ops.len();
            ops.nth(all / 2);
            assert_eq!(Ops::at(frame, ops.place()).count(), all - (all / 2 + 1).min(all));
            assert!(all * 9 <= frame.len());
        }
        Ok((_, Request::SetWatches(_, lists))) => {
            let again = lists.clone().map(|list| Strings::at(frame, list.place()).count() * 4);
            assert!(again.iter().sum::<usize>() <= frame.len());
            assert_eq!(again, lists.map(|list| list.count() * 4));
        }
        _ => {}
    });
    assert_eq!(taken.bytes_total, 0, "for a frame of {}", frame.len());
}

#[test]
fn hostile_answers_do_no_harm() {
    bolero::check!().with_iterations(10_000).for_each(|input: &[u8]| {
        let taken = allocation_counter::measure(|| {
            let _ = Connected::decode(input);
            let Ok(answer) = Answer::open(input) else { return };
            let _ = (answer.clone().path(), answer.clone().data(), answer.clone().stat(), answer.clone().event());
            assert!(answer.clone().names().map_or(0, |names| names.count() * 4) <= input.len());
            assert!(answer.clone().acls().map_or(0, |acls| acls.count() * 12) <= input.len());
            let mut outcomes = answer;
            while let Ok(Some(_)) = outcomes.came() {}
        });
        assert_eq!(taken.bytes_total, 0, "for a frame of {}", input.len());
    });
}
