//! Decompressing a batch's records piece by piece, so that neither memory nor one turn of a shard has to hold them all.
//!
//! What ends a stream is what Apache Kafka takes for its end: a zstd body is frames up to its last byte; behind the last
//! member of a gzip body, the end mark of an LZ4 frame, and blocks of Snappy with fewer than 4 bytes left, anything may
//! follow.

use super::Codec;
use super::blocks::{Block, Coding};
use flate2::{Decompress, FlushDecompress, Status};
use std::hash::Hasher;
use std::ops::Range;
use torc_base::limits::{ENTRY_BYTES_MAX, INFLATE_KEEP_BYTES, INFLATED_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};
use twox_hash::XxHash32;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Bytes of one piece, of blocks of Snappy and LZ4 if they are long; short ones are pieces as they are.
const PIECE: usize = 32 << 10;
const SHORT_BLOCK: usize = 256 << 10;
/// What opening a stream, frame or block costs beside its bytes, in bytes that could be decompressed meanwhile.
const STEP_COST: usize = 1 << 10;

const DAMAGED: &str = "the compressed bytes are damaged";
const CUT: &str = "the compressed bytes end too early";

/// Why compressed bytes cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    Damaged(&'static str),
    TooLong,
}

/// Decoders and memory of earlier batches, for the next ones.
#[derive(Default)]
pub struct Spares {
    gzip: Option<Box<Gzip>>,
    zstd: Option<DCtx<'static>>,
    piece: Vec<u8>,
}

/// One body under way. All calls must get the same body.
pub(super) struct Inflate {
    state: State,
    /// Bytes of the body that have been read.
    at: usize,
    /// The last piece is a part of this, of a long block the last one: those before it are looked back at.
    piece: Vec<u8>,
    /// Bytes decompressed so far.
    inflated: u64,
}

enum State {
    Gzip(Box<Gzip>),
    Snappy { framed: bool, block: Option<Block> },
    Lz4(Option<Lz4>),
    Zstd { context: DCtx<'static>, inside: bool },
}

impl Inflate {
    /// Begins with a body of `codec`, which must be one that compresses.
    pub(super) fn new(codec: Codec, body: &[u8], spares: &mut Spares) -> Result<Inflate, Bad> {
        let mut at = 0;
        let state = match codec {
            Codec::None => panic!("nothing to be opened"),
            Codec::Gzip => State::Gzip(spares.gzip.take().unwrap_or_default()),
            Codec::Snappy => {
                // Versions differ between writers; only the magic matters, as for snappy-java itself.
                let framed = body.len() >= XERIAL_HEADER.len() && body[..8] == XERIAL_HEADER[..8];
                at = if framed { XERIAL_HEADER.len() } else { 0 };
                State::Snappy { framed, block: None }
            }
            Codec::Lz4 => State::Lz4(Some(Lz4::header(body, &mut at)?)),
            Codec::Zstd => {
                let context = new_context(spares.zstd.take())?;
                State::Zstd { context, inside: false }
            }
        };
        let piece = std::mem::take(&mut spares.piece);
        Ok(Inflate { state, at, piece, inflated: 0 })
    }

    /// Decompresses the next piece. `None`: that was all. With the cost of it, in bytes that could be decompressed
    /// meanwhile.
    pub(super) fn next(&mut self, body: &[u8]) -> Result<Option<(&[u8], usize)>, Bad> {
        let before = self.at;
        let more = match &mut self.state {
            State::Gzip(gzip) => front(gzip.next(body, &mut self.at, &mut self.piece)?),
            State::Snappy { block: long @ Some(_), .. } => Some(go_on(long, body, &mut self.piece)?),
            State::Snappy { framed, block } => snappy(*framed, block, body, &mut self.at, &mut self.piece)?,
            State::Lz4(None) => None,
            State::Lz4(state) => {
                let frame = state.as_mut().expect("not ended");
                let text = frame.next(body, &mut self.at, &mut self.piece)?;
                if text.is_none() {
                    *state = None;
                }
                text
            }
            State::Zstd { context, inside } => front(zstd_piece(context, inside, body, &mut self.at, &mut self.piece)?),
        };
        let Some(text) = more else { return Ok(None) };
        let length = text.len();
        self.inflated += length as u64;
        if self.inflated > INFLATED_BYTES_MAX {
            return Err(Bad::TooLong);
        }
        Ok(Some((&self.piece[text], length + (self.at - before) / 8 + STEP_COST)))
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.piece.capacity()
            + match &self.state {
                State::Gzip(_) => GZIP_MEMORY,
                State::Zstd { context, .. } => context.sizeof(),
                State::Snappy { .. } | State::Lz4(_) => 0,
            }
    }

