//! Patterns of keys and channels, prepared for being matched often.

use crate::util::glob;

/// A glob pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<[u8]>,
    kind: Kind,
}

/// What has to be looked at. Redis: only the empty pattern matches empty text.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The text is the pattern.
    Literal,
    /// So many bytes, then whatever comes.
    Prefix(usize),
    /// All that patterns can be.
    Glob,
}

impl Pattern {
    /// Prepares a pattern.
    pub fn new(text: &[u8]) -> Pattern {
        let special = |byte: &u8| matches!(byte, b'*' | b'?' | b'[' | b'\\');
        let kind = match text.iter().position(special) {
            None => Kind::Literal,
            Some(end) if text[end..].iter().all(|byte| *byte == b'*') => Kind::Prefix(end),
            Some(_) => Kind::Glob,
        };
        Pattern {
            text: text.into(),
            kind,
        }
    }

    /// The pattern as it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether all of the text matches.
    #[inline]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self.kind {
            Kind::Literal => *self.text == *text,
            Kind::Prefix(len) => !text.is_empty() && text.starts_with(&self.text[..len]),
            Kind::Glob => glob::matches(&self.text, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prepared_patterns_match_as_others(
            pattern in "[ab*?\\[\\]^\\\\-]{0,6}",
            text in "[ab*]{0,6}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::new(pattern).matches(text), glob::matches(pattern, text));
        }
    }
}
