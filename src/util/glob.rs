//! Glob patterns as KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules know
//! them: `*`, `?`, `[a-z]`, `[^a-z]` and `\` before a literal.
//!
//! The corners are Redis's: an unterminated class ends with the pattern, a
//! trailing `\` is a literal, reversed ranges are turned round, range bounds
//! compare as signed bytes, and only an empty pattern matches empty text.
//!
//! Every element but `*` takes exactly one byte. So when a match fails, only
//! the last `*` can help by taking one byte more, and what follows the last `*`
//! has one place where it can be. The work is bounded by pattern length times
//! text length, and linear for plain text between stars; nothing recurses.

use memchr::memmem;

/// Whether the whole of `text` matches `pattern`, bytes compared exactly.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    run::<false>(pattern, text)
}

/// Whether the whole of `text` matches `pattern`, ASCII letters folded.
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    run::<true>(pattern, text)
}

/// Whether `pattern` has a character that makes it more than a literal name
/// for CONFIG GET and for includes (an escape alone does not).
pub fn is_pattern(pattern: &[u8]) -> bool {
    pattern
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

fn run<const FOLD: bool>(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut at) = (pattern, 0);
    // What follows the last `*`, and where in the text it was tried last.
    let mut last_star: Option<(&[u8], usize)> = None;
    loop {
        if let [b'*', tail @ ..] = rest {
            rest = tail;
            let part = Part::up_to_star::<FOLD>(rest);
            if part.ends_pattern {
                // Only one place is left for it: the end of the text.
                match text.len().checked_sub(part.length) {
                    Some(start) if start >= at => at = start,
                    _ => return false,
                }
                last_star = None;
            } else if part.literal && !FOLD {
                let Some(found) = memmem::find(&text[at..], &rest[..part.length]) else {
                    return false;
                };
                at += found + part.length;
                rest = &rest[part.length..];
                continue;
            } else {
                last_star = Some((rest, at));
            }
        }
        if at == text.len() {
            return rest.iter().all(|byte| *byte == b'*');
        }
        if !rest.is_empty() && rest[0] != b'*' {
            let (matched, tail) = element::<FOLD>(rest, text[at]);
            if matched {
                rest = tail;
                at += 1;
                continue;
            }
        } else if !rest.is_empty() {
            continue;
        }
        let Some((after, tried)) = last_star else {
            return false;
        };
        (rest, at) = (after, tried + 1);
        last_star = Some((after, tried + 1));
    }
}

/// The elements of a pattern up to its next `*`.
struct Part {
    /// In elements, which is also in bytes of text.
    length: usize,
    /// Plain bytes only.
    literal: bool,
    /// No `*` follows.
    ends_pattern: bool,
}

impl Part {
    fn up_to_star<const FOLD: bool>(mut rest: &[u8]) -> Part {
        let mut part = Part {
            length: 0,
            literal: true,
            ends_pattern: true,
        };
        while let Some(first) = rest.first() {
            match first {
                b'*' => {
                    part.ends_pattern = false;
                    break;
                }
                b'?' | b'[' | b'\\' => part.literal = false,
                _ => {}
            }
            rest = element::<FOLD>(rest, 0).1;
            part.length += 1;
        }
        part
    }
}

/// Matches one element of a non-empty pattern that does not start with `*`
/// against one byte; also returns the pattern after the element.
fn element<const FOLD: bool>(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    match pattern {
        [b'?', tail @ ..] => (true, tail),
        [b'[', tail @ ..] => class::<FOLD>(tail, byte),
        [b'\\', literal, tail @ ..] | [literal, tail @ ..] => {
            (fold::<FOLD>(*literal) == fold::<FOLD>(byte), tail)
        }
        [] => (false, pattern),
    }
}

/// Matches a class, from behind its `[`.
fn class<const FOLD: bool>(mut rest: &[u8], byte: u8) -> (bool, &[u8]) {
    let negated = matches!(rest, [b'^', ..]);
    if negated {
        rest = &rest[1..];
    }
    let mut found = false;
    loop {
        match rest {
            [] => return (found != negated, rest),
            // Redis: an escaped member is compared exactly, even without case.
            [b'\\', member, tail @ ..] => {
                found |= *member == byte;
                rest = tail;
            }
            [b']', tail @ ..] => return (found != negated, tail),
            [low, b'-', high, tail @ ..] => {
                let (low, high) = (*low as i8, *high as i8);
                let (low, high) = (low.min(high), low.max(high));
                let signed = |bound: i8| fold::<FOLD>(bound as u8) as i8;
                let byte = signed(byte as i8);
                found |= signed(low) <= byte && byte <= signed(high);
                rest = tail;
            }
            [member, tail @ ..] => {
                found |= fold::<FOLD>(*member) == fold::<FOLD>(byte);
                rest = tail;
            }
        }
    }
}

