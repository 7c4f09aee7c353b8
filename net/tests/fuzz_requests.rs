//! Fuzz target: arbitrary and damaged request frames never panic, and take memory in proportion to their length.

mod samples;

use samples::{any_frame, buf};
use torc_base::prng::Prng;
use torc_net::kafka::{Bad, Header, Request, WINDOWS, decode};

/// Bytes allocated for one byte of a request, at most: an empty name of a Metadata request takes 2 on the wire and 72
/// in the schema crate's type; a map of tagged fields some 70 for 2.
const GROWTH_MAX: usize = 48;
/// Bytes allocated whatever the request's length: errors, and the first element of each list.
const BASE: usize = 2048;

#[test]
fn hostile_frames_do_no_harm() {
    bolero::check!().with_iterations(40_000).for_each(|input: &[u8]| {
        let _ = bounded(input);
        let _ = bounded(&with_known_header(input));
        let mut prng = Prng::new(seed(input));
        let mut frame = any_frame(&mut prng);
        bounded(&frame).expect("undamaged");
        damage(&mut frame, input);
        if let Ok((header, _)) = bounded(&frame) {
            let window = WINDOWS.iter().find(|window| window.api == header.api).expect("served");
            assert!((window.min..=window.max).contains(&header.version));
        }
    });
}

/// Decodes `frame`, and holds it to its memory.
fn bounded(frame: &[u8]) -> Result<(Header, Request), Bad> {
    let received = buf(frame);
    let mut decoded = None;
    let peak = allocation_counter::measure(|| decoded = Some(decode(received))).bytes_max as usize;
    let most = GROWTH_MAX * frame.len() + BASE;
    assert!(peak <= most, "{peak} bytes for a request of {}: {frame:?}", frame.len());
    decoded.expect("has run")
}

fn seed(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `input` as the body of a request that is served.
fn with_known_header(input: &[u8]) -> Vec<u8> {
    let pick = |at: usize| usize::from(input.get(at).copied().unwrap_or(0));
    let window = &WINDOWS[pick(0) % WINDOWS.len()];
    let version = window.min + pick(1) as i16 % (window.max - window.min + 1);
    let mut frame = window.api.to_be_bytes().to_vec();
    frame.extend_from_slice(&version.to_be_bytes());
    frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
    if version >= window.flexible {
        frame.push(0);
    }
    frame.extend_from_slice(input.get(2..).unwrap_or(&[]));
    frame
}

/// Changes some bytes of `frame` to such that lengths are made of, cuts it or doubles a part, as `input` says.
fn damage(frame: &mut Vec<u8>, input: &[u8]) {
    for change in input.chunks_exact(4).take(8) {
        if frame.is_empty() {
            return;
        }
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % frame.len();
        match change[2] % 8 {
            0 => frame[at] ^= 1 << (change[3] % 8),
            1 => frame[at] = change[3],
            2 => frame.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
            3 => frame.iter_mut().skip(at).take(4).zip([0x7f, 0xff, 0xff, 0xff]).for_each(|(byte, new)| *byte = new),
            4 => frame.truncate(at),
            5 => drop(frame.remove(at)),
            6 => frame.insert(at, change[3]),
            _ => frame.extend_from_within(at..),
        }
    }
}
