//! Deltas: how to get from one text to the next, in the format of the version control system Fossil.
//!
//! ```text
//! <size of the target>\n  then any of  <count>@<offset>,  to copy from the source  and  <count>:<bytes>  to insert
//! <checksum of the target>;
//! ```
//!
//! Numbers are written in base 64 with the digits `0-9A-Z_a-z~`. What is copied is found as in rsync: every whole block of
//! the source is known by a hash that rolls over the target byte by byte. What one position of the target may cost is
//! bounded, so that time grows with the size and never with its square.

/// Bytes of the largest target that [`apply`] makes, whatever a delta says of itself: far above what a server publishes.
pub const TARGET_BYTES_MAX: usize = 16 << 20;

/// Bytes of a block: what is shorter is not looked for.
const BLOCK: usize = 16;

/// Bytes from which on copying takes less than inserting, but in the largest targets: a block less the parts of two
/// characters is more.
const WORTH_A_COPY: usize = 8;

/// Blocks of the same hash that are looked at for one position of the target. Of a source that repeats itself others may
/// match for longer, and are not found.
const CANDIDATES_MAX: usize = 16;

/// The delta from `from` to `to`.
#[must_use]
pub fn create(from: &[u8], to: &[u8]) -> Vec<u8> {
    create_cut(from, to, |_| true)
}

/// The delta from `from` to `to`, which is text itself: nothing that is copied or inserted begins or ends within a
/// character.
#[must_use]
pub fn create_text(from: &str, to: &str) -> String {
    let delta = create_cut(from.as_bytes(), to.as_bytes(), |at| to.is_char_boundary(at));
    String::from_utf8(delta).expect("what is inserted begins and ends with a character, and the rest is ASCII")
}

/// What `delta` makes of `from`.
///
/// # Errors
/// [`DeltaError`]: it belongs to another source, or is none.
pub fn apply(from: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut rest = delta;
    let size = number(&mut rest)?;
    if mark(&mut rest)? != b'\n' {
        return Err(DeltaError::Malformed);
    }
    if size > TARGET_BYTES_MAX {
        return Err(DeltaError::TooLarge);
    }
    let mut target = Vec::new();
    loop {
        let count = number(&mut rest)?;
        let part = match mark(&mut rest)? {
            b'@' => {
                let offset = number(&mut rest)?;
                if mark(&mut rest)? != b',' {
                    return Err(DeltaError::Malformed);
                }
                from.get(offset..).and_then(|from| from.get(..count)).ok_or(DeltaError::OtherSource)?
            }
            b':' => {
                let (part, behind) = rest.split_at_checked(count).ok_or(DeltaError::Malformed)?;
                rest = behind;
                part
            }
            b';' if target.len() == size && rest.is_empty() => {
                let is_it = u32::try_from(count) == Ok(checksum(&target));
                return if is_it { Ok(target) } else { Err(DeltaError::OtherSource) };
            }
            _ => return Err(DeltaError::Malformed),
        };
        if part.len() > size - target.len() {
            return Err(DeltaError::Malformed);
        }
        target.extend_from_slice(part);
    }
}

/// Nothing was made of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// It is none.
    #[error("malformed delta")]
    Malformed,
    /// It was made for another source: ask for the whole.
    #[error("the delta belongs to another source")]
    OtherSource,
    /// The target would have more than [`TARGET_BYTES_MAX`].
    #[error("the target of the delta has more than {TARGET_BYTES_MAX} bytes")]
    TooLarge,
}

/// The delta from `from` to `to`, of which everything copied begins and ends where `to` may be cut.
///
/// Mostly little changes, so what both begin and end with is taken first; only what is between is looked for.
fn create_cut(from: &[u8], to: &[u8], is_cut: impl Fn(usize) -> bool) -> Vec<u8> {
    let cut_before = |at: usize| (0..=at).rev().find(|&at| is_cut(at)).unwrap_or(0);
    let cut_behind = |at: usize| (at..to.len()).find(|&at| is_cut(at)).unwrap_or(to.len());
    let mut delta = Delta { bytes: Vec::new(), to, done: 0 };
    delta.write_number(to.len(), b'\n');

    let head = cut_before(common(from, to));
    delta.copy(Match { start: 0, end: head, offset: 0 });
    let tail = cut_behind(to.len() - common_at_end(&from[head..], &to[head..]));
    // What is looked for begins at a place of its own and ends before the tail.
    let middle = &to[..tail];
    let mut at = delta.done;
    let mut window = middle.get(at..at + BLOCK).map(Window::of);
    let blocks = if window.is_some() { Blocks::of(from) } else { Blocks::of(&[]) };
    while let Some(seen) = window {
        if let Some(found) = blocks.longest_match(seen, middle, delta.done, at) {
            let (start, end) = (cut_behind(found.start), cut_before(found.end));
            delta.copy(Match { start, end, offset: found.offset + (start - found.start) });
            at = end;
            window = middle.get(at..at + BLOCK).map(Window::of);
        } else {
            window = middle.get(at + BLOCK).map(|&next| seen.roll(middle[at], next));
            at += 1;
        }
    }
    delta.copy(Match { start: tail, end: to.len(), offset: from.len() - (to.len() - tail) });
    delta.insert_until(to.len());
    delta.write_number(checksum(to) as usize, b';');
    delta.bytes
}

/// A delta that is being written.
struct Delta<'a> {
    bytes: Vec<u8>,
    to: &'a [u8],
    /// How much of the target it makes.
    done: usize,
}