fn fold<const FOLD: bool>(byte: u8) -> u8 {
    if FOLD {
        byte.to_ascii_lowercase()
    } else {
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            matches(pattern.as_bytes(), text.as_bytes()),
            expected,
            "{pattern:?} against {text:?}"
        );
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", "anything", true);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h*llo", "hllo", true);
        check("h**llo", "heeello", true);
        check("*a*b", "xaxxb", true);
        check("*a*b", "xaxxbc", false);
        check("a*", "a", true);
        check("a**", "a", true);
        check("a*?", "a", false);
        check("abc", "abcd", false);
        check("abcd", "abc", false);
    }

    #[test]
    fn only_the_empty_pattern_matches_empty_text() {
        check("", "", true);
        check("*", "", false);
        check("", "a", false);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", "hallo", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-b]llo", "hbllo", true);
        check("h[b-a]llo", "hallo", true);
        check("[a\\]b]", "]", true);
        check("[\\^a]", "^", true);
        check("[]", "]", false);
        check("[abc", "b", true);
        check("[", "[", false);
        check("[^", "x", true);
        check("[a-", "-", true);
        check("[\\", "\\", true);
    }

    #[test]
    fn escapes() {
        check("h\\*llo", "h*llo", true);
        check("h\\*llo", "hello", false);
        check("a\\", "a\\", true);
        check("\\a", "a", true);
    }

    #[test]
    fn letters_fold_only_where_asked() {
        assert!(matches_nocase(b"MAX*Ry", b"maxmemory"));
        assert!(matches_nocase(b"[A-C]x", b"bX"));
        assert!(!matches_nocase(b"[\\A]", b"a"));
        assert!(!matches(b"MAX*", b"maxmemory"));
    }

    #[test]
    fn many_stars_cost_little() {
        let text = vec![b'a'; 10_000];
        let mut stars = b"*a".repeat(5_000);
        stars.push(b'b');
        let mut long_segment = vec![b'*'];
        long_segment.extend(vec![b'a'; 5_000]);
        long_segment.push(b'b');
        for pattern in [stars, long_segment] {
            let start = Instant::now();
            assert!(!matches(&pattern, &text));
            assert!(
                start.elapsed() < Duration::from_millis(50),
                "{:?}",
                start.elapsed()
            );
        }
    }

    /// The same language by dynamic programming over parsed elements.
    fn reference(mut pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        enum Part {
            Star,
            OneOf(Vec<bool>),
        }
        let mut parts = Vec::new();
        while let Some(first) = pattern.first() {
            if *first == b'*' {
                parts.push(Part::Star);
                pattern = &pattern[1..];
                continue;
            }
            let one = |byte| match nocase {
                true => element::<true>(pattern, byte),
                false => element::<false>(pattern, byte),
            };
            parts.push(Part::OneOf((0..=255).map(|byte| one(byte).0).collect()));
            pattern = one(0).1;
        }
        if text.is_empty() {
            return parts.is_empty();
        }
        let mut reachable = vec![false; text.len() + 1];
        reachable[0] = true;
        for part in &parts {
            let mut next = vec![false; text.len() + 1];
            match part {
                Part::Star => {
                    let mut seen = false;
                    for (index, slot) in next.iter_mut().enumerate() {
                        seen |= reachable[index];
                        *slot = seen;
                    }
                }
                Part::OneOf(set) => {
                    for (index, &byte) in text.iter().enumerate() {
                        next[index + 1] = reachable[index] && set[usize::from(byte)];
                    }
                }
            }
            reachable = next;
        }
        reachable[text.len()]
    }

    proptest! {
        #[test]
        fn agrees_with_dynamic_programming(
            pattern in prop::collection::vec(prop::sample::select(b"**??aabbAB[]^-\\\xff".to_vec()), 0..12),
            text in prop::collection::vec(prop::sample::select(b"aabbAB-]^\\\xff".to_vec()), 0..12),
        ) {
            prop_assert_eq!(matches(&pattern, &text), reference(&pattern, &text, false));
            prop_assert_eq!(matches_nocase(&pattern, &text), reference(&pattern, &text, true));
        }
    }
}
