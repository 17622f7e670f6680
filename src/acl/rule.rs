//! What is common to all rules: why one is refused, and how the arguments
//! that make up a selector are put together.

use std::fmt;

/// Why a rule is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    /// No such rule, or a character that may not be in it.
    Syntax,
    /// No such command or category.
    Unknown,
    /// A key pattern where all keys are allowed.
    AllKeysAlready,
    /// A channel pattern where all channels are allowed.
    AllChannelsAlready,
    /// A password to be removed that is none.
    NoSuchPassword,
    /// A hash that is none.
    BadHash,
    /// A first argument of a subcommand.
    ArgumentOfSubcommand,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Syntax => "Syntax error",
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::AllKeysAlready => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and \
                 does not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AllChannelsAlready => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid \
                 and does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            RuleError::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            RuleError::ArgumentOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
        })
    }
}

/// Whether text has a blank or a zero byte: no name or pattern may.
pub fn has_blanks(text: &[u8]) -> bool {
    text.iter()
        .any(|byte| matches!(byte, b' ' | b'\t'..=b'\r' | 0))
}

/// The text up to a zero byte. Redis: that is where words end.
pub(super) fn word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0);
    &text[..end.unwrap_or(text.len())]
}

/// Joins the arguments from one that begins with `(` to one that ends with
/// `)`: a selector may be spread over several.
///
/// # Errors
/// The index of the argument whose parenthesis is never closed.
pub fn merge_selectors<A: AsRef<[u8]>>(args: &[A]) -> Result<Vec<Vec<u8>>, usize> {
    let mut merged = Vec::with_capacity(args.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, arg) in args.iter().enumerate() {
        let arg = arg.as_ref();
        if arg.starts_with(b"(") && !arg.ends_with(b")") {
            // Redis: one that was open before is lost.
            open = Some((index, arg.to_vec()));
        } else if let Some((_, selector)) = &mut open {
            selector.push(b' ');
            selector.extend_from_slice(word(arg));
            if arg.ends_with(b")") {
                merged.extend(open.take().map(|(_, selector)| selector));
            }
        } else {
            merged.push(arg.to_vec());
        }
    }
    match open {
        Some((index, _)) => Err(index),
        None => Ok(merged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_put_together() {
        let merge = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            let merged = merge_selectors(&words);
            merged.map(|args| {
                let args = args.iter().map(|arg| String::from_utf8_lossy(arg));
                args.collect::<Vec<_>>().join(";")
            })
        };
        assert_eq!(merge("on (+get ~a) off").as_deref(), Ok("on;(+get ~a);off"));
        assert_eq!(merge("() ( +get )").as_deref(), Ok("();( +get )"));
        assert_eq!(merge("on (+get"), Err(1));
        assert_eq!(merge("(a (b c)").as_deref(), Ok("(b c)"));
        assert_eq!(merge("a) b").as_deref(), Ok("a);b"));
    }
}
