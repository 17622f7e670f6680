//! CONFIG GET and CONFIG SET.

use super::directive::{Directive, Effect, flag};
use super::load::Host;
use super::table::DIRECTIVES;
use super::{Config, value};
use crate::util::glob;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What setting a value may need beside the configuration itself.
pub(super) struct Applying<'a> {
    pub(super) host: &'a mut dyn Host,
    /// Present while a file is read: whether a `save` line was seen in it.
    pub(super) save_line_seen: Option<&'a mut bool>,
}

/// A name that a directive is known by.
#[derive(Clone, Copy)]
pub struct Named {
    /// The name itself or the old one.
    pub name: &'static str,
    /// What it names.
    pub directive: &'static Directive,
}

static BY_NAME: LazyLock<HashMap<&'static str, Named>> = LazyLock::new(|| {
    let names = DIRECTIVES.iter().flat_map(names_of);
    names.map(|named| (named.name, named)).collect()
});

fn names_of(directive: &'static Directive) -> impl Iterator<Item = Named> {
    let names = [Some(directive.name), directive.alias];
    names
        .into_iter()
        .flatten()
        .map(move |name| Named { name, directive })
}

/// Finds a directive by its name or old name, in any case.
pub fn find(name: &[u8]) -> Option<Named> {
    let name = std::str::from_utf8(name).ok()?;
    BY_NAME.get(name.to_ascii_lowercase().as_str()).copied()
}

/// Whether the value given to this name is a secret that no log may show.
pub fn is_sensitive(name: &[u8]) -> bool {
    find(name).is_some_and(|named| named.directive.is(flag::SENSITIVE))
}

/// Who asks for CONFIG SET, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances {
    /// A data set is being loaded.
    pub loading: bool,
    /// The client is connected from this machine.
    pub local_client: bool,
}

/// Why CONFIG SET failed. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetError {
    /// The standard `-LOADING` error.
    Loading,
    /// An `-ERR` with this text (without `ERR `).
    Failed(Vec<u8>),
}

impl SetError {
    fn failed(name: &[u8], reason: &str) -> SetError {
        let mut text = b"CONFIG SET failed (possibly related to argument '".to_vec();
        text.extend_from_slice(name);
        text.extend_from_slice(b"') - ");
        text.extend_from_slice(reason.as_bytes());
        SetError::Failed(text)
    }

    fn unknown(name: &[u8]) -> SetError {
        let mut text = b"Unknown option or number of arguments for CONFIG SET - '".to_vec();
        text.extend_from_slice(name);
        text.push(b'\'');
        SetError::Failed(text)
    }
}