impl Delta<'_> {
    /// Copies what matches, where that is shorter.
    fn copy(&mut self, Match { start, end, offset }: Match) {
        if end - start < WORTH_A_COPY {
            return;
        }
        self.insert_until(start);
        self.write_number(end - start, b'@');
        self.write_number(offset, b',');
        self.done = end;
    }

    fn insert_until(&mut self, end: usize) {
        let bytes = &self.to[self.done..end];
        if !bytes.is_empty() {
            self.write_number(bytes.len(), b':');
            self.bytes.extend_from_slice(bytes);
        }
        self.done = end;
    }

    fn write_number(&mut self, number: usize, mark: u8) {
        let digits = 1 + number.checked_ilog2().unwrap_or(0) / 6;
        self.bytes.extend((0..digits).rev().map(|digit| DIGITS[number >> (6 * digit) & 63]));
        self.bytes.push(mark);
    }
}

/// What the target has in common with the source.
struct Match {
    /// Where in the target.
    start: usize,
    end: usize,
    /// Where in the source.
    offset: usize,
}

/// The blocks of a source, by their hashes.
struct Blocks<'a> {
    from: &'a [u8],
    /// Of each hash the number of its first block, from 1; 0 for none. A power of two.
    first: Vec<usize>,
    /// Of each block the number of the next one whose hash falls together with its own.
    next: Vec<usize>,
}

impl<'a> Blocks<'a> {
    fn of(from: &'a [u8]) -> Self {
        let blocks = from.chunks_exact(BLOCK);
        let mut table =
            Self { from, first: vec![0; 4 * blocks.len().next_power_of_two()], next: vec![0; blocks.len()] };
        // From the last to the first, because of a source that repeats itself the first match goes on for longest.
        for (number, block) in blocks.enumerate().rev() {
            let bucket = Window::of(block).bucket(table.first.len());
            table.next[number] = std::mem::replace(&mut table.first[bucket], number + 1);
        }
        table
    }

    /// The longest match of what stands `at` a place of the target, which may begin earlier, but not before `done`.
    fn longest_match(&self, window: Window, to: &[u8], done: usize, at: usize) -> Option<Match> {
        let existing = |number: usize| Some(number).filter(|&number| number > 0);
        let first = existing(self.first[window.bucket(self.first.len())]);
        let candidates = std::iter::successors(first, |&number| existing(self.next[number - 1]));
        let offsets = candidates.map(|number| (number - 1) * BLOCK);
        let is_same = |offset: &usize| self.from[*offset..][..BLOCK] == to[at..][..BLOCK];
        let matches = offsets.take(CANDIDATES_MAX).filter(is_same).map(|offset| {
            let end = at + common(&self.from[offset..], &to[at..]);
            // What began earlier by more than a block was found there.
            let earlier = self.from[..offset].iter().rev().zip(to[done..at].iter().rev()).take(BLOCK);
            let before = earlier.take_while(|(source, target)| source == target).count();
            Match { start: at - before, end, offset: offset - before }
        });
        matches.max_by_key(|found| found.end - found.start)
    }
}

/// How many bytes two begin with in common.
fn common(one: &[u8], other: &[u8]) -> usize {
    let chunks = one.chunks_exact(BLOCK).zip(other.chunks_exact(BLOCK));
    let same = chunks.take_while(|(one, other)| one == other).count() * BLOCK;
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

fn common_at_end(one: &[u8], other: &[u8]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

/// The hash of a block, which moves on byte by byte: the sum of the bytes, and of each times its distance from the end.
#[derive(Clone, Copy)]
struct Window {
    sum: u16,
    weighted: u16,
}

impl Window {
    fn of(block: &[u8]) -> Self {
        block.iter().fold(Self { sum: 0, weighted: 0 }, |window, &byte| window.add(byte))
    }

    fn add(self, byte: u8) -> Self {
        let sum = self.sum.wrapping_add(byte.into());
        Self { sum, weighted: self.weighted.wrapping_add(sum) }
    }

    fn roll(self, first: u8, next: u8) -> Self {
        let first = u16::from(first);
        let rest =
            Self { sum: self.sum.wrapping_sub(first), weighted: self.weighted.wrapping_sub(first << BLOCK.ilog2()) };
        rest.add(next)
    }

    /// Which of so many, a power of two.
    fn bucket(self, count: usize) -> usize {
        let whole = u64::from(self.sum) | u64::from(self.weighted) << 16;
        (whole.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (count - 1)
    }
}

/// The sum of all words of four bytes, the first byte the highest; the last word is filled up with zeros.
fn checksum(target: &[u8]) -> u32 {
    let (words, rest) = target.as_chunks();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0, |sum, word| sum.wrapping_add(u32::from_be_bytes(*word)))
}

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// The number in front, which may have no digit and is 0 then.
fn number(rest: &mut &[u8]) -> Result<usize, DeltaError> {
    let mut number = 0_usize;
    while let Some(value) = rest.first().and_then(|byte| DIGITS.iter().position(|digit| digit == byte)) {
        number = number.checked_mul(64).ok_or(DeltaError::Malformed)? | value;
        *rest = &rest[1..];
    }
    Ok(number)
}

/// The character that says what the number before it was.
fn mark(rest: &mut &[u8]) -> Result<u8, DeltaError> {
    let (&mark, behind) = rest.split_first().ok_or(DeltaError::Malformed)?;
    *rest = behind;
    Ok(mark)
}
