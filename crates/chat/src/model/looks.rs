//! How a name looks: which characters cannot be seen in it, and which names are the same to a reader.
//!
//! Three grades. What cannot be seen is refused, except where a script or an emoji needs it. Names are the *same* when they
//! differ in case, width and the like only; they *look alike* when a reader may take one for the other (Unicode Technical
//! Standard 39). The first is for refusing, the second for marking: it also says it of many that nobody would confuse.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::confusable_detection::skeleton;

use crate::limits::NAME_MARKS_MAX;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// The combining class of the sign that joins two consonants in the scripts of India (Unicode §4.3).
const VIRAMA: u8 = 9;
/// The flags of England, Scotland and Wales: a black flag and the letters of the country, which are invisible by themselves.
const FLAGS: [&str; 3] = [
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

/// Takes no room on the screen, or an empty one: white space, what Unicode lets a display ignore, and the signs that are
/// blank by design.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || is_ignorable(c)
        // Braille without a dot, a musical note without a head, marks of annotations, and what stands for an object.
        || matches!(c, '\u{2800}' | '\u{1d159}' | '\u{fff9}'..='\u{fffc}')
}

/// Unicode's property Default_Ignorable_Code_Point: what the skeleton leaves out.
fn is_ignorable(c: char) -> bool {
    !c.is_ascii() && skeleton(c.encode_utf8(&mut [0; 4])).next().is_none()
}

/// Whether something in the name cannot be seen and is not needed by what stands around it. Spaces are no matter here.
pub(super) fn has_invisible(name: &str) -> bool {
    let name = FLAGS.iter().fold(name.to_owned(), |name, flag| name.replace(flag, "\u{1f3f4}"));
    let characters: Vec<char> = name.chars().collect();
    characters.iter().enumerate().any(|(index, &c)| {
        let (before, after) = (&characters[..index], characters.get(index + 1).copied());
        is_unshown(c) || (c != ' ' && is_blank(c) && !is_needed(c, before, after))
    })
}

/// What nobody's fonts show, or everybody's in another way: private use, what Unicode keeps free for ever, and the marks of
/// musical notes, which have no note to stand on here.
fn is_unshown(c: char) -> bool {
    let is_no_character = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    let is_of_music = matches!(c, '\u{1d100}'..='\u{1d24f}') && is_mark(c);
    is_no_character || is_of_music || c.general_category() == GeneralCategory::PrivateUse
}

/// Whether a mark stands on nothing or on a letter of a script that is not its own, or more of them on one letter than any
/// language has.
pub(super) fn has_stray_mark(name: &str) -> bool {
    let (mut before, mut in_a_row) = (None, 0);
    name.nfd().any(|c| {
        let is_stray = is_mark(c) && !before.is_some_and(|before| fits(c, before));
        // Those that take room beside the letter end a row: Burmese has many.
        let is_stacked =
            matches!(c.general_category(), GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark);
        in_a_row = if is_stacked { in_a_row + 1 } else { 0 };
        before = Some(c);
        is_stray || in_a_row > NAME_MARKS_MAX
    })
}

/// Whether the mark is for any letter, or both are of one script.
fn fits(mark: char, before: char) -> bool {
    matches!(mark.script(), Script::Inherited | Script::Common)
        || !mark.script_extension().intersection(before.script_extension()).is_empty()
}

/// Whether an invisible character does something between what comes before and the next one.
fn is_needed(c: char, all_before: &[char], after: Option<char>) -> bool {
    let Some((&before, earlier)) = all_before.split_last() else { return false };
    match c {
        // Without them some words of the scripts of India, and of those whose letters are joined, are others (RFC 5892 A).
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER if is_virama(before) => {
            earlier.last().is_some_and(|&letter| is_part_of_word(letter) && fits(before, letter))
        }
        // Bengali ya after ra, as in Rachel.
        ZERO_WIDTH_JOINER if after.is_some_and(|after| is_virama(after) && fits(after, before)) => {
            is_part_of_word(before)
        }
        ZERO_WIDTH_NON_JOINER => is_joined(before) && after.is_some_and(is_joined),
        // A family of emoji, some of them with a colour of skin or asked for as pictures.
        ZERO_WIDTH_JOINER => {
            let is_picture = is_emoji(before) || before == '\u{fe0f}';
            (is_picture && after.is_some_and(is_emoji)) || (is_joined(before) && after.is_some_and(is_joined))
        }
        // As text or as a picture; digits only on a key.
        '\u{fe0e}' | '\u{fe0f}' => is_emoji(before) || (before.is_emoji_char() && after == Some('\u{20e3}')),
        // Which of the shapes of a Han character: families insist on theirs.
        '\u{e0100}'..='\u{e01ef}' => before.script() == Script::Han,
        _ => false,
    }
}

