//! permessage-deflate (RFC 7692): compressing and inflating. What both ends agree on is settled in the handshake.
//!
//! Whoever keeps its window from one message to the next (context takeover) owns a compressor or an inflater for the life
//! of the connection; whoever does not borrows one from a pool of the thread, and costs nothing between messages.

use crate::{
    ProtocolError, Role,
    frame::{Frame, Head, OpCode},
};
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::{
    cell::RefCell,
    sync::{Mutex, PoisonError},
};

/// What a message's last block is without, and gets back before inflating (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Inflated bytes to make room for at a time.
const INFLATE_STEP: usize = 4 * 1024;

/// Compressors and inflaters that a thread keeps for connections without context takeover: enough for the few windows and
/// levels that one server sees, each up to some 370 KiB.
const POOL_MAX: usize = 4;

/// The fastest level.
const FAST: u32 = 1;

/// Smallest window, as the exponent of two.
pub(crate) const WINDOW_BITS_MIN: u8 = 9;
/// Largest window, as the exponent of two.
pub(crate) const WINDOW_BITS_MAX: u8 = 15;

thread_local! {
    static COMPRESSORS: RefCell<Vec<(u8, u32, Compress)>> = const { RefCell::new(Vec::new()) };
    static INFLATERS: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// What both ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The server starts every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client starts every message with an empty window.
    pub client_no_context_takeover: bool,
    /// The server's window in bytes, as the exponent of two: 9 to 15.
    pub server_max_window_bits: u8,
    /// The client's window in bytes, as the exponent of two: 8 to 15.
    pub client_max_window_bits: u8,
}

/// One connection's compression.
#[derive(Debug)]
pub(crate) struct Deflate {
    ours: Direction,
    theirs: Direction,
    level: u32,
    threshold: usize,
    compressor: Option<Compress>,
    inflater: Option<Decompress>,
    /// Compressed bytes of the message that is arriving.
    arrived: u64,
}

#[derive(Clone, Copy, Debug)]
struct Direction {
    keeps_window: bool,
    window_bits: u8,
}

impl Deflate {
    /// Compression as agreed, for one end. `level` is 1 (fast) to 9 (small).
    pub(crate) fn new(role: Role, agreed: Agreement, level: u32, threshold: usize) -> Self {
        let server = Direction {
            keeps_window: !agreed.server_no_context_takeover,
            window_bits: agreed.server_max_window_bits.min(WINDOW_BITS_MAX),
        };
        let client = Direction {
            keeps_window: !agreed.client_no_context_takeover,
            window_bits: agreed.client_max_window_bits.min(WINDOW_BITS_MAX),
        };
        let (ours, theirs) = match role {
            Role::Server => (server, client),
            Role::Client => (client, server),
        };
        Deflate { ours, theirs, level: level.clamp(1, 9), threshold, compressor: None, inflater: None, arrived: 0 }
    }

    /// Whether our messages refer to earlier ones, so that nobody can share them compressed.
    pub(crate) fn keeps_window(&self) -> bool {
        self.ours.keeps_window
    }

    /// Whether a message of this many bytes is worth compressing. Never when the peer insists on a window that is smaller
    /// than our compressor can make: sending uncompressed is always allowed.
    pub(crate) fn gains(&self, bytes: usize) -> bool {
        bytes >= self.threshold && self.ours.window_bits >= WINDOW_BITS_MIN
    }

    /// Compresses at another level from the next message on.
    pub(crate) fn set_level(&mut self, level: u32) {
        self.level = level.clamp(1, 9);
        if let Some(compressor) = &mut self.compressor {
            // Fails only if it has output to give, and it has given all of it.
            let _ = compressor.set_level(Compression::new(self.level));
        }
    }

    /// Compresses a message or, if not `last`, its next fragment.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool) -> Vec<u8> {
        let Direction { keeps_window, window_bits } = self.ours;
        let mut compressor = self.compressor.take().unwrap_or_else(|| borrow_compressor(window_bits, self.level));
        let compressed = compress(&mut compressor, payload, last);
        if keeps_window || !last {
            self.compressor = Some(compressor);
        } else {
            give_back_compressor(window_bits, self.level, compressor);
        }
        compressed
    }

    /// The frame of a prepared message, compressed once for all connections with the same window and level; `None` if it
    /// goes out as it is.
    pub(crate) fn prepared(&self, prepared: &crate::Prepared) -> Option<Bytes> {
        let (bits, level) = (self.ours.window_bits, self.level);
        if self.ours.keeps_window || !self.gains(prepared.payload_len()) {
            return None;
        }
        let mut variants = prepared.variants()?.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., frame)) = variants.iter().find(|variant| (variant.0, variant.1) == (bits, level)) {
            return Some(frame.clone());
        }
        let (opcode, payload) = prepared.unframed();
        let mut compressor = borrow_compressor(bits, level);
        let compressed = compress(&mut compressor, &payload, true);
        give_back_compressor(bits, level, compressor);
        let frame = if compressed.len() >= payload.len() {
            prepared.as_bytes().clone()
        } else {
            let head = Head { last: true, compressed: true, opcode, mask: None, payload_len: compressed.len() as u64 };
            Frame::new(&head, compressed.into()).to_bytes()
        };
        variants.push((bits, level, frame.clone()));
        Some(frame)
    }

    /// Whether frames that were compressed with the whole window, each by itself, are ours to send.
    pub(crate) fn takes_deflated(&self) -> bool {
        !self.ours.keeps_window && self.ours.window_bits == WINDOW_BITS_MAX
    }

    /// Inflates the next bytes of a message onto the end of `out`, which may hold `max` bytes.
    ///
    /// Bytes that were inflated before an error are in `out`, so that the first error in the order of the bytes can win,
    /// however they are cut into pieces.
    pub(crate) fn inflate(&mut self, input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), ProtocolError> {
        // Blocks that inflate to nothing would otherwise be free to go on for ever.
        let arrived_max = (max as u64).saturating_mul(2).saturating_add(1024);
        let allowed = usize::try_from(arrived_max - self.arrived).unwrap_or(usize::MAX).min(input.len());
        self.arrived += allowed as u64;
        let window_bits = self.theirs.window_bits.max(WINDOW_BITS_MIN);
        let keeps_window = self.theirs.keeps_window;
        let inflater = self.inflater.get_or_insert_with(|| {
            if keeps_window { Decompress::new_with_window_bits(false, window_bits) } else { borrow_inflater() }
        });
        inflate(inflater, &input[..allowed], out, max)?;
        if allowed < input.len() { Err(ProtocolError::MessageTooBig { max }) } else { Ok(()) }
    }

    /// Inflates what the end of the message implies.
    pub(crate) fn finish_inflating(&mut self, out: &mut Vec<u8>, max: usize) -> Result<(), ProtocolError> {
        self.arrived = 0;
        if let Some(inflater) = &mut self.inflater {
            inflate(inflater, &TAIL, out, max)?;
        }
        if !self.theirs.keeps_window
            && let Some(inflater) = self.inflater.take()
        {
            give_back_inflater(inflater);
        }
        Ok(())
    }
}

