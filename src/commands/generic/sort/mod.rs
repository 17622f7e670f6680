//! SORT: the elements of a list, set or sorted set, in order.

mod pattern;
mod rows;
#[cfg(test)]
mod tests;

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::command::keyspec;
use crate::command::table::{Command, Group, cat, flag, key_at, kflag, unknown_keys};
use crate::keyspace::event;
use crate::types::{Collection, End, List, Type, Zset, list_limits};
use pattern::{Pattern, Value};
use rows::Rows;

const BY_AND_GET: &str = "For the optional BY/GET keyword. It is marked 'unknown' because the key \
                          names derive from the content of the key we sort";
const STORE: &str = "For the optional STORE keyword. It is marked 'unknown' because the keyword \
                     can appear anywhere in the argument array";
const COMPLEXITY: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to \
                          sort, and M the number of returned elements. When the elements are not \
                          sorted, complexity is O(N).";

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command::data("SORT", -2, sort)
        .doc(
            Group::Generic,
            "1.0.0",
            COMPLEXITY,
            "List or store the elements of a list, set or sorted set in order, by themselves or \
             by other keys, with what other keys hold for them.",
        )
        .syntax(
            "key:key [BY pattern:pattern#1] [LIMIT offset_count:{offset:integer count:integer}] \
             [GET... pattern:pattern#1...] [order:(ASC | DESC)] [sorting=ALPHA] [STORE \
             destination:key#2]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SET | cat::SORTEDSET | cat::LIST | cat::DANGEROUS)
        .keys(&[
            key_at(kflag::RO | kflag::ACCESS, 1),
            unknown_keys(kflag::RO | kflag::ACCESS).notes(BY_AND_GET),
            unknown_keys(kflag::OW | kflag::UPDATE).notes(STORE),
        ])
        .key_finder(keyspec::sorted_and_stored),
    Command::data("SORT_RO", -2, sort_ro)
        .doc(
            Group::Generic,
            "7.0.0",
            COMPLEXITY,
            "List the elements of a list, set or sorted set in order, by themselves or by other \
             keys, with what other keys hold for them.",
        )
        .syntax(
            "key:key [BY pattern:pattern#1] [LIMIT offset_count:{offset:integer count:integer}] \
             [GET... pattern:pattern#1...] [order:(ASC | DESC)] [sorting=ALPHA]",
        )
        .flags(flag::READONLY)
        .acl(cat::SET | cat::SORTEDSET | cat::LIST | cat::DANGEROUS)
        .keys(&[
            key_at(kflag::RO | kflag::ACCESS, 1),
            unknown_keys(kflag::RO | kflag::ACCESS).notes(BY_AND_GET),
        ])
        .key_finder(keyspec::sorted),
];

fn sort(ctx: &mut Ctx) -> CmdResult {
    let (key, mut args) = (ctx.args.key()?, ctx.args.clone());
    let options = SortOptions::parse(&mut args, ctx, Store::Allowed)?;
    run(ctx, key, options)
}

fn sort_ro(ctx: &mut Ctx) -> CmdResult {
    let (key, mut args) = (ctx.args.key()?, ctx.args.clone());
    let options = SortOptions::parse(&mut args, ctx, Store::Refused)?;
    run(ctx, key, options)
}

/// Whether the STORE option is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    Allowed,
    Refused,
}

/// By what elements are ordered.
enum By<'a> {
    /// Themselves.
    Element,
    /// What is found for each of them.
    Pattern(Pattern<'a>),
    /// They stay in the order that they have.
    Nothing,
}

/// The options of SORT.
struct SortOptions<'a> {
    descending: bool,
    alpha: bool,
    offset: i64,
    /// Negative: no limit.
    count: i64,
    by: By<'a>,
    get: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

