//! Where an element stands: LPOS.

use std::ops::ControlFlow;

use crate::command::ctx::{Args, CmdError, CmdResult, Ctx, REPLIED};
use crate::types::{End, List, ListRef};
use crate::util::num;

/// The options of LPOS.
struct Options {
    /// The end that the search goes away from.
    end: End,
    /// Matches that are passed over.
    skip: u64,
    /// Redis: the lowest rank has no positive counterpart, so that every match
    /// reaches it, and no number of matches is enough.
    any_rank: bool,
    /// How many are told; none: one, and not as an array. 0: all.
    count: Option<u64>,
    /// Elements that are looked at.
    max_len: u64,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Result<Options, CmdError> {
        let mut options = Options {
            end: End::Left,
            skip: 0,
            any_rank: false,
            count: None,
            max_len: u64::MAX,
        };
        while args.left() > 0 {
            if args.left() >= 2 && args.take_word("RANK") {
                let rank = args.int()?;
                if rank == 0 {
                    return Err(CmdError::err(
                        "RANK can't be zero: use 1 to start from the first match, 2 from the \
                         second ... or use negative to start from the end of the list",
                    ));
                }
                options.end = if rank < 0 { End::Right } else { End::Left };
                options.skip = rank.unsigned_abs() - 1;
                options.any_rank = rank == i64::MIN;
            } else if args.left() >= 2 && args.take_word("COUNT") {
                options.count = Some(not_negative(args.bytes()?, "COUNT can't be negative")?);
            } else if args.left() >= 2 && args.take_word("MAXLEN") {
                options.max_len = match not_negative(args.bytes()?, "MAXLEN can't be negative")? {
                    0 => u64::MAX,
                    max_len => max_len,
                };
            } else {
                return Err(CmdError::Syntax);
            }
        }
        Ok(options)
    }

    /// The indexes that are asked for.
    fn search(&self, list: ListRef<'_>, text: &[u8], mut found: impl FnMut(usize)) {
        let len = list.len();
        let number = num::canonical_i64(text);
        let (mut looked_at, mut matches, mut told) = (0u64, 0u64, 0u64);
        let skip = if self.any_rank { 0 } else { self.skip };
        let wanted = match self.count {
            Some(_) if self.any_rank => u64::MAX,
            None => 1,
            Some(0) => u64::MAX,
            Some(count) => count,
        };
        let from = match self.end {
            End::Left => 0,
            End::Right => len.saturating_sub(1),
        };
        let _: Option<()> = list.walk(from, self.end, |item| {
            if item.is_text_or_number(text, number) {
                matches += 1;
                if matches > skip {
                    let index = looked_at as usize;
                    found(match self.end {
                        End::Left => index,
                        End::Right => len - 1 - index,
                    });
                    told += 1;
                }
            }
            looked_at += 1;
            if told >= wanted || looked_at >= self.max_len {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
}

fn not_negative(arg: &[u8], error: &str) -> Result<u64, CmdError> {
    let number = num::parse_i64(arg).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| CmdError::err(error))
}

pub(super) fn lpos(ctx: &mut Ctx) -> CmdResult {
    let (key, text) = (ctx.args.key()?, ctx.args.bytes()?);
    let options = Options::parse(&mut ctx.args)?;
    let list = ctx.db.read::<List>(key)?;
    let mut indexes = Vec::new();
    if let Some(list) = list {
        options.search(list, text, |index| indexes.push(index));
    }
    if options.count.is_some() {
        ctx.reply.array(indexes.len());
        for index in indexes {
            ctx.reply.integer(index as i64);
        }
    } else {
        match indexes.first() {
            Some(index) => ctx.reply.integer(*index as i64),
            None => ctx.reply.null(),
        }
    }
    REPLIED
}
