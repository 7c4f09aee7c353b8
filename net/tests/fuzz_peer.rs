//! Fuzz target: arbitrary and damaged frames of peers never panic and take no memory at all.

mod samples;

use samples::buf;
use torc_base::buf::Buf;
use torc_base::crc::crc32c;
use torc_net::peer::{Frame, PRELUDE, decode};

#[test]
fn hostile_frames_do_no_harm() {
    bolero::check!().with_iterations(10_000).for_each(|input: &[u8]| {
        walk(&buf(input).freeze());
        for kind in 0..10 {
            walk(&buf(&sealed(kind, input)).freeze());
        }
    });
}

/// `input` as head and payloads of a frame whose checksum is right.
fn sealed(kind: u8, input: &[u8]) -> Vec<u8> {
    let (head, payloads) = input.split_at(input.first().map_or(0, |first| usize::from(*first).min(input.len())));
    let mut frame = vec![0; PRELUDE];
    frame[4] = kind;
    frame[8..12].copy_from_slice(&(head.len() as u32).to_le_bytes());
    frame.extend_from_slice(head);
    let crc = crc32c(&frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(payloads);
    frame
}

/// Looks at all that the frame says; slices are all that is made of it, but for the text of a refusal.
fn walk(frame: &Buf) {
    let taken = allocation_counter::measure(|| {
        let mut groups = match decode(frame) {
            Ok(Frame::Groups(groups)) => groups,
            Ok(Frame::Mail(mut mails)) => {
                while let Some(Ok((_, mail))) = mails.next() {
                    assert!(mail.len() <= frame.len());
                }
                return;
            }
            Ok(Frame::Untaken(untaken)) => return assert!(untaken.groups().count() * 8 <= frame.len()),
            Ok(Frame::Form(bytes)) => return assert!(bytes.len() <= frame.len()),
            _ => return,
        };
        while let Some(Ok(mut said)) = groups.next() {
            assert!(said.message.len() + said.entries.bytes() <= frame.len());
            while let Some(Ok((_, bytes))) = said.entries.next() {
                assert!(bytes.len() <= frame.len());
            }
        }
    });
    assert!(taken.bytes_max <= 4096, "{} bytes for a frame of {}", taken.bytes_max, frame.len());
}