/// The frame of a message compressed by itself, fast and with the whole window; `None` where that is no shorter.
pub(crate) fn frame(opcode: OpCode, payload: &[u8]) -> Option<Bytes> {
    let mut compressor = borrow_compressor(WINDOW_BITS_MAX, FAST);
    let compressed = compress(&mut compressor, payload, true);
    give_back_compressor(WINDOW_BITS_MAX, FAST, compressor);
    if compressed.len() >= payload.len() {
        return None;
    }
    let head = Head { last: true, compressed: true, opcode, mask: None, payload_len: compressed.len() as u64 };
    Some(Frame::new(&head, compressed.into()).to_bytes())
}

/// A prepared message's compressed frames, each with its window bits and its level.
#[derive(Debug, Default)]
pub(crate) struct Variants(Mutex<Vec<(u8, u32, Bytes)>>);

fn compress(compressor: &mut Compress, payload: &[u8], last: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() / 4 + 64);
    let start = compressor.total_in();
    loop {
        let taken = usize::try_from(compressor.total_in() - start).expect("at most the payload");
        compressor
            .compress_vec(&payload[taken..], &mut out, FlushCompress::Sync)
            .expect("a compressor that is never finished takes everything");
        let all_taken = compressor.total_in() - start == payload.len() as u64;
        // Room left over means that everything is flushed.
        if all_taken && out.len() < out.capacity() {
            break;
        }
        out.reserve((payload.len() / 4).max(256));
    }
    if last {
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.is_empty() {
            out.push(0); // RFC 7692 §7.2.3.6
        }
    }
    out
}

fn inflate(inflater: &mut Decompress, input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<(), ProtocolError> {
    let mut rest = input;
    loop {
        if out.len() == out.capacity() {
            // One byte more than allowed shows that there is more.
            out.reserve(max.saturating_sub(out.len()).saturating_add(1).min(INFLATE_STEP));
        }
        let (in_before, out_before) = (inflater.total_in(), out.len());
        let result = inflater.decompress_vec(rest, out, FlushDecompress::Sync);
        if out.len() > max {
            return Err(ProtocolError::MessageTooBig { max });
        }
        let status = result.map_err(|_| ProtocolError::BadCompression)?;
        let taken = usize::try_from(inflater.total_in() - in_before).expect("at most the input");
        rest = &rest[taken..];
        if status == Status::StreamEnd {
            // A final block inside a message (RFC 7692 §7.2.3.5). What follows starts over; no sender is known to refer
            // back across such a block.
            inflater.reset(false);
            if rest.is_empty() {
                return Ok(());
            }
        } else if rest.is_empty() && out.len() < out.capacity() {
            return Ok(());
        } else if taken == 0 && out.len() == out_before {
            return if rest.is_empty() { Ok(()) } else { Err(ProtocolError::BadCompression) };
        }
    }
}

fn borrow_compressor(window_bits: u8, level: u32) -> Compress {
    let pooled = COMPRESSORS.with_borrow_mut(|pool| {
        let at = pool.iter().position(|(bits, at_level, _)| (*bits, *at_level) == (window_bits, level))?;
        Some(pool.remove(at).2)
    });
    pooled.unwrap_or_else(|| Compress::new_with_window_bits(Compression::new(level), false, window_bits))
}

fn give_back_compressor(window_bits: u8, level: u32, mut compressor: Compress) {
    COMPRESSORS.with_borrow_mut(|pool| {
        if pool.len() == POOL_MAX {
            // Unused for the longest time: an unusual window must not keep the usual ones out.
            pool.remove(0);
        }
        compressor.reset();
        pool.push((window_bits, level, compressor));
    });
}

fn borrow_inflater() -> Decompress {
    INFLATERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| Decompress::new_with_window_bits(false, WINDOW_BITS_MAX))
}

fn give_back_inflater(mut inflater: Decompress) {
    INFLATERS.with_borrow_mut(|pool| {
        if pool.len() < POOL_MAX {
            inflater.reset(false);
            pool.push(inflater);
        }
    });
}
