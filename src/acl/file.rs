//! Users from files: `user` lines of the configuration, and ACL files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rule::{RuleError, has_blanks, merge_selectors};
use super::user::User;
use super::users::Users;
use super::{DEFAULT_USER, Terms};

/// Why users may be in one place only.
pub const MIXED_SOURCES: &str = "Configuring Redis with users defined in redis.conf and at the \
same setting an ACL file path is invalid. This setup is very likely to lead to configuration \
errors and security holes, please define either an ACL file or declare users directly in your \
redis.conf, but not both.";

/// Checks a `user` line, whose words begin with the name, as far as it can be
/// before all commands are known.
///
/// # Errors
/// The index of the word that is wrong, and why.
pub fn check_configured(terms: &Terms<'_>, words: &[Vec<u8>]) -> Result<(), (usize, String)> {
    let (name, rules) = words.split_first().ok_or((0, String::new()))?;
    let rules = merge_selectors(rules).map_err(|index| {
        let reason = "Unmatched parenthesis in selector definition";
        (index + 1, reason.to_owned())
    })?;
    let mut user = User::new(terms, name);
    for rule in rules {
        match user.apply(terms, &rule) {
            Ok(()) | Err(RuleError::Unknown) => {}
            Err(error) => {
                // Of a selector that was put together, its first word.
                let is_of = |word: &Vec<u8>| !word.is_empty() && rule.starts_with(word);
                let at = words.iter().skip(1).position(is_of);
                return Err((at.map_or(0, |at| at + 1), error.to_string()));
            }
        }
    }
    Ok(())
}

/// The user of a `user` line.
///
/// # Errors
/// The text for the log.
pub fn configured_user(terms: &Terms<'_>, words: &[Vec<u8>]) -> Result<User, String> {
    let (name, rules) = words.split_first().ok_or("A user has no name")?;
    if has_blanks(name) {
        return Err("Spaces not allowed in ACL usernames".into());
    }
    let mut user = User::new(terms, name);
    if name == DEFAULT_USER.as_bytes() {
        // Redis: the default user is there already, and is reset.
        let _ = user.apply(terms, b"reset");
    }
    for rule in merge_selectors(rules).unwrap_or_default() {
        user.apply(terms, &rule).map_err(|error| {
            format!(
                "Error loading ACL rule '{}' for the user named '{}': {error}",
                String::from_utf8_lossy(&rule),
                String::from_utf8_lossy(name)
            )
        })?;
    }
    Ok(user)
}

impl Users {
    /// The users of an ACL file called `name`; all lines are read even where
    /// one is wrong.
    ///
    /// # Errors
    /// The text for the user: all that is wrong.
    pub fn read(terms: &Terms<'_>, name: &[u8], text: &[u8]) -> Result<Users, Vec<u8>> {
        let mut reader = Reader {
            terms,
            file: String::from_utf8_lossy(name).into_owned(),
            named: BTreeMap::new(),
            errors: Vec::new(),
        };
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            reader.line(index + 1, line.trim_ascii());
        }
        if !reader.errors.is_empty() {
            reader.complain(
                "WARNING: ACL errors detected, no change to the previously active ACL rules was \
                 performed",
            );
            return Err(reader.errors);
        }
        let mut users = Users::new(terms);
        for user in reader.named.into_values() {
            users.put(Arc::new(user));
        }
        Ok(users)
    }

    /// The text of an ACL file.
    pub fn to_file(&self, terms: &Terms<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for user in self.iter() {
            out.extend_from_slice(b"user ");
            out.extend_from_slice(&user.line(terms));
            out.push(b'\n');
        }
        out
    }
}

struct Reader<'a> {
    terms: &'a Terms<'a>,
    file: String,
    named: BTreeMap<Vec<u8>, User>,
    errors: Vec<u8>,
}

impl Reader<'_> {
    fn complain(&mut self, text: impl AsRef<[u8]>) {
        self.errors.extend_from_slice(text.as_ref());
    }

    fn line(&mut self, number: usize, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let place = format!("{}:{number}", self.file);
        let [b"user", name, rules @ ..] = words.as_slice() else {
            self.complain(format!(
                "{place} should start with user keyword followed by the username. "
            ));
            return;
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        if has_blanks(name) {
            self.complain(format!(
                "'{place}: username '{shown}' contains invalid characters. "
            ));
            return;
        }
        if self.named.contains_key(*name) {
            self.complain(format!(
                "WARNING: Duplicate user '{shown}' found on line {number}. "
            ));
            return;
        }
        let mut user = User::new(self.terms, name);
        match merge_selectors(rules) {
            Ok(rules) => self.rules(&mut user, &place, &rules),
            Err(_) => self.complain(format!(
                "{place}: Unmatched parenthesis in selector definition."
            )),
        }
        self.named.insert(name.to_vec(), user);
    }

    /// Of wrong rules the first is told, of unknown names all.
    fn rules(&mut self, user: &mut User, place: &str, rules: &[Vec<u8>]) {
        let mut told = false;
        for rule in rules {
            let blank = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n');
            let start = rule.iter().position(|byte| !blank(byte));
            let end = rule.iter().rposition(|byte| !blank(byte));
            let (Some(start), Some(end)) = (start, end) else {
                continue;
            };
            let rule = &rule[start..=end];
            match user.apply(self.terms, rule) {
                Ok(()) => {}
                Err(error @ RuleError::Unknown) => {
                    self.complain(format!("{place}: Error in applying operation '"));
                    self.complain(rule);
                    self.complain(format!("': {error}. "));
                }
                Err(error) if !told => {
                    told = true;
                    self.complain(format!("{place}: {error}. "));
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TERMS;
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match Users::read(&TERMS, b"f", text.as_bytes()) {
            Ok(users) => Ok(lossy(&users.to_file(&TERMS))),
            Err(errors) => Err(lossy(&errors)),
        }
    }

    #[test]
    fn files_are_read_or_refused_as_a_whole() {
        let text = "user alice on nopass ~* resetchannels -@all +@read (~b resetchannels -@all)\n";
        let default = "user default on nopass ~* &* +@all\n";
        assert_eq!(read(text), Ok(format!("{text}{default}")));
        assert_eq!(
            read("\n  user alice on\nuser alice on\nuser\nuser a+b +x wrong +y worse\nuser q (a"),
            Err("WARNING: Duplicate user 'alice' found on line 3. \
                 f:4 should start with user keyword followed by the username. \
                 f:5: Error in applying operation '+x': Unknown command or category name in ACL. \
                 f:5: Syntax error. \
                 f:5: Error in applying operation '+y': Unknown command or category name in ACL. \
                 f:6: Unmatched parenthesis in selector definition.\
                 WARNING: ACL errors detected, no change to the previously active ACL rules was \
                 performed"
                .to_owned())
        );
    }
}
