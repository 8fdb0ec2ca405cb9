//! Deltas in the format of Fossil: what others make of ours (`golden/deltas.jsonl`, which `tests/sdk/node/golden.test.mjs`
//! of the whole project gives to the JavaScript SDK), whole characters in JSON, and how much making one costs at worst.

use proptest::prelude::*;
use serde::Deserialize;
use tidings_protocol::fossil::{self, DeltaError, TARGET_BYTES_MAX};
use tidings_protocol::{Chained, EncodeError, Encoding, Payload};

const GOLDEN: &str = include_str!("../golden/deltas.jsonl");

#[derive(Deserialize)]
struct Golden {
    from: String,
    to: String,
    delta: String,
}

fn golden() -> Vec<Golden> {
    GOLDEN.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(text: &str) -> Payload {
    Payload::parse(text.as_bytes()).unwrap()
}

#[test]
fn every_golden_delta_is_what_we_make_and_is_applied() {
    for Golden { from, to, delta } in golden() {
        assert_eq!(fossil::create_text(&from, &to), delta, "{from} -> {to}");
        assert_eq!(fossil::apply(from.as_bytes(), delta.as_bytes()).unwrap(), to.as_bytes());
        let of_bytes = fossil::create(from.as_bytes(), to.as_bytes());
        assert_eq!(fossil::apply(from.as_bytes(), &of_bytes).unwrap(), to.as_bytes());
        assert!(of_bytes.len() <= delta.len(), "whole characters cost a few bytes at most");
    }
}

#[test]
fn what_copies_from_anywhere_and_in_any_order_is_applied() {
    // 11 characters: the second half, the first, a space, and a part again; the checksum is the sum of three words.
    let made = b"worldhello worl";
    let sum = made
        .chunks(4)
        .map(|part| part.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (4 - part.len())));
    let checksum = sum.fold(0, u32::wrapping_add);
    let digits = |mut number: u32| {
        let mut text = Vec::new();
        while number > 0 {
            text.insert(0, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"[number as usize % 64]);
            number /= 64;
        }
        String::from_utf8(text).unwrap()
    };
    let delta = format!("F\n5@6,5@0,1: 4@6,{};", digits(checksum));
    assert_eq!(fossil::apply(b"hello world", delta.as_bytes()).unwrap(), made);
}

/// A delta comes from the other side: it is not believed.
#[test]
fn a_delta_of_another_source_or_none_at_all_is_refused() {
    use DeltaError::{Malformed, OtherSource, TooLarge};
    let from = b"the quick brown fox jumps over the lazy dog";
    let to = b"the quick brown fox leaps over the lazy dog!";
    let delta = fossil::create(from, to);
    assert_eq!(fossil::apply(b"the quick brown cat jumps over the lazy dog", &delta), Err(OtherSource));
    assert_eq!(fossil::apply(b"the quick", &delta), Err(OtherSource));
    for cut in 0..delta.len() {
        assert!(fossil::apply(from, &delta[..cut]).is_err(), "the first {cut} bytes of a delta");
    }
    for (bad, why) in [
        (&b""[..], Malformed),
        (b"\n", Malformed),
        (b"3", Malformed),
        (b"3\nx;", Malformed),
        (b"3\n3:abc0;", OtherSource),
        (b"2\n3:abc0;", Malformed),
        (b"4\n3:abc0;", Malformed),
        (b"3\n3:ab", Malformed),
        (b"3\n3@0;", Malformed),
        (b"3\n3@zzzzzzzz,0;", OtherSource),
        (b"~~~~~~~~~~~~\n0;", Malformed),
        (b"0\n0;more", Malformed),
        (b"~~~~~~~\n1@0,", TooLarge),
    ] {
        assert_eq!(fossil::apply(from, bad), Err(why), "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn a_target_has_a_maximum_however_small_the_delta_is() {
    let from = [b'x'; 1 << 20];
    let mut delta = b"100~\n".to_vec(); // 16 MiB and 63 bytes in digits of 64
    delta.extend(b"4000@0,".repeat(20));
    assert_eq!(fossil::apply(&from, &delta), Err(DeltaError::Malformed), "more is copied than was said");
    assert_eq!(TARGET_BYTES_MAX, 16 << 20);
    assert_eq!(fossil::apply(&from, b"10001\n4000@0,"), Err(DeltaError::TooLarge));
}

/// The trap of the format in JSON: half a character is no text, and the reader could not apply it (4.17).
#[test]
fn in_json_both_are_strings_of_text_and_what_changes_is_whole_characters() {
    for Golden { from, to, delta } in golden() {
        let Chained { full, delta: written } = Encoding::Json.chain(Some(&json(&from)), &json(&to)).unwrap();
        assert_eq!(full.to_value::<String>().unwrap(), to, "the text in a string");
        match written {
            Some(written) => {
                assert_eq!(written.to_value::<String>().unwrap(), delta);
                assert!(written.as_bytes().len() < full.as_bytes().len());
            }
            None => assert!(delta.len() + 2 >= to.len(), "{from} -> {to}"),
        }
    }
}

#[test]
fn without_what_was_before_there_is_no_delta_and_json_is_a_string_nevertheless() {
    let data = json(r#"{"k":"v"}"#);
    let chained = Encoding::Json.chain(None, &data).unwrap();
    assert_eq!((chained.full.as_json(), chained.delta), (Some(r#""{\"k\":\"v\"}""#), None));
    assert_eq!(Encoding::Protobuf.chain(None, &data).unwrap(), Chained { full: data.clone(), delta: None });
    assert_eq!(Encoding::Json.chain(Some(&json("1")), &json("2")).unwrap().delta, None, "it would be longer");
}

#[test]
fn bytes_that_are_json_are_chained_as_such_and_others_only_in_protobuf() {
    let (from, to) = (format!("[\n{}1]", "1,\n".repeat(50)), format!("[\n{}2]", "1,\n".repeat(50)));
    let [before, after] = [&from, &to].map(|text| Payload::from_bytes(text.as_bytes()));
    let Chained { full, delta } = Encoding::Json.chain(Some(&before), &after).unwrap();
    let one_line = |text: &str| text.replace('\n', " ");
    assert_eq!(full.to_value::<String>().unwrap(), one_line(&to), "as it is written otherwise");
    let delta: String = delta.unwrap().to_value().unwrap();
    assert_eq!(fossil::apply(one_line(&from).as_bytes(), delta.as_bytes()).unwrap(), one_line(&to).as_bytes());

    let delta = Encoding::Protobuf.chain(Some(&before), &after).unwrap().delta.unwrap();
    assert_eq!(fossil::apply(from.as_bytes(), delta.as_bytes()).unwrap(), to.as_bytes(), "byte for byte");

    let noise = Payload::from_bytes(&[0xff; 100]);
    assert!(matches!(Encoding::Json.chain(Some(&before), &noise), Err(EncodeError::NotJson(_))));
    assert_eq!(Encoding::Json.chain(Some(&noise), &after).unwrap().delta, None);
}

/// Something of that many bytes without repetition.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..bytes).map(|_| next()).collect()
}

/// Time that this thread has had on a processor, in nanoseconds; where the kernel does not say, time that has passed.
fn processor_time() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = said.and_then(|said| said.split(' ').next()?.parse().ok());
    nanoseconds.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// By so much the processor's time may be behind, in nanoseconds.
const TICK: u64 = 20_000_000;

/// Measured against itself and on its own processor's time, so that it says the same on a busy machine: what repeats is the
/// worst there is.
#[test]
fn the_time_that_a_delta_takes_grows_with_its_size_and_not_with_its_square() {
    type Make = fn(usize) -> (Vec<u8>, Vec<u8>);
    let kinds: [(&str, Make); 5] = [
        ("nothing in common", |size| (noise(size), noise(2 * size).split_off(size))),
        ("zeros", |size| (vec![0; size], vec![0; size])),
        ("zeros with a one here and there", |size| {
            let ones = |step| (0..size).map(|at| u8::from(at % step == 0)).collect();
            (ones(33), ones(31))
        }),
        ("one block of all, again and again", |size| (noise(16).repeat(size / 16), noise(17).repeat(size / 17))),
        ("a changed byte in each kilobyte", |size| {
            let from = noise(size);
            let to = from.iter().enumerate().map(|(at, byte)| if at % 1024 == 5 { !byte } else { *byte }).collect();
            (from, to)
        }),
    ];
    for (kind, make) in kinds {
        // As many bytes in all, in pieces of this size.
        let time = |size: usize| {
            let (from, to) = make(size);
            let took = (0..3).map(|_| {
                let began = processor_time();
                let deltas: Vec<_> = (0..(512 << 10) / size).map(|_| fossil::create(&from, &to)).collect();
                let took = processor_time() - began;
                assert_eq!(fossil::apply(&from, &deltas[0]).unwrap(), to, "{kind}");
                took
            });
            took.min().unwrap()
        };
        let (small, large) = (time(64 << 10), time(512 << 10));
        println!("{kind}: {small} ns for eight times 64 KiB, {large} ns for 512 KiB");
        assert!(large < 4 * small + TICK, "{kind}: in one piece it took {large} ns, in eight {small} ns");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_made_of_texts_is_text_and_brings_back_the_second(
        parts in prop::collection::vec("[a-c]{0,20}|[äöü]{0,9}|[天地玄黄]{0,9}|[😀😁]{0,5}", 0..12),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[a-c]{0,3}|[äè天😀]{0,2}"), 0..6),
    ) {
        let from: Vec<char> = parts.concat().chars().collect();
        let mut to = from.clone();
        for (place, text) in edits {
            let at = place.index(to.len() + 1);
            let until = to.len().min(at + text.chars().count() % 2);
            to.splice(at..until, text.chars());
        }
        let [from, to] = [from, to].map(String::from_iter);
        let delta = fossil::create_text(&from, &to);
        prop_assert_eq!(fossil::apply(from.as_bytes(), delta.as_bytes()).unwrap(), to.as_bytes());
    }

    #[test]
    fn what_is_made_of_bytes_brings_back_the_second(
        from in prop::collection::vec(0..3_u8, 0..400),
        to in prop::collection::vec(0..3_u8, 0..400),
        cut in any::<prop::sample::Index>(),
    ) {
        let to = [&from[cut.index(from.len() + 1)..], &to, &from[..cut.index(from.len() + 1)]].concat();
        let delta = fossil::create(&from, &to);
        prop_assert_eq!(fossil::apply(&from, &delta).unwrap(), to);
    }

    #[test]
    fn applying_any_bytes_never_panics(from in "[a-z]{0,20}", delta in "[0-9a-c~@,:;\n]{0,30}") {
        let _ = fossil::apply(from.as_bytes(), delta.as_bytes());
    }
}
