//! A user: how to log in as it, and what it may do.

use sha2::{Digest, Sha256};

use super::Terms;
use super::rule::{RuleError, word};
use super::selector::Selector;

/// The SHA-256 of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Password([u8; 32]);

impl Password {
    /// The hash of a password.
    pub fn of(clear: &[u8]) -> Password {
        Password(Sha256::digest(clear).into())
    }

    /// From 64 lower-case hexadecimal digits.
    fn from_hex(digits: &[u8]) -> Option<Password> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Password(hash))
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        let pairs = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        pairs.map(digit).collect()
    }

    /// Compares in a time that does not depend on the contents.
    fn is(&self, other: &Password) -> bool {
        let pairs = self.0.iter().zip(other.0);
        pairs.fold(0, |bits, (a, b)| bits | (a ^ b)) == 0
    }
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    pub(super) name: Box<[u8]>,
    pub(super) enabled: bool,
    pub(super) nopass: bool,
    /// `sanitize-payload` or `skip-sanitize-payload` was said.
    pub(super) sanitize_payload: Option<bool>,
    pub(super) passwords: Vec<Password>,
    /// What it may do; the first is what rules outside of parentheses say.
    pub(super) selectors: Vec<Selector>,
    unrestricted: bool,
}

impl User {
    /// A user that can do nothing and cannot be logged in as.
    pub fn new(terms: &Terms<'_>, name: &[u8]) -> User {
        User {
            name: name.into(),
            enabled: false,
            nopass: false,
            sanitize_payload: None,
            passwords: Vec::new(),
            selectors: vec![Selector::new(terms)],
            unrestricted: false,
        }
    }

    /// The default user as it is where nothing is configured.
    pub fn new_default(terms: &Terms<'_>) -> User {
        let mut user = User::new(terms, super::DEFAULT_USER.as_bytes());
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            let applied = user.apply(terms, rule.as_bytes());
            debug_assert!(applied.is_ok(), "{rule} is a rule");
        }
        user
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether one can log in as it.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password fits.
    pub fn needs_no_password(&self) -> bool {
        self.nopass
    }