/// A CONFIG SET that is stored, whose effects the caller brings about.
#[must_use = "effects are due, and one that fails must be rolled back"]
pub struct Changes {
    /// Each effect once, in the order of the first directive that entails it,
    /// which an error names.
    pub effects: Vec<(Effect, &'static str)>,
    /// The names given, in their order.
    pub names: Vec<&'static str>,
    previous: Box<Config>,
}

impl Changes {
    /// The configuration before.
    pub fn previous(&self) -> &Config {
        &self.previous
    }
}

impl Config {
    /// CONFIG GET: names and values that match any of the patterns. A name
    /// without `*`, `?` and `[` comes back as it was asked for, hidden ones
    /// included; a pattern finds old names too.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], directive: &Directive| {
            if !found
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                found.push((name.to_vec(), directive.format(self)));
            }
        };
        for pattern in patterns {
            if !glob::is_pattern(pattern) {
                if let Some(named) = find(pattern) {
                    add(pattern, named.directive);
                }
                continue;
            }
            for named in DIRECTIVES.iter().flat_map(names_of) {
                let hidden = named.directive.is(flag::HIDDEN);
                if !hidden && glob::matches_nocase(pattern, named.name.as_bytes()) {
                    add(named.name.as_bytes(), named.directive);
                }
            }
        }
        found
    }

    /// CONFIG SET: stores all values or none. The caller then brings about
    /// the effects; when one fails it calls [`Config::roll_back`].
    ///
    /// # Errors
    /// With Redis's texts: unknown, immutable, protected or repeated names,
    /// names that must wait for loading, refused values.
    pub fn set_many(
        &mut self,
        pairs: &[(&[u8], &[u8])],
        circumstances: Circumstances,
        host: &mut dyn Host,
    ) -> Result<Changes, SetError> {
        let names = self.settable(pairs, circumstances)?;
        let previous = Box::new(self.clone());
        let mut effects: Vec<(Effect, &'static str)> = Vec::new();
        for (named, (_, value)) in names.iter().zip(pairs) {
            match set_one(self, named.directive, value, host) {
                Ok(false) => {}
                Ok(true) => {
                    let effect = named.directive.effect;
                    let new = effect.filter(|new| effects.iter().all(|(known, _)| known != new));
                    effects.extend(new.map(|effect| (effect, named.name)));
                }
                Err(reason) => {
                    restore(self, *previous, host);
                    return Err(SetError::failed(named.name.as_bytes(), &reason));
                }
            }
        }
        self.normalize();
        let names = names.iter().map(|named| named.name).collect();
        Ok(Changes {
            effects,
            names,
            previous,
        })
    }

    /// Puts the configuration back as it was before `changes`, after `effect`
    /// could not be brought about for `reason`. Returns the error to reply;
    /// the caller then brings about the same effects again with the old values.
    pub fn roll_back(
        &mut self,
        changes: Changes,
        effect: Effect,
        reason: &str,
        host: &mut dyn Host,
    ) -> (SetError, Vec<Effect>) {
        let named = changes.effects.iter().find(|(due, _)| *due == effect);
        let name = named.map_or("", |(_, name)| name);
        restore(self, *changes.previous, host);
        let again = changes.effects.iter().map(|(effect, _)| *effect).collect();
        (SetError::failed(name.as_bytes(), reason), again)
    }

    /// The directives that are named, if all of them may be set now. The first
    /// name with a problem decides.
    fn settable(
        &self,
        pairs: &[(&[u8], &[u8])],
        circumstances: Circumstances,
    ) -> Result<Vec<Named>, SetError> {
        let mut names: Vec<Named> = Vec::with_capacity(pairs.len().min(DIRECTIVES.len() * 2));
        for (name, _) in pairs {
            let named = find(name).ok_or_else(|| SetError::unknown(name))?;
            let directive = named.directive;
            let refused = |reason| Err(SetError::failed(name, reason));
            if directive.is(flag::IMMUTABLE) {
                return refused("can't set immutable config");
            }
            let protected_allowed = self
                .enable_protected_configs
                .allows(circumstances.local_client);
            if directive.is(flag::PROTECTED) && !protected_allowed {
                return refused("can't set protected config");
            }
            if directive.is(flag::DENY_LOADING) && circumstances.loading {
                return Err(SetError::Loading);
            }
            // Redis: a name and its old name are not duplicates of each other.
            if names.iter().any(|known| known.name == named.name) {
                return refused("duplicate parameter");
            }
            names.push(named);
        }
        Ok(names)
    }

    /// Clamps what is a wish rather than a command.
    pub(super) fn normalize(&mut self) {
        self.hz = self.hz.clamp(1, 500);
    }
}

/// One value of CONFIG SET; those of several arguments are split at each
/// single space.
fn set_one(
    config: &mut Config,
    directive: &'static Directive,
    text: &[u8],
    host: &mut dyn Host,
) -> Result<bool, super::Refusal> {
    let args: Vec<Vec<u8>> = if !directive.is(flag::MULTI) {
        vec![text.to_vec()]
    } else if text.is_empty() {
        Vec::new()
    } else {
        text.split(|byte| *byte == b' ')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut applying = Applying {
        host,
        save_line_seen: None,
    };
    value::set(directive, config, &args, &mut applying)
}

/// The working directory is the process's, so it has to be changed back.
fn restore(config: &mut Config, previous: Config, host: &mut dyn Host) {
    if previous.dir != config.dir {
        // It was the working directory before; if it has gone since, staying
        // in the new one is all that is left to do.
        let _gone = host.change_dir(&super::path(&previous.dir));
    }
    *config = previous;
}

/// Splits the arguments of CONFIG SET into pairs; None when one has no value.
pub fn pairs<'a>(args: &[&'a [u8]]) -> Option<Vec<(&'a [u8], &'a [u8])>> {
    let chunks = args.chunks_exact(2);
    chunks
        .remainder()
        .is_empty()
        .then(|| chunks.map(|pair| (pair[0], pair[1])).collect())
}
