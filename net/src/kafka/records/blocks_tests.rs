use super::*;
use torc_base::prng::Prng;

const CODINGS: [Coding; 2] = [Coding::Snappy, Coding::Lz4];
/// More than any text here has.
const MOST: usize = 1 << 20;

/// Words of a few letters, each of them often, with noise in between.
fn text(prng: &mut Prng, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 64);
    while text.len() < bytes {
        let (length, letter) = (prng.between(1, 300) as usize, prng.below(4) as u8);
        match prng.below(4) {
            0 => text.extend(std::iter::repeat_n(b'a' + letter, length)),
            1 => {
                let mut noise = vec![0; length];
                prng.fill(&mut noise);
                text.extend(noise);
            }
            _ if text.is_empty() => text.push(letter),
            _ => {
                let from = prng.below(text.len() as u64) as usize;
                let to = text.len().min(from + length);
                text.extend_from_within(from..to);
            }
        }
    }
    text
}

fn compressed(coding: Coding, text: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Snappy => snap::raw::Encoder::new().compress_vec(text).expect("it is short"),
        Coding::Lz4 => lz4_flex::block::compress(text),
    }
}

/// What the crates make of a block.
fn expected(coding: Coding, block: &[u8]) -> Option<Vec<u8>> {
    match coding {
        Coding::Snappy => {
            snap::raw::decompress_len(block).ok().filter(|length| *length <= MOST)?;
            snap::raw::Decoder::new().decompress_vec(block).ok()
        }
        Coding::Lz4 => {
            let mut text = vec![0; MOST];
            let length = lz4_flex::block::decompress_into(block, &mut text).ok()?;
            text.truncate(length);
            Some(text)
        }
    }
}

/// The same in steps, of a block that lies somewhere in a body.
fn in_steps(coding: Coding, block: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let body = [&b"front"[..], block, b"\0\0\0\0behind"].concat();
    let (mut rest, mut most) = (5..5 + block.len(), MOST);
    if coding == Coding::Snappy {
        most = snap::raw::decompress_len(block).ok().filter(|length| !block.is_empty() && *length <= MOST)?;
        rest.start += block.iter().position(|byte| byte & 0x80 == 0).expect("its length was read") + 1;
    }
    let mut text = b"of the block before".to_vec();
    let mut block = Block::new(coding, rest, most, &mut text);
    loop {
        let before = text.len();
        let is_whole = block.step(&body, &mut text, bytes)?;
        assert!(text.len() - before <= bytes && text.capacity() <= MOST);
        if is_whole {
            return Some(text);
        }
        assert_eq!(text.len() - before, bytes, "it goes on as far as it may");
    }
}

#[test]
fn steps_of_any_length_make_the_whole_text() {
    let mut prng = Prng::new(7);
    for length in [0, 1, 60, 61, 5_000, 300_000] {
        let text = text(&mut prng, length);
        for coding in CODINGS {
            let block = compressed(coding, &text);
            for bytes in [1, 2, 7, 1_000, 32 << 10, MOST] {
                if bytes >= length / 5_000 {
                    assert!(in_steps(coding, &block, bytes).as_ref() == Some(&text), "{coding:?}: {length} by {bytes}");
                }
            }
        }
    }
}

#[test]
fn what_is_damaged_for_the_crates_is_damaged_and_nothing_else() {
    let (mut prng, mut sound) = (Prng::new(11), 0);
    for round in 0..6_000 {
        let length = prng.below(400) as usize;
        let text = text(&mut prng, length);
        for coding in CODINGS {
            let mut block = compressed(coding, &text);
            for _ in 0..prng.between(1, 3) {
                let at = prng.below(block.len() as u64) as usize;
                match prng.below(4) {
                    0 => block[at] ^= 1 << prng.below(8),
                    1 => block[at] = prng.below(256) as u8,
                    2 => block.truncate(at.max(1)),
                    _ => block.insert(at, prng.below(256) as u8),
                }
            }
            let (expected, bytes) = (expected(coding, &block), prng.between(1, 500) as usize);
            sound += usize::from(expected.is_some());
            assert!(in_steps(coding, &block, bytes) == expected, "{coding:?} in round {round}: {block:?}");
        }
    }
    assert!((500..11_500).contains(&sound), "{sound} of 12,000 could be read");
}

#[test]
fn elements_that_no_encoder_here_writes_are_read() {
    // A literal whose length takes three bytes, a copy from far away, and one that repeats what it has just written.
    let literal: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
    let length = literal.len() + 64 + 11;
    let mut block = vec![length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8];
    block.extend_from_slice(&[62 << 2]);
    block.extend_from_slice(&(literal.len() as u32 - 1).to_le_bytes()[..3]);
    block.extend_from_slice(&literal);
    block.push(63 << 2 | 3);
    block.extend_from_slice(&69_999_u32.to_le_bytes());
    block.extend_from_slice(&[7 << 2 | 1, 3]);
    let expected = expected(Coding::Snappy, &block).expect("it is sound");
    assert_eq!(expected.len(), length);
    for bytes in [1, 13, 64, MOST] {
        assert!(in_steps(Coding::Snappy, &block, bytes).as_ref() == Some(&expected), "by {bytes}");
    }
    let mut text = Vec::new();
    let mut stored = Block::stored(2..12, &mut text);
    let steps: Vec<_> = (0..3).map(|_| stored.step(b"xx0123456789yy", &mut text, 4)).collect();
    assert_eq!((steps, &text[..]), (vec![Some(false), Some(false), Some(true)], &b"0123456789"[..]));
}
