//! The rows' argument notation, and COMMAND DOCS made from it.
//!
//! The notation reads like the usage line of a manual and holds all that
//! COMMAND DOCS tells about arguments. Arguments stand in order, separated by
//! spaces:
//!
//! ```text
//! key:key value:string        name and type: key string integer double
//!                             pattern unix-time
//! EX seconds:integer          a token in front of the argument
//! KEEPTTL                     a token alone; its name is keepttl
//! sorting=ALPHA  id=""        a token alone with its name (another one, or needed
//!                             since an argument follows); the empty token
//! order:(ASC | DESC)          one of several
//! limit:{a:integer b:integer} a block of arguments, together
//! [LIMIT limit:{...}]         optional
//! key:key...                  one or more times
//! [GET... p:pattern]          any number of times, the token with each
//! STORE d:key#2               key specification of the argument (keys: 0)
//! id:string@6.2.0!7.0.0       since 6.2.0, deprecated since 7.0.0
//! ```
//!
//! `#`, `@`, `!` and `...` follow the type, or the bracket of an alternative
//! or block, in this order.

use std::borrow::Cow;

use super::info::Doc;
use super::registry::{Entry, Registry};
use super::table::{Command, flag};

/// One argument of a command, as COMMAND DOCS shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arg {
    /// Name.
    pub name: Cow<'static, str>,
    /// Type.
    pub kind: ArgKind,
    /// Word in front of the argument, or all of it for a pure token.
    pub token: Option<&'static str>,
    /// Which key specification finds the argument.
    pub key_spec: Option<u8>,
    /// Version that introduced it, if later than the command.
    pub since: Option<&'static str>,
    /// Version that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// Can be left out.
    pub optional: bool,
    /// Can be repeated.
    pub multiple: bool,
    /// Is repeated with its token.
    pub multiple_token: bool,
}

/// Type of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArgKind {
    /// Any bytes.
    String,
    /// A signed 64-bit integer.
    Integer,
    /// A floating-point number.
    Double,
    /// A key name.
    Key,
    /// A glob-style pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// The token and nothing more.
    PureToken,
    /// One of these.
    OneOf(Vec<Arg>),
    /// All of these.
    Block(Vec<Arg>),
}

impl ArgKind {
    /// The name that COMMAND DOCS prints.
    pub const fn name(&self) -> &'static str {
        match self {
            ArgKind::String => "string",
            ArgKind::Integer => "integer",
            ArgKind::Double => "double",
            ArgKind::Key => "key",
            ArgKind::Pattern => "pattern",
            ArgKind::UnixTime => "unix-time",
            ArgKind::PureToken => "pure-token",
            ArgKind::OneOf(_) => "oneof",
            ArgKind::Block(_) => "block",
        }
    }

    fn named(name: &str) -> Option<ArgKind> {
        let simple = [
            ArgKind::String,
            ArgKind::Integer,
            ArgKind::Double,
            ArgKind::Key,
            ArgKind::Pattern,
            ArgKind::UnixTime,
        ];
        simple.into_iter().find(|kind| kind.name() == name)
    }
}

/// A mistake in a row's notation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotationError {
    /// Byte offset.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// Parses a row's notation.
///
/// # Errors
/// The notation is malformed; a test over all rows keeps that from happening.
pub fn arguments(notation: &'static str) -> Result<Vec<Arg>, NotationError> {
    let mut parser = Parser {
        text: notation,
        at: 0,
    };
    let arguments = parser.sequence()?;
    if parser.at < notation.len() {
        return parser.expected("an argument");
    }
    Ok(arguments)
}

/// COMMAND DOCS of all commands that clients can reach, each under its name.
pub fn docs_of_all(registry: &Registry) -> Doc<'_> {
    Doc::Map(registry.commands().map(|e| named(registry, e)).collect())
}

/// COMMAND DOCS of the commands and subcommands of these names; unknown names are left out.
pub fn docs_of<'r, 'n>(registry: &'r Registry, names: impl Iterator<Item = &'n [u8]>) -> Doc<'r> {
    let found = names.filter_map(|name| registry.find_full(name));
    Doc::Map(found.map(|id| named(registry, &registry[id])).collect())
}

