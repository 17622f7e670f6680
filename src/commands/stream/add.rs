//! XADD and XTRIM.

use super::{ids, limits};
use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::keyspace::event;
use crate::types::stream::{AddError, Log, NewId, Trim};
use crate::types::{Stream, StreamId};
use crate::util::num;

/// How a stream is to be shortened.
struct TrimOptions {
    trim: Trim,
    /// Where the length or ID stands among the arguments.
    at: usize,
    about: bool,
    /// Entries removed at most; 0: any number.
    max: u64,
}

/// The options of XADD and XTRIM.
#[derive(Default)]
struct Options {
    trim: Option<TrimOptions>,
    /// LIMIT.
    limit: Option<u64>,
    only_existing: bool,
    /// Where the ID stands, of XADD.
    id_at: usize,
    /// None: `*`.
    id: Option<ids::Partial>,
}

/// Entries of a block where its configuration sets no number.
const LIMIT_DEFAULT: u64 = 10_000;
const LIMIT_DEFAULT_MAX: u64 = 1_000_000;

impl Options {
    fn parse(ctx: &mut Ctx, adds: bool) -> Result<Options, CmdError> {
        let argv = ctx.args.argv();
        let mut options = Options {
            id_at: argv.len(),
            ..Options::default()
        };
        let mut at = 2;
        while at < argv.len() {
            let (word, more) = (argv[at], argv.len() - 1 - at);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if adds && word == b"*" {
                options.id_at = at;
                break;
            } else if (is("MAXLEN") || is("MINID")) && more > 0 {
                at = options.take_trim(argv, at, is("MAXLEN"))?;
            } else if is("LIMIT") && more > 0 {
                let limit = num::parse_i64(argv[at + 1]).ok_or(CmdError::NotInteger)?;
                let limit = u64::try_from(limit);
                options.limit =
                    Some(limit.map_err(|_| CmdError::err("The LIMIT argument must be >= 0."))?);
                at += 1;
            } else if adds && is("NOMKSTREAM") {
                options.only_existing = true;
            } else if adds {
                options.id = Some(ids::partial(word)?);
                options.id_at = at;
                break;
            } else {
                return Err(CmdError::Syntax);
            }
            at += 1;
        }
        options.check(ctx, adds)?;
        Ok(options)
    }

