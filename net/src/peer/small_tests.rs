use super::*;
use torc_base::buf::Buf;
use torc_base::ids::{GroupId, ShardId};
use torc_base::limits::PEER_MAIL_BYTES_MAX;
use torc_base::malformed::Malformed;
use torc_base::prng::Prng;

/// The frame behind its length, which is right.
fn unframed(frame: &Buf) -> Buf {
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    assert_eq!(length, frame.len() - 4);
    frame.slice(4..frame.len())
}

fn mails(frame: &Buf) -> Result<Vec<(ShardId, Vec<u8>)>, Malformed> {
    let Frame::Mail(mut mails) = decode(frame)? else { panic!("mail") };
    std::iter::from_fn(|| mails.next()).map(|mail| mail.map(|(to, bytes)| (to, bytes.to_vec()))).collect()
}

#[test]
fn beats_and_founding_are_read_as_they_were_written() {
    assert!(matches!(decode(&unframed(&beat())), Ok(Frame::Beat)));
    for bytes in [&b""[..], b"how it began"] {
        let Ok(Frame::Form(read)) = decode(&unframed(&form(bytes))) else { panic!("a founding") };
        assert_eq!(&read[..], bytes);
    }
}

#[test]
fn groups_that_were_not_taken_are_read_as_they_were_written() {
    for count in [0, 1, 7, UNTAKEN_MAX] {
        let groups: Vec<GroupId> =
            (0..count as u64).map(|at| GroupId(at.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let Ok(Frame::Untaken(read)) = decode(&unframed(&untaken(&groups))) else { panic!("a list of groups") };
        assert_eq!(read.groups().collect::<Vec<_>>(), groups);
    }
    let odd = super::frame::framed(super::kind::UNTAKEN, &[1; 9]);
    assert_eq!(decode(&unframed(&odd)).map(|_| ()), Err(Malformed { what: "a list of groups" }));
}

#[test]
fn mail_is_read_as_it_was_written_and_a_cut_piece_is_noticed() {
    for seed in 0..200 {
        let mut prng = Prng::new(seed);
        let mail: Vec<_> = (0..prng.below(6))
            .map(|_| {
                let mut bytes = vec![0; prng.below(400) as usize];
                prng.fill(&mut bytes);
                (ShardId(prng.below(9) as u16), bytes)
            })
            .collect();
        let mut writer = MailWriter::default();
        mail.iter().for_each(|(to, bytes)| writer.put(*to, bytes));
        assert_eq!(writer.is_empty(), mail.is_empty());
        let mut whole = Vec::new();
        for (to, bytes) in &mail {
            whole.extend_from_slice(&to.0.to_le_bytes());
            whole.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            whole.extend_from_slice(bytes);
        }
        assert_eq!(mails(&unframed(&writer.finish())).unwrap(), mail, "seed {seed}");
        if !whole.is_empty() {
            let cut = &whole[..whole.len() - 1 - prng.below(4).min(whole.len() as u64 - 1) as usize];
            let read = mails(&unframed(&super::frame::framed(super::kind::MAIL, cut)));
            assert!(read.is_err() || read.unwrap().len() < mail.len(), "seed {seed}");
        }
    }
}

#[test]
fn mail_has_a_bound() {
    let mut writer = MailWriter::default();
    assert!(writer.admits(PEER_MAIL_BYTES_MAX) && !writer.admits(PEER_MAIL_BYTES_MAX + 1));
    writer.put(ShardId(0), &[0; 1000]);
    assert!(!writer.admits(PEER_MAIL_BYTES_MAX));
}