fn named<'r>(registry: &'r Registry, entry: &'r Entry) -> (Doc<'r>, Doc<'r>) {
    (Doc::text(entry.full_name()), docs(registry, entry))
}

fn docs<'r>(registry: &'r Registry, entry: &'r Entry) -> Doc<'r> {
    let command = entry.command;
    let mut map = vec![
        ("summary", Doc::text(command.summary)),
        ("since", Doc::text(command.since)),
        ("group", Doc::text(command.group.name())),
    ];
    if !command.complexity.is_empty() {
        map.push(("complexity", Doc::text(command.complexity)));
    }
    let flags = doc_flags(command);
    if !flags.is_empty() {
        map.push(("doc_flags", Doc::Set(flags)));
    }
    if let Some((since, by)) = command.deprecated {
        map.push(("deprecated_since", Doc::text(since)));
        map.push(("replaced_by", Doc::text(by)));
    }
    if !command.history.is_empty() {
        let change = |(version, change): &(&'static str, &'static str)| {
            Doc::Array(vec![Doc::text(version), Doc::text(change)])
        };
        let changes = command.history.iter().map(change).collect();
        map.push(("history", Doc::Set(changes)));
    }
    if !command.syntax.is_empty() {
        let parsed = arguments(command.syntax);
        debug_assert!(parsed.is_ok(), "{}: {parsed:?}", entry.full_name());
        map.push(("arguments", argument_list(parsed.unwrap_or_default())));
    }
    if entry.has_subcommands() {
        let subcommands = registry.subcommands(entry.id).iter();
        let subcommands = subcommands.map(|sub| named(registry, sub)).collect();
        map.push(("subcommands", Doc::Map(subcommands)));
    }
    Doc::fields(map)
}

fn doc_flags(command: &Command) -> Vec<Doc<'static>> {
    let deprecated = command.deprecated.is_some().then_some("deprecated");
    let internal = (command.flags & flag::SYSCMD != 0).then_some("syscmd");
    let flags = [deprecated, internal].into_iter().flatten();
    flags.map(Doc::Simple).collect()
}

fn argument_list(arguments: Vec<Arg>) -> Doc<'static> {
    Doc::Array(arguments.into_iter().map(argument).collect())
}

fn argument(arg: Arg) -> Doc<'static> {
    let flags: Vec<Doc<'static>> = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(Doc::Simple(name)))
    .collect();

    let mut map = vec![
        ("name", Doc::Bulk(arg.name)),
        ("type", Doc::text(arg.kind.name())),
    ];
    if let Some(index) = arg.key_spec {
        map.push(("key_spec_index", Doc::Integer(i64::from(index))));
    }
    if let Some(token) = arg.token {
        map.push(("token", Doc::text(token)));
    }
    if let Some(version) = arg.since {
        map.push(("since", Doc::text(version)));
    }
    if let Some(version) = arg.deprecated_since {
        map.push(("deprecated_since", Doc::text(version)));
    }
    if !flags.is_empty() {
        map.push(("flags", Doc::Set(flags)));
    }
    if let ArgKind::OneOf(parts) | ArgKind::Block(parts) = arg.kind {
        map.push(("arguments", argument_list(parts)));
    }
    Doc::fields(map)
}

/// Recursive descent over the notation; rows nest a handful of levels at most.
struct Parser {
    text: &'static str,
    at: usize,
}