    /// Takes the strategy at `at`; gives where its last argument is.
    fn take_trim(&mut self, argv: &[&[u8]], at: usize, by_len: bool) -> Result<usize, CmdError> {
        if self.trim.is_some() {
            return Err(CmdError::err(
                "syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let operator = argv[at + 1];
        let has_operator = at + 2 < argv.len() && matches!(operator, b"~" | b"=");
        let at = at + 1 + usize::from(has_operator);
        let trim = if by_len {
            let len = num::parse_i64(argv[at]).ok_or(CmdError::NotInteger)?;
            let len = u64::try_from(len);
            Trim::MaxLen(len.map_err(|_| CmdError::err("The MAXLEN argument must be >= 0."))?)
        } else {
            Trim::MinId(ids::strict(argv[at])?)
        };
        self.trim = Some(TrimOptions {
            trim,
            at,
            about: has_operator && operator == b"~",
            max: 0,
        });
        Ok(at)
    }

    fn check(&mut self, ctx: &mut Ctx, adds: bool) -> Result<(), CmdError> {
        let Some(trim) = &mut self.trim else {
            if self.limit.is_some_and(|limit| limit > 0) {
                return Err(CmdError::err(
                    "syntax error, LIMIT cannot be used without specifying a trimming strategy",
                ));
            }
            if !adds {
                return Err(CmdError::err(
                    "syntax error, XTRIM must be called with a trimming strategy",
                ));
            }
            return Ok(());
        };
        // What is repeated from a log was limited when it first ran.
        if ctx.db.keyspace().ignore_expiry {
            return Ok(());
        }
        match self.limit {
            Some(_) if !trim.about => {
                return Err(CmdError::err(
                    "syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            Some(limit) => trim.max = limit,
            None if trim.about => {
                let entries = u64::try_from(ctx.config.stream_node_max_entries).unwrap_or(0);
                trim.max = match entries.saturating_mul(100) {
                    0 => LIMIT_DEFAULT,
                    max => max.min(LIMIT_DEFAULT_MAX),
                };
            }
            None => {}
        }
        Ok(())
    }
}

impl TrimOptions {
    fn run(&self, log: &mut Log) -> u64 {
        log.trim(self.trim, self.about, self.max)
    }

    /// What was trimmed only about is repeated exactly: up to what is left.
    fn put_result(&self, argv: &mut [Vec<u8>], log: &Log) {
        argv[self.at - 1] = b"=".to_vec();
        argv[self.at] = match self.trim {
            Trim::MaxLen(_) => log.len().to_string().into_bytes(),
            Trim::MinId(_) => {
                let first = log.first_stored_id().unwrap_or(StreamId::MAX);
                first.text().as_bytes().to_vec()
            }
        };
    }
}

fn owned(argv: &[&[u8]]) -> Vec<Vec<u8>> {
    argv.iter().map(|arg| arg.to_vec()).collect()
}

fn propagate(ctx: &mut Ctx, argv: &[Vec<u8>]) {
    let argv: Vec<&[u8]> = argv.iter().map(|arg| &arg[..]).collect();
    ctx.propagate_as(&argv);
}

pub(super) fn xadd(ctx: &mut Ctx) -> CmdResult {
    let argv = ctx.args.argv();
    let options = Options::parse(ctx, true)?;
    let pairs = argv.get(options.id_at + 1..).unwrap_or_default();
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(CmdError::arity("xadd"));
    }
    if let Some(ids::Partial {
        ms: 0,
        seq: Some(0),
    }) = options.id
    {
        return Err(CmdError::err(
            "The ID specified in XADD must be greater than 0-0",
        ));
    }
    let (key, limits, heard) = (ctx.args.key()?, limits(ctx.config), ctx.is_heard());
    let wanted = match &options.id {
        None => NewId::At(u64::try_from(ctx.now_ms()).unwrap_or(0)),
        Some(ids::Partial { ms, seq: None }) => NewId::InMs(*ms),
        Some(ids::Partial { ms, seq: Some(seq) }) => NewId::Given(StreamId::new(*ms, *seq)),
    };
    let mut stream = if options.only_existing {
        match ctx.db.edit_collection::<Stream>(key)? {
            Some(stream) => stream,
            None => {
                ctx.reply.null();
                return REPLIED;
            }
        }
    } else {
        ctx.db.edit_or_create::<Stream>(key)?
    };
    if stream.log.last_id == StreamId::MAX {
        return Err(CmdError::err(
            "The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = match stream.log.add(wanted, pairs, limits) {
        Ok(id) => id,
        Err(error) => {
            stream.unchanged();
            return Err(CmdError::err(match error {
                AddError::IdTooSmall => {
                    "The ID specified in XADD is equal or smaller than the target stream top item"
                }
                AddError::TooLarge => "Elements are too large to be stored",
            }));
        }
    };
    ctx.reply.bulk(id.text().as_bytes());
    stream.changed(event::XADD);
    let mut repeated = None;
    if heard && !matches!(wanted, NewId::Given(_)) {
        let mut argv = owned(argv);
        argv[options.id_at] = id.text().as_bytes().to_vec();
        repeated = Some(argv);
    }
    if let Some(trim) = &options.trim {
        if trim.run(&mut stream.log) > 0 {
            stream.notify(event::XTRIM);
        }
        if trim.about && heard {
            let argv = repeated.get_or_insert_with(|| owned(argv));
            trim.put_result(argv, &stream.log);
        }
    }
    stream.ready();
    drop(stream);
    if let Some(argv) = repeated {
        propagate(ctx, &argv);
    }
    REPLIED
}

pub(super) fn xtrim(ctx: &mut Ctx) -> CmdResult {
    let argv = ctx.args.argv();
    let options = Options::parse(ctx, false)?;
    let (key, heard) = (ctx.args.key()?, ctx.is_heard());
    let Some(trim) = options.trim else {
        return Err(CmdError::Syntax);
    };
    let Some(mut stream) = ctx.db.edit_collection::<Stream>(key)? else {
        ctx.reply.integer(0);
        return REPLIED;
    };
    let deleted = trim.run(&mut stream.log);
    stream.changed_by(usize::try_from(deleted).unwrap_or(usize::MAX), event::XTRIM);
    ctx.reply.integer(deleted.cast_signed());
    if deleted > 0 && trim.about && heard {
        let mut argv = owned(argv);
        trim.put_result(&mut argv, &stream.log);
        drop(stream);
        propagate(ctx, &argv);
    }
    REPLIED
}