    /// Whether there is nothing that it may not do.
    #[inline]
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted
    }

    /// Whether `sanitize-dump-payload clients` excepts its payloads.
    pub fn skips_sanitizing(&self) -> bool {
        self.sanitize_payload == Some(false)
    }

    /// Its passwords.
    pub fn passwords(&self) -> &[Password] {
        &self.passwords
    }

    /// What it may do: a call must be allowed by one of them.
    #[inline]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Whether this logs in as it.
    pub(super) fn accepts(&self, password: &[u8]) -> bool {
        let given = Password::of(password);
        // Every candidate is compared, so the time says nothing about a match.
        let found = self
            .passwords
            .iter()
            .fold(false, |found, known| found | known.is(&given));
        self.enabled && (self.nopass || found)
    }

    /// Applies one rule, as ACL SETUSER knows them.
    ///
    /// # Errors
    /// The rule is wrong; the user may be used no more then.
    pub fn apply(&mut self, terms: &Terms<'_>, rule: &[u8]) -> Result<(), RuleError> {
        let applied = self.change(terms, rule);
        self.unrestricted = self.selectors.iter().any(Selector::is_unrestricted);
        applied
    }

    fn change(&mut self, terms: &Terms<'_>, rule: &[u8]) -> Result<(), RuleError> {
        match word(rule).to_ascii_lowercase().as_slice() {
            _ if rule.is_empty() => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"skip-sanitize-payload" => self.sanitize_payload = Some(false),
            b"sanitize-payload" => self.sanitize_payload = Some(true),
            b"nopass" => self.set_nopass(true),
            b"resetpass" => self.set_nopass(false),
            b"clearselectors" => self.selectors.truncate(1),
            b"reset" => self.reset(terms),
            _ => match rule {
                [b'>', clear @ ..] => self.add_password(Password::of(clear)),
                [b'<', clear @ ..] => self.remove_password(Password::of(clear))?,
                [b'#', hash @ ..] => {
                    let password = Password::from_hex(hash).ok_or(RuleError::BadHash)?;
                    self.add_password(password);
                }
                [b'!', hash @ ..] => {
                    let password = Password::from_hex(hash).ok_or(RuleError::BadHash)?;
                    self.remove_password(password)?;
                }
                [b'(', .., b')'] => self.selectors.push(Selector::parse(terms, rule)?),
                _ => self.root().apply(terms, rule)?,
            },
        }
        Ok(())
    }

    fn root(&mut self) -> &mut Selector {
        &mut self.selectors[0]
    }

    fn set_nopass(&mut self, nopass: bool) {
        self.nopass = nopass;
        self.passwords.clear();
    }

    fn add_password(&mut self, password: Password) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        self.nopass = false;
    }

    fn remove_password(&mut self, password: Password) -> Result<(), RuleError> {
        let known = self.passwords.iter().position(|known| *known == password);
        self.passwords
            .remove(known.ok_or(RuleError::NoSuchPassword)?);
        Ok(())
    }

    fn reset(&mut self, terms: &Terms<'_>) {
        self.set_nopass(false);
        self.enabled = false;
        self.sanitize_payload = Some(true);
        self.selectors = vec![Selector::new(terms)];
    }

    /// As it is, but with these rules applied in their order.
    ///
    /// # Errors
    /// The text for the user: what is wrong with them.
    pub fn with_rules<A: AsRef<[u8]>>(
        mut self,
        terms: &Terms<'_>,
        rules: &[A],
    ) -> Result<User, Vec<u8>> {
        let merged = super::merge_selectors(rules).map_err(|index| {
            let from = word(rules[index].as_ref());
            [
                b"Unmatched parenthesis in acl selector starting at '",
                from,
                b"'.",
            ]
            .concat()
        })?;
        for rule in merged {
            self.apply(terms, &rule).map_err(|error| {
                let mut text = b"Error in ACL SETUSER modifier '".to_vec();
                text.extend_from_slice(word(&rule));
                text.extend_from_slice(format!("': {error}").as_bytes());
                text
            })?;
        }
        Ok(self)
    }

    /// Whether all channels may be used.
    pub fn may_use_all_channels(&self) -> bool {
        self.selectors.iter().any(|selector| selector.all_channels)
    }

    /// Whether all channels that `old` might use may be used as before.
    pub fn keeps_channels_of(&self, old: &User) -> bool {
        let mut patterns = old.selectors.iter().flat_map(|selector| &selector.channels);
        self.may_use_all_channels()
            || (!old.may_use_all_channels()
                && patterns.all(|pattern| self.may_listen(pattern.text(), true)))
    }

    /// Whether a channel (or a pattern of channels) that a subscriber listens
    /// to may still be used. Redis: here the selectors count together.
    pub fn may_listen(&self, name: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| {
            if is_pattern {
                selector.allows_channel_pattern(name)
            } else {
                selector.allows_channel(name)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TERMS;
    use super::*;

    #[test]
    fn hashes_are_read_and_written() {
        let hash = Password::of(b"mypass").to_hex();
        assert_eq!(
            hash,
            "ea71c25a7a602246b4c39824b855678894a96f43bb9b71319c39700a1e045222"
        );
        assert_eq!(
            Password::from_hex(hash.as_bytes()),
            Some(Password::of(b"mypass"))
        );
        assert_eq!(
            Password::from_hex(hash.to_ascii_uppercase().as_bytes()),
            None
        );
        assert_eq!(Password::from_hex(&hash.as_bytes()[1..]), None);
    }

    #[test]
    fn only_full_rights_are_unrestricted() {
        let mut user = User::new_default(&TERMS);
        assert!(user.is_unrestricted());
        user.apply(&TERMS, b"-get").unwrap();
        assert!(!user.is_unrestricted());
        // Redis: one by one, it is not what it was.
        user.apply(&TERMS, b"+get").unwrap();
        assert!(!user.is_unrestricted());
        user.apply(&TERMS, b"(+@all allkeys allchannels)").unwrap();
        assert!(user.is_unrestricted());
    }
}
