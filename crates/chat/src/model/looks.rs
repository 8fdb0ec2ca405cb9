//! How a name looks: which characters cannot be seen in it, and which names are the same to a reader.
//!
//! Three grades. What cannot be seen is refused, except where a script or an emoji needs it. Names are the *same* when they
//! differ in case, width and the like only; they *look alike* when a reader may take one for the other (Unicode Technical
//! Standard 39). The first is for refusing, the second for marking: it also says it of many that nobody would confuse.

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};
use unicode_properties::{GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, UnicodeScript};
use unicode_security::confusable_detection::skeleton;

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
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied();
    characters.iter().enumerate().any(|(index, &c)| {
        let (before, after) = (at(index.checked_sub(1)), at(index.checked_add(1)));
        c != ' ' && is_blank(c) && !is_needed(c, before, after)
    })
}

/// Whether an invisible character does something between these two.
fn is_needed(c: char, before: Option<char>, after: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        // Without them some words of the scripts of India, and of those whose letters are joined, are others (RFC 5892 A).
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER if canonical_combining_class(before) == VIRAMA => true,
        ZERO_WIDTH_NON_JOINER => is_joined(before) && after.is_some_and(is_joined),
        // A family of emoji, some of them with a colour of skin or asked for as pictures.
        ZERO_WIDTH_JOINER => {
            let is_picture = before.is_emoji_char() || before == '\u{fe0f}';
            (is_picture && after.is_some_and(UnicodeEmoji::is_emoji_char))
                || (is_joined(before) && after.is_some_and(is_joined))
        }
        // As text or as a picture.
        '\u{fe0e}' | '\u{fe0f}' => before.is_emoji_char(),
        // Which of the shapes of a Han character: families insist on theirs.
        '\u{e0100}'..='\u{e01ef}' => before.script() == Script::Han,
        _ => false,
    }
}

/// A letter or mark of a script whose letters are joined.
fn is_joined(c: char) -> bool {
    let joined = [Script::Arabic, Script::Syriac, Script::Mongolian, Script::Nko, Script::Mandaic];
    let is_part = matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark);
    // Vowel signs of Arabic belong to several scripts.
    is_part
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
        ];
        for name in needed {
            assert!(!has_invisible(name), "{name:?}");
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