    /// Gives back what the next batch can use.
    pub(super) fn end(self, spares: &mut Spares) {
        if self.piece.capacity() <= INFLATE_KEEP_BYTES {
            spares.piece = self.piece;
        }
        match self.state {
            State::Gzip(mut gzip) => {
                gzip.inflate.reset(false);
                gzip.inside = false;
                gzip.members = 0;
                spares.gzip = Some(gzip);
            }
            State::Zstd { context, .. } if context.sizeof() <= INFLATE_KEEP_BYTES => spares.zstd = Some(context),
            _ => {}
        }
    }
}

/// A piece that is the front of the memory for them.
fn front(length: Option<usize>) -> Option<Range<usize>> {
    length.map(|length| 0..length)
}

/// The next piece of a long block. When that was its last one, none is under way.
fn go_on(long: &mut Option<Block>, body: &[u8], text: &mut Vec<u8>) -> Result<Range<usize>, Bad> {
    let from = text.len();
    let block = long.as_mut().expect("one is under way");
    if block.step(body, text, PIECE).ok_or(Bad::Damaged(DAMAGED))? {
        *long = None;
    }
    Ok(from..text.len())
}

/// Makes room for `length` bytes at the front of `piece`.
fn room(piece: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if piece.len() < length {
        piece.resize(length, 0);
    }
    &mut piece[..length]
}

fn take<'a>(body: &'a [u8], at: &mut usize, count: usize) -> Result<&'a [u8], Bad> {
    let end = at.checked_add(count).ok_or(Bad::Damaged(CUT))?;
    let bytes = body.get(*at..end).ok_or(Bad::Damaged(CUT))?;
    *at = end;
    Ok(bytes)
}

fn take_u32(body: &[u8], at: &mut usize) -> Result<[u8; 4], Bad> {
    Ok(take(body, at, 4)?.try_into().expect("4 bytes"))
}

/// Window and tables of one gzip decoder, about.
const GZIP_MEMORY: usize = 48 << 10;
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// The shortest member. Fewer bytes behind one are no other one.
const GZIP_MEMBER_MIN: usize = 18;

/// Members of a gzip body (RFC 1952).
struct Gzip {
    inflate: Decompress,
    crc: flate2::Crc,
    /// Between a member's header and its trailer.
    inside: bool,
    /// Members that have ended.
    members: u32,
}

impl Default for Gzip {
    fn default() -> Gzip {
        Gzip { inflate: Decompress::new(false), crc: flate2::Crc::new(), inside: false, members: 0 }
    }
}

impl Gzip {
    fn next(&mut self, body: &[u8], at: &mut usize, piece: &mut Vec<u8>) -> Result<Option<usize>, Bad> {
        if !self.inside {
            let rest = &body[*at..];
            if self.members > 0 && (rest.len() < GZIP_MEMBER_MIN || rest[..3] != GZIP_MAGIC) {
                return Ok(None);
            }
            gzip_header(body, at)?;
            self.inflate.reset(false);
            self.crc.reset();
            self.inside = true;
        }
        let out = room(piece, PIECE);
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(&body[*at..], out, FlushDecompress::None);
        let status = status.map_err(|_| Bad::Damaged(DAMAGED))?;
        let read = (self.inflate.total_in() - before.0) as usize;
        let length = (self.inflate.total_out() - before.1) as usize;
        *at += read;
        self.crc.update(&out[..length]);
        match status {
            Status::StreamEnd => {
                let crc = u32::from_le_bytes(take_u32(body, at)?);
                let size = u32::from_le_bytes(take_u32(body, at)?);
                if crc != self.crc.sum() || size != self.crc.amount() {
                    return Err(Bad::Damaged("the checksum of a gzip member is wrong"));
                }
                self.inside = false;
                self.members = self.members.saturating_add(1);
            }
            _ if read == 0 && length == 0 => return Err(Bad::Damaged(CUT)),
            _ => {}
        }
        Ok(Some(length))
    }
}

