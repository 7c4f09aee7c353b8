use crate::mail::{Parcel, Post, mesh};
use std::sync::Arc;
use torc_base::ids::ShardId;

fn drain<M>(post: &mut Post<M>) -> Vec<(usize, Vec<M>)> {
    let mut all = Vec::new();
    for (i, word) in post.senders().into_iter().enumerate() {
        for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
            let mut mail = Vec::new();
            post.take(i * 64 + bit, &mut mail);
            let letters = mail.into_iter().map(|parcel| match parcel {
                Parcel::Mail(mail) => mail,
                Parcel::Socket(..) => panic!("nobody sent a connection"),
            });
            all.push((i * 64 + bit, letters.collect()));
        }
    }
    all
}

#[test]
fn mail_leaves_at_the_flush_and_arrives_by_sender_in_order() {
    let mut posts = mesh(70).unwrap();
    let asleep = &mut Vec::new();
    let (early, late) = (3, 69);
    for n in 0..3 {
        posts[late].send(ShardId(5), Parcel::Mail(late * 10 + n));
        posts[early].send(ShardId(5), Parcel::Mail(early * 10 + n));
    }
    assert!(!posts[5].has_mail());
    posts[late].flush(asleep);
    posts[early].flush(asleep);
    assert!(posts[5].has_mail() && asleep.is_empty());
    assert_eq!(drain(&mut posts[5]), [(3, vec![30, 31, 32]), (69, vec![690, 691, 692])]);
    assert!(!posts[5].has_mail());
}

#[test]
fn a_sleeper_is_woken_once_and_nobody_sleeps_over_waiting_mail() {
    let mut posts = mesh(2).unwrap();
    let asleep = &mut Vec::new();
    assert!(posts[1].may_sleep());
    for _ in 0..2 {
        posts[0].send(ShardId(1), Parcel::Mail(()));
        posts[0].flush(asleep);
    }
    assert_eq!(*asleep, [1]);
    assert!(!posts[1].may_sleep());
    assert_eq!(drain(&mut posts[1])[0].1.len(), 2);
    assert!(posts[1].may_sleep());
}

#[test]
fn mail_to_a_shard_that_is_gone_is_dropped() {
    let mut posts = mesh(2).unwrap();
    let letter = Arc::new(());
    posts[0].send(ShardId(1), Parcel::Mail(Arc::clone(&letter)));
    posts[0].flush(&mut Vec::new());
    assert_eq!(Arc::strong_count(&letter), 2);
    drop(posts.pop());
    assert_eq!(Arc::strong_count(&letter), 1);
    posts[0].send(ShardId(1), Parcel::Mail(Arc::clone(&letter)));
    posts[0].flush(&mut Vec::new());
    assert_eq!(Arc::strong_count(&letter), 1);
}
