//! Users of a running server: how they change under the clients that act as
//! them, and what is noted of those who are refused.

use std::sync::Arc;

use super::client::{Client, ClientId, ClientKind, Closing, Flags};
use super::pubsub::Topic;
use super::server::Server;
use crate::acl::{self, AclLog, Context, Entry, Reason, Terms, User, Users};
use crate::command::registry::Registry;
use crate::config::{AclPubsubDefault, Config};
use crate::resp::Reply;

/// What rules are read with, by a server of these commands and directives.
pub fn terms<'a>(registry: &'a Registry, config: &Config) -> Terms<'a> {
    Terms {
        catalog: registry,
        all_channels: config.acl_pubsub_default == AclPubsubDefault::Allchannels,
    }
}

impl Server {
    /// What rules are read with.
    pub fn terms(&self) -> Terms<'_> {
        terms(&self.registry, &self.config)
    }

    /// Every user as the line of a configuration file, without the word `user`.
    pub fn user_lines(&self) -> Vec<Vec<u8>> {
        let terms = self.terms();
        self.users.iter().map(|user| user.line(&terms)).collect()
    }

    /// ACL SETUSER by the client `me`: a user is made or changed, by all of
    /// the rules or none.
    ///
    /// # Errors
    /// The text for the user.
    pub fn set_user<A: AsRef<[u8]>>(
        &mut self,
        me: ClientId,
        name: &[u8],
        rules: &[A],
    ) -> Result<(), Vec<u8>> {
        let terms = self.terms();
        let old = self.users.get(name).cloned();
        let begin = match &old {
            Some(old) => User::clone(old),
            None => User::new(&terms, name),
        };
        let new = Arc::new(begin.with_rules(&terms, rules)?);
        if let Some(old) = &old {
            self.cut_off_deaf(me, old, &new);
        }
        self.put_user(new);
        Ok(())
    }

    /// `requirepass`.
    pub fn require_password(&mut self) {
        let user = self.users.default_with_password(&self.config.requirepass);
        self.put_user(Arc::new(user));
    }

    /// Puts a user in the place of the one of its name, for its clients too.
    fn put_user(&mut self, new: Arc<User>) {
        if let Some(old) = self.users.get(new.name()).cloned() {
            for id in self.clients_of(&old) {
                self.client(id).user = new.clone();
            }
        }
        self.users.put(new);
    }

    fn clients_of(&self, user: &Arc<User>) -> Vec<ClientId> {
        let of_user = |client: &&Client| Arc::ptr_eq(&client.user, user);
        let clients = self.clients.iter().filter(of_user);
        clients.map(|client| client.handle).collect()
    }

    /// ACL DELUSER of one user by the client `me`: its clients are cut off.
    /// False when there is no such user.
    pub fn delete_user(&mut self, me: ClientId, name: &[u8]) -> bool {
        let Some(user) = self.users.remove(name) else {
            return false;
        };
        self.cut_off_clients_of(me, &user);
        true
    }

    fn cut_off_clients_of(&mut self, me: ClientId, user: &Arc<User>) {
        let default = self.users.default_user().clone();
        for id in self.clients_of(user) {
            let client = self.client(id);
            // What of it is still to come is done as nobody.
            client.user = default.clone();
            client.authenticated = false;
            self.dismiss(me, id);
        }
    }

    /// Cuts a client off; the one whose command does that gets the reply first.
    fn dismiss(&mut self, me: ClientId, id: ClientId) {
        if id == me {
            self.clients.close(id, Closing::AfterReply);
        } else {
            self.cut_off(id);
        }
    }

    /// Cuts off subscribers to what their user may no longer use.
    fn cut_off_deaf(&mut self, me: ClientId, old: &Arc<User>, new: &User) {
        // Redis: who listens to what the user never might is not asked either.
        if new.keeps_channels_of(old) {
            return;
        }
        for id in self.clients_of(old) {
            if self.client(id).kind() != ClientKind::PubSub {
                continue;
            }
            let topics = [Topic::Pattern, Topic::Channel, Topic::ShardChannel];
            let lost = topics.into_iter().any(|topic| {
                let names = self.subscriptions_of(id, topic);
                let is_pattern = topic == Topic::Pattern;
                names.iter().any(|name| !new.may_listen(name, is_pattern))
            });
            if lost {
                self.dismiss(me, id);
            }
        }
    }

    /// ACL LOAD by the client `me`: the users of a file take the place of all.
    /// Clients of users other than the default one are cut off.
    ///
    /// # Errors
    /// The text for the user; nothing has changed then.
    pub fn load_users(&mut self, me: Option<ClientId>) -> Result<(), Vec<u8>> {
        let mut new = self.read_users()?;
        let default = new.default_user().clone();
        std::mem::swap(&mut self.users, &mut new);
        for old in new.iter() {
            if old.name() == default.name() {
                for id in self.clients_of(old) {
                    self.client(id).user = default.clone();
                }
            } else if let Some(me) = me {
                self.cut_off_clients_of(me, old);
            }
        }
        Ok(())
    }

    fn read_users(&self) -> Result<Users, Vec<u8>> {
        let name = &self.config.aclfile;
        let text = std::fs::read(crate::config::path(name)).map_err(|error| {
            let reason = crate::config::os_error_text(&error);
            [
                b"Error loading ACLs, opening file '",
                name.as_slice(),
                b"': ",
                reason.as_bytes(),
            ]
            .concat()
        })?;
        Users::read(&self.terms(), name, &text)
    }

    /// ACL SAVE: all users go to the file, as a whole or not at all.
    ///
    /// # Errors
    /// Those of the files.
    pub fn save_users(&self) -> std::io::Result<()> {
        let text = self.users.to_file(&self.terms());
        crate::config::replace_file(&crate::config::path(&self.config.aclfile), &text)
    }

    /// The users that the configuration names, at start: from `user` lines or
    /// from the file.
    ///
    /// # Errors
    /// The text for the log; the server must not start.
    pub fn load_configured_users(&mut self) -> Result<(), String> {
        self.require_password();
        let lines = std::mem::take(&mut self.config.users);
        if !self.config.aclfile.is_empty() && !lines.is_empty() {
            return Err(acl::MIXED_SOURCES.to_owned());
        }
        for words in &lines {
            let user = acl::configured_user(&self.terms(), words).map_err(|reason| {
                tracing::warn!("{reason}");
                "Critical error while loading ACLs. Exiting.".to_owned()
            })?;
            if !user.is_enabled() {
                tracing::info!(
                    "The user '{}' is disabled (there is no 'on' modifier in the user \
                     description). Make sure this is not a configuration error.",
                    String::from_utf8_lossy(user.name())
                );
            }
            self.put_user(Arc::new(user));
        }
        if !self.config.aclfile.is_empty() {
            self.load_users(None).map_err(|errors| {
                let errors = String::from_utf8_lossy(&errors).into_owned();
                format!("Aborting Redis startup because of ACL errors: {errors}")
            })?;
        }
        Ok(())
    }

    /// ACL LOG, and a writer to a client's output.
    ///
    /// # Panics
    /// As [`Server::reply`].
    pub fn acl_log_and_reply(&mut self, id: ClientId) -> (&AclLog, Reply<'_>) {
        let client = self.clients.get_mut(id).expect("the running client");
        let reply = Reply::new(&mut client.output, client.resp3);
        (&self.acl_log, reply)
    }

    /// Notes in ACL LOG that a client was refused something. `name` is the
    /// user that it tried to be; none: the one that it is.
    pub fn log_refusal(
        &mut self,
        id: ClientId,
        reason: Reason,
        object: &[u8],
        name: Option<&[u8]>,
    ) {
        let Some(client) = self.clients.get(id) else {
            return;
        };
        // The commands of a transaction count as at one time.
        let context = if self.scripts.calling {
            Context::Script
        } else if client.flags.has(Flags::MULTI) || self.time_stands {
            Context::Multi
        } else {
            Context::TopLevel
        };
        let entry = Entry {
            count: 1,
            reason,
            context,
            object: object.to_vec(),
            username: name.unwrap_or(client.user.name()).to_vec(),
            time_ms: self.clock_unix_ms(),
            client_info: self.describe_client(id),
        };
        self.acl_log.add(entry, self.config.acllog_max_len);
    }
}