/// Passes over the header of a gzip member.
fn gzip_header(body: &[u8], at: &mut usize) -> Result<(), Bad> {
    const HEADER_CRC: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    let start = *at;
    let fixed = take(body, at, 10)?;
    if fixed[..3] != GZIP_MAGIC {
        return Err(Bad::Damaged("they are no gzip stream"));
    }
    let flags = fixed[3];
    if flags & EXTRA != 0 {
        let length = take(body, at, 2)?;
        take(body, at, usize::from(u16::from_le_bytes([length[0], length[1]])))?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = body[*at..].iter().position(|byte| *byte == 0).ok_or(Bad::Damaged(CUT))?;
            *at += end + 1;
        }
    }
    if flags & HEADER_CRC != 0 {
        let mut crc = flate2::Crc::new();
        crc.update(&body[start..*at]);
        let stored = take(body, at, 2)?;
        if u16::from_le_bytes([stored[0], stored[1]]) != crc.sum() as u16 {
            return Err(Bad::Damaged("the checksum of a gzip header is wrong"));
        }
    }
    Ok(())
}

/// What snappy-java writes before its blocks: magic, version, oldest compatible version.
pub(super) const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// The longest text of one Snappy element of 3 bytes is 64 bytes, so nothing grows by more than this factor.
const SNAPPY_GROWTH_MAX: usize = 22;

/// Snappy as Kafka's clients write it: in the blocks of snappy-java, or (some of them) as one block without a frame. No long
/// one may be under way.
fn snappy(
    framed: bool,
    long: &mut Option<Block>,
    body: &[u8],
    at: &mut usize,
    piece: &mut Vec<u8>,
) -> Result<Option<Range<usize>>, Bad> {
    let compressed = if framed {
        loop {
            if body.len() - *at < 4 {
                return Ok(None);
            }
            let length = take_u32(body, at)?;
            if length != XERIAL_HEADER[..4] {
                break take(body, at, u32::from_be_bytes(length) as usize)?;
            }
            // Streams that were put one behind the other.
            take(body, at, XERIAL_HEADER.len() - 4)?;
        }
    } else {
        if *at == body.len() && *at > 0 {
            return Ok(None);
        }
        take(body, at, body.len() - *at)?
    };
    let length = snap::raw::decompress_len(compressed).map_err(|_| Bad::Damaged(DAMAGED))?;
    if length > compressed.len().saturating_mul(SNAPPY_GROWTH_MAX) || length > ENTRY_BYTES_MAX {
        return Err(Bad::Damaged("a Snappy block claims more bytes than it can hold"));
    }
    if compressed.is_empty() {
        return Err(Bad::Damaged(DAMAGED));
    }
    if length > SHORT_BLOCK {
        // Its length stands in front of its elements: seven bits a byte, all but the last marked.
        let head = compressed.iter().position(|byte| byte & 0x80 == 0).ok_or(Bad::Damaged(DAMAGED))? + 1;
        let elements = *at - compressed.len() + head..*at;
        *long = Some(Block::new(Coding::Snappy, elements, length, piece));
        return go_on(long, body, piece).map(Some);
    }
    let out = room(piece, length);
    snap::raw::Decoder::new().decompress(compressed, out).map_err(|_| Bad::Damaged(DAMAGED))?;
    Ok(Some(0..length))
}

/// No block grows by more than this factor: a byte of length stands for 255 bytes.
const LZ4_GROWTH_MAX: usize = 255;

/// One LZ4 frame, as far as Apache Kafka reads them: independent blocks, no dictionary. What lies behind it means nothing.
struct Lz4 {
    block_max: usize,
    block_checksums: bool,
    content: Option<XxHash32>,
    size: Option<u64>,
    length: u64,
    /// A long block that is under way.
    block: Option<Block>,
}

impl Lz4 {
    const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

    fn header(body: &[u8], at: &mut usize) -> Result<Lz4, Bad> {
        const UNSUPPORTED: Bad = Bad::Damaged("they are no LZ4 frame of independent blocks");
        if take_u32(body, at)? != Lz4::MAGIC {
            return Err(UNSUPPORTED);
        }
        let start = *at;
        let descriptor = take(body, at, 2)?;
        let (flags, block) = (descriptor[0], descriptor[1]);
        let sound = flags >> 6 == 1 && flags & 0b0010_0011 == 0b0010_0000 && block & 0b1000_1111 == 0;
        if !sound || block >> 4 < 4 {
            return Err(UNSUPPORTED);
        }
        let size = match flags & 0b1000 {
            0 => None,
            _ => Some(u64::from_le_bytes(take(body, at, 8)?.try_into().expect("8 bytes"))),
        };
        let checksum = (XxHash32::oneshot(0, &body[start..*at]) >> 8) as u8;
        if take(body, at, 1)?[0] != checksum {
            return Err(Bad::Damaged("the checksum of an LZ4 header is wrong"));
        }
        Ok(Lz4 {
            // 64 KiB, 256 KiB, 1 MiB, 4 MiB.
            block_max: 1 << (8 + 2 * usize::from(block >> 4)),
            block_checksums: flags & 0b1_0000 != 0,
            content: (flags & 0b100 != 0).then(|| XxHash32::with_seed(0)),
            size,
            length: 0,
            block: None,
        })
    }