impl Parser {
    fn rest(&self) -> &'static str {
        &self.text[self.at..]
    }

    fn expected<T>(&self, expected: &'static str) -> Result<T, NotationError> {
        Err(NotationError {
            at: self.at,
            expected,
        })
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// The text up to the first of these bytes, or to the end.
    fn take_until(&mut self, stops: &[u8]) -> &'static str {
        let rest = self.rest();
        let end = rest.bytes().position(|byte| stops.contains(&byte));
        let taken = &rest[..end.unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Arguments separated by spaces, up to a closing bracket or the end.
    fn sequence(&mut self) -> Result<Vec<Arg>, NotationError> {
        let mut arguments = vec![self.argument()?];
        while self.take(" ") {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    fn alternatives(&mut self) -> Result<Vec<Arg>, NotationError> {
        let mut arguments = vec![self.argument()?];
        while self.take(" | ") {
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Arg, NotationError> {
        if !self.take("[") {
            return self.required();
        }
        let argument = self.required()?;
        if !self.take("]") {
            return self.expected("]");
        }
        Ok(Arg {
            optional: true,
            ..argument
        })
    }

    /// An argument without the brackets of an optional one.
    fn required(&mut self) -> Result<Arg, NotationError> {
        let start = self.at;
        let word = self.take_until(b" |()[]{}#@!.=");
        if self.take("=") {
            let token = self.take_until(b" |()[]{}#@!");
            let token = if token == "\"\"" { "" } else { token };
            return self.attributes(Arg::new(word.into(), ArgKind::PureToken, Some(token)));
        }
        // Names may contain colons ("ip:port"), types do not.
        if let Some((name, kind)) = word.rsplit_once(':') {
            return self.typed(name, kind, None);
        }
        if word.is_empty() || word.bytes().any(|byte| byte.is_ascii_lowercase()) {
            self.at = start;
            return self.expected("name:type or TOKEN");
        }
        let repeats = self.take("... ");
        if !repeats && !self.rest().starts_with(' ') {
            return self.pure_token(word);
        }
        // A token before an argument, unless what follows is its neighbour.
        let after_token = self.at;
        if !repeats {
            self.take(" ");
        }
        let next = self.take_until(b" |()[]{}#@!.=");
        let is_name = |name: &str| name.starts_with(|first: char| first.is_ascii_lowercase());
        match next.rsplit_once(':') {
            Some((name, kind)) if is_name(name) => {
                let argument = self.typed(name, kind, Some(word))?;
                Ok(Arg {
                    multiple: argument.multiple || repeats,
                    multiple_token: repeats,
                    ..argument
                })
            }
            _ if repeats => self.expected("name:type after TOKEN..."),
            _ => {
                self.at = after_token;
                self.pure_token(word)
            }
        }
    }

    fn pure_token(&mut self, token: &'static str) -> Result<Arg, NotationError> {
        let name = token.to_ascii_lowercase().into();
        self.attributes(Arg::new(name, ArgKind::PureToken, Some(token)))
    }

    /// What follows `name:`.
    fn typed(
        &mut self,
        name: &'static str,
        kind: &'static str,
        token: Option<&'static str>,
    ) -> Result<Arg, NotationError> {
        let (kind, closing) = if !kind.is_empty() {
            match ArgKind::named(kind) {
                Some(kind) => (kind, ""),
                None => return self.expected("a type"),
            }
        } else if self.take("(") {
            (ArgKind::OneOf(self.alternatives()?), ")")
        } else if self.take("{") {
            (ArgKind::Block(self.sequence()?), "}")
        } else {
            return self.expected("a type, ( or {");
        };
        if !self.take(closing) {
            return self.expected(closing);
        }
        self.attributes(Arg::new(name.into(), kind, token))
    }

    fn attributes(&mut self, argument: Arg) -> Result<Arg, NotationError> {
        let mut argument = argument;
        if argument.kind == ArgKind::Key {
            argument.key_spec = Some(0);
        }
        if self.take("#") {
            match self.take_until(b" |()[]{}@!.").parse() {
                Ok(index) => argument.key_spec = Some(index),
                Err(_) => return self.expected("a number"),
            }
        }
        if self.take("@") {
            argument.since = Some(self.version());
        }
        if self.take("!") {
            argument.deprecated_since = Some(self.version());
        }
        argument.multiple = self.take("...");
        Ok(argument)
    }

    /// Digits and dots; the dots of a following `...` are not part of it.
    fn version(&mut self) -> &'static str {
        let rest = self.rest();
        let end = rest.bytes().position(|b| !b.is_ascii_digit() && b != b'.');
        let version = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        self.at += version.len();
        version
    }
}

impl Arg {
    fn new(name: Cow<'static, str>, kind: ArgKind, token: Option<&'static str>) -> Arg {
        Arg {
            name,
            kind,
            token,
            key_spec: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(notation: &'static str) -> Arg {
        let mut parsed = arguments(notation).unwrap_or_else(|e| panic!("{notation}: {e:?}"));
        assert_eq!(parsed.len(), 1, "{notation}");
        parsed.remove(0)
    }

    fn plain(name: &'static str, kind: ArgKind) -> Arg {
        Arg::new(name.into(), kind, None)
    }

    #[test]
    fn simple_arguments() {
        assert_eq!(one("value:string"), plain("value", ArgKind::String));
        assert_eq!(one("at:unix-time"), plain("at", ArgKind::UnixTime));
        assert_eq!(one("ip:port:string").name, "ip:port");
        let key = one("key:key");
        assert_eq!((key.kind, key.key_spec), (ArgKind::Key, Some(0)));
        assert_eq!(one("[d:key#2]").key_spec, Some(2));
        assert_eq!(one("p:pattern").key_spec, None);
        assert_eq!(one("p:pattern#1").key_spec, Some(1));
    }

    #[test]
    fn tokens() {
        let keepttl = one("[KEEPTTL@6.0.0]");
        assert_eq!(
            (&*keepttl.name, keepttl.token),
            ("keepttl", Some("KEEPTTL"))
        );
        assert_eq!(keepttl.kind, ArgKind::PureToken);
        assert_eq!((keepttl.since, keepttl.optional), (Some("6.0.0"), true));

        let seconds = one("EX seconds:integer");
        assert_eq!((&*seconds.name, seconds.token), ("seconds", Some("EX")));
        assert_eq!(seconds.kind, ArgKind::Integer);

        for (notation, name, token) in [
            ("sorting=ALPHA", "sorting", "ALPHA"),
            ("equal==", "equal", "="),
            ("new_id=$", "new_id", "$"),
            ("empty=\"\"", "empty", ""),
        ] {
            let arg = one(notation);
            assert_eq!((&*arg.name, arg.token), (name, Some(token)));
        }

        // A token belongs to the argument behind it, unless it has a name.
        for (notation, expected) in [
            ("NX XX a:key", [Some("NX"), Some("XX")]),
            ("nx=NX a:key", [Some("NX"), None]),
            ("NX [a:key]", [Some("NX"), None]),
        ] {
            let pair = arguments(notation).expect("parses");
            let tokens: Vec<_> = pair.iter().map(|arg| arg.token).collect();
            assert_eq!(tokens, expected, "{notation}");
        }
    }

    #[test]
    fn repetition() {
        let keys = one("key:key...");
        assert!(keys.multiple && !keys.multiple_token && !keys.optional);
        let get = one("[GET... pattern:pattern#1]");
        assert!(get.multiple && get.multiple_token && get.optional);
        assert_eq!(get.token, Some("GET"));
        let since = one("[key:key@3.0.6...]");
        assert!(since.multiple);
        assert_eq!(since.since, Some("3.0.6"));
        assert_eq!(one("a:string!2.8.12").deprecated_since, Some("2.8.12"));
    }

    #[test]
    fn nesting() {
        let arg = one("[LIMIT limit:{offset:integer [count:(1=ONE | ALL | n:integer)@7.0.0]}...]");
        assert!(arg.optional && arg.multiple);
        let ArgKind::Block(parts) = arg.kind else {
            panic!("not a block");
        };
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1].since, Some("7.0.0"));
        let ArgKind::OneOf(choices) = &parts[1].kind else {
            panic!("not an alternative");
        };
        let names: Vec<&str> = choices.iter().map(|choice| &*choice.name).collect();
        assert_eq!(names, ["1", "all", "n"]);
    }

    #[test]
    fn mistakes_are_found() {
        for notation in [
            "",
            "key",
            "key:",
            "key:kei",
            "[key:key",
            "key:key]",
            "a:(X | Y",
            "a:{X Y",
            "X ",
            "GET... X",
            "a:key#x",
            "a:key  b:key",
            ":key extra",
            "a:string#300",
        ] {
            let parsed = arguments(notation);
            assert!(parsed.is_err(), "{notation}: {parsed:?}");
        }
    }
}