impl<'a> SortOptions<'a> {
    fn parse(
        args: &mut Args<'a>,
        ctx: &Ctx<'_>,
        store: Store,
    ) -> Result<SortOptions<'a>, CmdError> {
        let mut options = SortOptions {
            descending: false,
            alpha: false,
            offset: 0,
            count: -1,
            by: By::Element,
            get: Vec::new(),
            store: None,
        };
        // What is looked up for each element is known to nobody before.
        let check_lookup = |option: &str| {
            let reason = if ctx.config.cluster_enabled {
                "in Cluster mode"
            } else if !ctx.may_read_all_keys() {
                "due to insufficient ACL permissions"
            } else {
                return Ok(());
            };
            let text = format!("{option} option of SORT denied {reason}.");
            Err(CmdError::err(text))
        };
        while args.left() > 0 {
            if args.take_word("ASC") {
                options.descending = false;
            } else if args.take_word("DESC") {
                options.descending = true;
            } else if args.take_word("ALPHA") {
                options.alpha = true;
            } else if args.left() > 2 && args.take_word("LIMIT") {
                (options.offset, options.count) = (args.int()?, args.int()?);
            } else if store == Store::Allowed && args.left() > 1 && args.take_word("STORE") {
                options.store = Some(args.key()?);
            } else if args.left() > 1 && args.take_word("BY") {
                match Pattern::parse(args.bytes()?) {
                    // The element itself is no key to look at either.
                    Pattern::Element | Pattern::Constant => options.by = By::Nothing,
                    pattern => {
                        check_lookup("BY")?;
                        // Redis: once there is nothing to sort by, it stays so.
                        if !matches!(options.by, By::Nothing) {
                            options.by = By::Pattern(pattern);
                        }
                    }
                }
            } else if args.left() > 1 && args.take_word("GET") {
                check_lookup("GET")?;
                options.get.push(Pattern::parse(args.bytes()?));
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// The part of so many elements in order that is wanted.
    fn window(&self, len: usize) -> std::ops::Range<usize> {
        let within = |number: i64| usize::try_from(number).map_or(len, |number| number.min(len));
        let start = within(self.offset.max(0));
        let count = if self.count < 0 {
            len
        } else {
            within(self.count)
        };
        start..start.saturating_add(count).min(len)
    }
}

fn run(ctx: &mut Ctx, key: &[u8], mut options: SortOptions<'_>) -> CmdResult {
    let kind = ctx.db.lookup(key).map(|entry| entry.value_type());
    let sortable = matches!(kind, None | Some(Type::List | Type::Set | Type::Zset));
    if !sortable {
        return Err(CmdError::WrongType);
    }
    // Redis: sorted sets take their big form to be sorted.
    if kind == Some(Type::Zset)
        && let Some(mut zset) = ctx.db.edit_collection::<Zset>(key)?
    {
        zset.unpack();
    }
    // Redis: what is stored, or told to a script, must be the same on every
    // server, and sets have no order of their own.
    let must_be_same = options.store.is_some() || ctx.caller.from_script;
    if kind == Some(Type::Set) && must_be_same && matches!(options.by, By::Nothing) {
        options.by = By::Element;
        options.alpha = true;
    }

    let window = options.window(rows::len_of(&ctx.db, key));
    let mut rows = match options.by {
        By::Nothing => Rows::in_place(&ctx.db, key, window.clone(), options.descending),
        By::Element | By::Pattern(_) => Rows::all(&ctx.db, key),
    };
    let order = rows.order(&mut ctx.db, &options, window)?;
    match options.store {
        Some(destination) => store_rows(ctx, destination, &rows, &order, &options.get),
        None => reply_rows(ctx, &rows, &order, &options.get),
    }
}

fn reply_rows(ctx: &mut Ctx, rows: &Rows, order: &[usize], get: &[Pattern<'_>]) -> CmdResult {
    ctx.reply.array(order.len() * get.len().max(1));
    let mut key = Vec::new();
    for row in order {
        let element = rows.element(*row);
        if get.is_empty() {
            ctx.reply.bulk(element);
        }
        for pattern in get {
            pattern.look_up(&mut ctx.db, element, &mut key, |value| match value {
                Some(Value::Int(number)) => ctx.reply.bulk_integer(number),
                Some(Value::Text(text)) => ctx.reply.bulk(text),
                None => ctx.reply.null(),
            });
        }
    }
    REPLIED
}

fn store_rows(
    ctx: &mut Ctx,
    destination: &[u8],
    rows: &Rows,
    order: &[usize],
    get: &[Pattern<'_>],
) -> CmdResult {
    let limits = list_limits(
        ctx.config.list_max_listpack_size,
        ctx.config.list_compress_depth,
    );
    let mut list = List::new();
    let mut key = Vec::new();
    for row in order {
        let element = rows.element(*row);
        if get.is_empty() {
            list.push(End::Right, element, &limits);
        }
        for pattern in get {
            pattern.look_up(&mut ctx.db, element, &mut key, |value| {
                let mut digits = itoa::Buffer::new();
                // Redis: what is missing is stored as an empty text.
                let text = value.map_or(&b""[..], |value| value.text(&mut digits));
                list.push(End::Right, text, &limits);
            });
        }
    }
    let len = list.len();
    ctx.db
        .replace_collection(destination, list, event::SORTSTORE);
    ctx.db.keyspace().effects.dirty += (len as u64).saturating_sub(1);
    ctx.reply.integer(len as i64);
    REPLIED
}
