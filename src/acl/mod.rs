//! Users and passwords: <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>.

use sha2::{Digest, Sha256};

/// The user that connections begin as.
pub const DEFAULT_USER: &str = "default";

/// Who may connect, and by which password.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// Whether new connections may log in.
    pub enabled: bool,
    /// Any password fits.
    pub nopass: bool,
    /// SHA-256 of the passwords that fit.
    pub passwords: Vec<[u8; 32]>,
}

impl User {
    fn accepts(&self, password: &[u8]) -> bool {
        let hash = <[u8; 32]>::from(Sha256::digest(password));
        // Every candidate is compared, so the time says nothing about a match.
        let found = self.passwords.iter().fold(false, |found, known| {
            let differing = known
                .iter()
                .zip(hash)
                .fold(0, |bits, (a, b)| bits | (a ^ b));
            found | (differing == 0)
        });
        self.enabled && (self.nopass || found)
    }
}

/// All users.
#[derive(Clone, Debug)]
pub struct Users {
    users: Vec<User>,
}

impl Default for Users {
    fn default() -> Users {
        let name = DEFAULT_USER.to_owned();
        Users {
            users: vec![User {
                name,
                enabled: true,
                nopass: true,
                passwords: Vec::new(),
            }],
        }
    }
}

impl Users {
    /// The user of a name.
    pub fn get(&self, name: &[u8]) -> Option<&User> {
        self.users.iter().find(|user| user.name.as_bytes() == name)
    }

    /// Applies `requirepass` to the default user; empty: no password.
    pub fn require_password(&mut self, password: &[u8]) {
        if let Some(user) = self.users.iter_mut().find(|user| user.name == DEFAULT_USER) {
            user.nopass = password.is_empty();
            user.passwords.clear();
            if !password.is_empty() {
                user.passwords.push(Sha256::digest(password).into());
            }
        }
    }

    /// Whether a new connection is logged in as the default user already.
    pub fn open_to_all(&self) -> bool {
        self.get(DEFAULT_USER.as_bytes())
            .is_some_and(|user| user.enabled && user.nopass)
    }

    /// Whether the default user takes any password.
    pub fn default_needs_no_password(&self) -> bool {
        self.get(DEFAULT_USER.as_bytes())
            .is_some_and(|user| user.nopass)
    }

    /// The user that these log in as.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&User> {
        self.get(name).filter(|user| user.accepts(password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_user_follows_requirepass() {
        let mut users = Users::default();
        let fits = |users: &Users, name: &str, password: &str| {
            users
                .authenticate(name.as_bytes(), password.as_bytes())
                .is_some()
        };
        assert!(users.open_to_all() && fits(&users, "default", "whatever"));
        users.require_password(b"secret");
        assert!(!users.open_to_all() && !users.default_needs_no_password());
        assert!(fits(&users, "default", "secret"));
        assert!(!fits(&users, "default", "secre") && !fits(&users, "default", ""));
        assert!(!fits(&users, "nobody", "secret"));
        users.require_password(b"");
        assert!(users.open_to_all());
    }
}