/// Unicode counts digits too, which are emoji only as part of one.
fn is_emoji(c: char) -> bool {
    c.is_emoji_char() && !c.is_ascii()
}

fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == VIRAMA
}

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

fn is_part_of_word(c: char) -> bool {
    is_mark(c) || c.general_category_group() == GeneralCategoryGroup::Letter
}

/// A letter or mark of a script whose letters are joined.
fn is_joined(c: char) -> bool {
    let joined = [Script::Arabic, Script::Syriac, Script::Mongolian, Script::Nko, Script::Mandaic];
    // Vowel signs of Arabic belong to several scripts.
    is_part_of_word(c)
        && (joined.contains(&c.script()) || joined.iter().any(|script| c.script_extension().contains_script(*script)))
}

/// The same for names that are the same to a reader who does not care for case: compatibility forms decomposed, case folded
/// letter by letter, nothing invisible, one space between words.
pub(super) fn folded(name: &str) -> String {
    let plain = name.nfkc().filter(|c| !is_ignorable(*c)).collect::<String>();
    // Upwards first, so that what has one capital becomes one: ß and ss, the two sigmas.
    let folded = plain.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect::<String>();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same for names of which a reader may take one for the other.
pub(super) fn look(name: &str) -> String {
    // Capitals resemble other letters than small ones do, so once before folding and once after.
    let folded = folded(&skeleton(name).collect::<String>());
    // A small i folds from the capital I, which resembles l; so they are one.
    skeleton(&folded).map(|c| if matches!(c, 'i' | 'ı') { 'l' } else { c }).filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_emoji_and_scripts_need_stays_possible() {
        let needed = [
            "👩\u{200d}👩\u{200d}👧\u{200d}👦",
            "🧑🏽\u{200d}🔬 Ana",
            "❤\u{fe0f}\u{200d}🔥",
            "1\u{fe0f}\u{20e3} Team",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "علی\u{200c}رضا",
            "क्\u{200d}ष",
            "ක්\u{200d}\u{dbb}ි",
            "葛\u{e0100}城",
            "🇩🇪 Team",
            "#\u{fe0f}\u{20e3}",
            "©\u{fe0f} Ana",
            "🏳\u{fe0f}\u{200d}⚧\u{fe0f}",
            "👁\u{fe0f}\u{200d}🗨\u{fe0f}",
            "🧔🏿\u{200d}♂\u{fe0f}",
            "👩\u{200d}🦰",
            // Malayalam as it was written before chillu letters, Bengali Rachel and RAB, Sinhala Sri, Hindi with a nukta.
            "അവന്\u{200d}",
            "র\u{200d}্যাচেল",
            "র\u{200d}\u{9cd}যাব",
            "ශ\u{dca}\u{200d}රී",
            "क\u{93c}\u{94d}\u{200d}य",
        ];
        for name in needed {
            assert!(!has_invisible(name) && !has_stray_mark(name), "{name:?}");
        }
    }

    #[test]
    fn names_that_people_have_stay_possible_however_many_marks_they_need() {
        let names = [
            // Vietnamese, composed and not; Lithuanian, Yoruba, Navajo, Polytonic Greek; Cyrillic with stress.
            "Nguyễn Thị Hồng Ngọc",
            "Nguye\u{302}\u{303}n Thi\u{323} Ho\u{302}\u{300}ng Ngo\u{323}c",
            "Rūta Jurgi\u{307}\u{301}s",
            "Ọlábísí E\u{323}\u{301}",
            "Hó\u{328}zhǫ\u{301}",
            "ᾍδης \u{3b1}\u{313}\u{301}\u{345}",
            "Ива\u{301}н Їжак",
            // Thai, Lao, Khmer, Burmese (five signs on one letter, some beside it), Tibetan.
            "ณัฐวุฒิ ปิ่นทอง น้ำผึ้ง",
            "ກິ່ງແກ້ວ",
            "ស្រីមុំ កញ្ញា",
            "ရွှေမြွှောင့်",
            "လျှော့",
            "བསྒྲུབས་ཧཱུྃ",
            // Devanagari, Bengali, Tamil, Telugu, Kannada, Malayalam, Sinhala, Gurmukhi, Gujarati.
            "श्रीकृष्ण लक्ष्मी ढ़ाँचा",
            "শ্রাবন্তী চট্টোপাধ্যায়",
            "ஸ்ரீராம்",
            "కృష్ణమూర్తి",
            "ಲಕ್ಷ್ಮೀ",
            "ശ്രീകൃഷ്ണൻ",
            "ක්‍රිෂාන්",
            "ਸੰਦੀਪ ਸਿੰਘ",
            "ઋત્વિક્",
            // Arabic with its marks, Persian, Urdu, Syriac; Hebrew with points and accents; Dhivehi; N'Ko.
            "مُحَمَّدٌ عَبْدُ ٱللَّٰه",
            "آرش أحمد مؤمن",
            "شَ\u{651}\u{670}",
            "ܝܘܿܚܲܢܵܢ",
            "שִׁמְע֥וֹן בְּרֵאשִׁ֖ית",
            "އަޙްމަދު",
            "ߒߞߏ\u{7eb}",
            // Kana with separate marks of voice, old Hangul with a tone, Mongolian.
            "か\u{3099}んは\u{309a}",
            "홍길동 \u{1112}\u{119e}\u{11ab}\u{302e}",
            "ᠪᠠᠲᠤ",
            // Pictures, also with a mark around them; half a smile.
            "👨\u{200d}👩\u{200d}👧\u{200d}👦 🇻🇳 5\u{fe0f}\u{20e3} 7\u{20e3} 📱\u{20e0}",
            "( \u{361}° \u{35c}ʖ \u{361}°)",
            "O'Neill-Łukasz, Jr. ½ № ™ ⅷ 1️⃣",
        ];
        for name in names {
            for name in [name.to_owned(), name.nfc().collect(), name.nfd().collect()] {
                assert!(!has_stray_mark(&name), "{name:?}");
                assert!(!has_invisible(&name), "{name:?}");
            }
        }
    }

    #[test]
    fn a_mark_needs_a_letter_of_its_own_script_and_has_few_beside_it() {
        let heap = format!("a{}", "\u{301}".repeat(79));
        let thai = format!("ก{}", "\u{e47}".repeat(8));
        for name in
            ["\u{338}\u{338}\u{338}", "\u{301}Ana", "\u{94d}", "Ana\u{94d}", "Ан\u{e38}", "ই\u{bbf}", &heap, &thai]
        {
            assert!(has_stray_mark(name), "{name:?}");
        }
    }

    #[test]
    fn what_does_nothing_where_it_stands_is_seen_through() {
        let idle = [
            "Ana\u{200d}",
            "\u{200d}Ana",
            "A\u{200c}na",
            "Ana\u{fe0f}",
            "👩\u{200d}",
            "👩\u{200d}Ana",
            "Ана\u{200c}Б",
            "🏴\u{e0067}",
            "Ana\u{e0100}",
            "Ana\u{180e}B",
            "Ana\u{feff}B",
            "ع\u{200c}",
            "Ana\u{115f}",
            "1\u{200d}2",
            "#\u{200d}#",
            "1\u{fe0f}",
            "Ana 1\u{fe0f}\u{200d}2",
            "Ana\u{94d}\u{200d} Berg",
            "\u{94d}\u{200d}",
            "A\u{200d}\u{94d}",
            "क\u{200d}ष",
            "\u{e000}",
            "Ana\u{f8ff}",
            "Ana\u{100000}",
            "Ana\u{fdd0}",
            "Ana\u{ffff}",
            "Ana\u{1fffe}",
            "Ana\u{1d16e}",
        ];
        for name in idle {
            assert!(has_invisible(name), "{name:?}");
        }
    }

    #[test]
    fn the_same_name_is_the_same_in_any_case_width_and_spacing() {
        for (one, other) in [
            ("General", "GENERAL"),
            ("General", "Ｇｅｎｅｒａｌ"),
            ("Straße", "STRASSE"),
            ("ΣΑΣ", "σας"),
            ("Café", "Cafe\u{301}"),
            ("My  room", "my room"),
            ("Gen\u{200b}eral", "general"),
            ("ﬁsh", "FISH"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [("Ana", "Anna"), ("Ana", "Аna"), ("Café", "Cafe"), ("my room", "myroom")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }

    #[test]
    fn names_that_look_alike_are_marked() {
        for (one, other) in [
            ("Ana", "Аnа"),
            ("paypal", "paypaI"),
            ("Bill", "BILL"),
            ("Admin", "Adm1n"),
            ("Modern", "Modem"),
            ("ana", "ANA"),
            ("O\u{200d}la", "Ola"),
            ("Room 0", "Room O"),
        ] {
            assert_eq!(look(one), look(other), "{one} {other}");
        }
        for (one, other) in [("Ana", "Ben"), ("Ana", "Anna"), ("Café", "Cafe")] {
            assert_ne!(look(one), look(other), "{one} {other}");
        }
    }
}