    /// The next block, or piece of a long one; `None` at the end mark.
    fn next(&mut self, body: &[u8], at: &mut usize, piece: &mut Vec<u8>) -> Result<Option<Range<usize>>, Bad> {
        let text = match self.block {
            Some(_) => Some(go_on(&mut self.block, body, piece)?),
            None => self.begin_block(body, at, piece)?,
        };
        if let Some(text) = &text {
            if let Some(content) = &mut self.content {
                content.write(&piece[text.clone()]);
            }
            self.length += text.len() as u64;
        }
        Ok(text)
    }

    fn begin_block(&mut self, body: &[u8], at: &mut usize, piece: &mut Vec<u8>) -> Result<Option<Range<usize>>, Bad> {
        const STORED: u32 = 1 << 31;
        let word = u32::from_le_bytes(take_u32(body, at)?);
        let length = (word & !STORED) as usize;
        if length == 0 {
            return self.end(body, at).map(|()| None);
        }
        if length > self.block_max {
            return Err(Bad::Damaged("an LZ4 block is longer than its frame allows"));
        }
        let block = take(body, at, length)?;
        let place = *at - length..*at;
        if self.block_checksums && u32::from_le_bytes(take_u32(body, at)?) != XxHash32::oneshot(0, block) {
            return Err(Bad::Damaged("the checksum of an LZ4 block is wrong"));
        }
        let is_stored = word & STORED != 0;
        let most = if is_stored { length } else { self.block_max.min(length * LZ4_GROWTH_MAX) };
        if most > SHORT_BLOCK {
            self.block = Some(match is_stored {
                true => Block::stored(place, piece),
                false => Block::new(Coding::Lz4, place, most, piece),
            });
            return go_on(&mut self.block, body, piece).map(Some);
        }
        let out = room(piece, most);
        if is_stored {
            out.copy_from_slice(block);
            return Ok(Some(0..length));
        }
        let length = lz4_flex::block::decompress_into(block, out).map_err(|_| Bad::Damaged(DAMAGED))?;
        Ok(Some(0..length))
    }

    fn end(&self, body: &[u8], at: &mut usize) -> Result<(), Bad> {
        if let Some(content) = &self.content
            && u32::from_le_bytes(take_u32(body, at)?) != content.finish() as u32
        {
            return Err(Bad::Damaged("the checksum of an LZ4 frame is wrong"));
        }
        match self.size {
            Some(size) if size != self.length => Err(Bad::Damaged("an LZ4 frame is not as long as it claims")),
            _ => Ok(()),
        }
    }
}

fn new_context(spare: Option<DCtx<'static>>) -> Result<DCtx<'static>, Bad> {
    let no_memory = Bad::Damaged("there is no memory to open them");
    if let Some(mut context) = spare
        && context.reset(ResetDirective::SessionOnly).is_ok()
    {
        return Ok(context);
    }
    let mut context = DCtx::try_create().ok_or(no_memory)?;
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| no_memory)?;
    Ok(context)
}

/// Frames of zstd up to the body's last byte. `inside`: a frame has begun and not ended.
fn zstd_piece(
    context: &mut DCtx<'static>,
    inside: &mut bool,
    body: &[u8],
    at: &mut usize,
    piece: &mut Vec<u8>,
) -> Result<Option<usize>, Bad> {
    if *at == body.len() && !*inside {
        return Ok(None);
    }
    let out = room(piece, PIECE);
    let mut input = InBuffer::around(&body[*at..]);
    let mut output = OutBuffer::around(out);
    let hint = context.decompress_stream(&mut output, &mut input).map_err(|_| Bad::Damaged(DAMAGED))?;
    let (read, length) = (input.pos(), output.pos());
    *at += read;
    *inside = hint != 0;
    if read == 0 && length == 0 {
        return Err(Bad::Damaged(CUT));
    }
    Ok(Some(length))
}
