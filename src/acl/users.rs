//! All users, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::user::{Password, User};
use super::{DEFAULT_USER, Terms};

/// All users. The default one is always there.
#[derive(Clone, Debug)]
pub struct Users {
    named: BTreeMap<Box<[u8]>, Arc<User>>,
    /// The default user, which every new connection asks for.
    default: Arc<User>,
}

impl Users {
    /// The default user alone.
    pub fn new(terms: &Terms<'_>) -> Users {
        let default = Arc::new(User::new_default(terms));
        let mut users = Users {
            named: BTreeMap::new(),
            default: default.clone(),
        };
        users.put(default);
        users
    }

    /// The user of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.named.get(name)
    }

    /// The default user.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.named.values()
    }

    /// Adds a user, or puts it in the place of the one of its name.
    pub fn put(&mut self, user: Arc<User>) {
        if user.name() == DEFAULT_USER.as_bytes() {
            self.default = user.clone();
        }
        self.named.insert(user.name().into(), user);
    }

    /// Takes a user out; the default one stays.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<User>> {
        if name == DEFAULT_USER.as_bytes() {
            return None;
        }
        self.named.remove(name)
    }

    /// The default user with `requirepass` applied; empty: no password.
    pub fn default_with_password(&self, password: &[u8]) -> User {
        let mut user = User::clone(&self.default);
        user.nopass = password.is_empty();
        user.passwords.clear();
        if !password.is_empty() {
            user.passwords.push(Password::of(password));
        }
        user
    }

    /// Whether a new connection is logged in as the default user already.
    #[inline]
    pub fn open_to_all(&self) -> bool {
        self.default.enabled && self.default.nopass
    }

    /// Whether the default user takes any password.
    pub fn default_needs_no_password(&self) -> bool {
        self.default.nopass
    }

    /// The user that these log in as.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&Arc<User>> {
        self.get(name).filter(|user| user.accepts(password))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::TERMS;
    use super::*;

    #[test]
    fn default_user_follows_requirepass() {
        let mut users = Users::new(&TERMS);
        let fits = |users: &Users, name: &str, password: &str| {
            users
                .authenticate(name.as_bytes(), password.as_bytes())
                .is_some()
        };
        assert!(users.open_to_all() && fits(&users, "default", "whatever"));
        users.put(Arc::new(users.default_with_password(b"secret")));
        assert!(!users.open_to_all() && !users.default_needs_no_password());
        assert!(fits(&users, "default", "secret"));
        assert!(!fits(&users, "default", "secre") && !fits(&users, "default", ""));
        assert!(!fits(&users, "nobody", "secret"));
        users.put(Arc::new(users.default_with_password(b"")));
        assert!(users.open_to_all());
        assert!(users.remove(b"default").is_none());
    }
}
