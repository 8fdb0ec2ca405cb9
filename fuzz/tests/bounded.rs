//! Every target for a bounded time on stable Rust: first the corpus as it is, which includes every crash ever found, then
//! mutations of it. FUZZ_SECONDS sets the time for each target (2 unless said otherwise), FUZZ_SEED the mutations.

use std::{
    env, fs,
    panic::catch_unwind,
    time::{Duration, Instant},
};

/// Longest input, in bytes.
const INPUT_BYTES_MAX: usize = 20_000;

#[test]
fn frame() {
    fuzz("frame", tidings_fuzz::frame);
}

#[test]
fn handshake() {
    fuzz("handshake", tidings_fuzz::handshake);
}

#[test]
fn deflate() {
    fuzz("deflate", tidings_fuzz::deflate);
}

#[test]
fn connection() {
    fuzz("connection", tidings_fuzz::connection);
}

#[test]
fn json() {
    fuzz("json", tidings_fuzz::json);
}

#[test]
fn protobuf() {
    fuzz("protobuf", tidings_fuzz::protobuf);
}

#[test]
fn delta() {
    fuzz("delta", tidings_fuzz::delta);
}

#[test]
fn markup() {
    fuzz("markup", tidings_fuzz::message);
}

fn fuzz(name: &str, target: fn(&[u8])) {
    let folder = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|input| run(name, target, input));
    let seed = number("FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 32 | 0x9e37_79b9);
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(2));
    let (mut random, mut runs) = (Random(seed | 1), 0u64);
    while Instant::now() < end {
        for _ in 0..64 {
            run(name, target, &mutated(&corpus, &mut random));
            runs += 1;
        }
    }
    println!("{name}: {} inputs of the corpus and {runs} mutations, seed {seed}", corpus.len());
}

/// Runs one input; one that breaks a promise is kept, to be moved into the corpus.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(|| target(input)) {
        let file = env::temp_dir().join(format!("tidings-fuzz-{name}-{}", std::process::id()));
        fs::write(&file, input).unwrap();
        eprintln!("the input is in {}: move it to fuzz/corpus/{name}", file.display());
        std::panic::resume_unwind(panic);
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

/// Two inputs spliced, and a few bytes changed, inserted, removed or repeated.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    if random.below(4) == 0 {
        let other = &corpus[random.below(corpus.len())];
        input.truncate(random.below(input.len() + 1));
        input.extend_from_slice(&other[random.below(other.len() + 1)..]);
    }
    for _ in 0..random.below(6) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 if at < input.len() => input[at] = random.byte(),
            1 if at < input.len() => input[at] ^= 1 << random.below(8),
            2 => input.insert(at, random.byte()),
            3 if at < input.len() => drop(input.remove(at)),
            4 => {
                let interesting = [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x88, 0x89, 0xc1, 0xfe, 0xff];
                input.insert(at, interesting[random.below(interesting.len())]);
            }
            _ => {
                let end = at + random.below(input.len() + 1 - at);
                let repeated = input[at..end].to_vec();
                for _ in 0..random.below(20) {
                    input.splice(at..at, repeated.iter().copied());
                }
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
    input
}

/// xorshift64*: quick, and the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
