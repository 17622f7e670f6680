//! HRANDFIELD.

use std::collections::HashSet;

use rand::Rng;

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::commands::items::{self, bulk_item};
use crate::encoding::listpack::Item;
use crate::resp::Reply;
use crate::types::{Hash, HashRef};

/// Redis: one third and more of a hash is chosen by going through it.
const CHOOSE_FROM_ALL: usize = 3;

pub(super) fn hrandfield(ctx: &mut Ctx) -> CmdResult {
    let key = ctx.args.key()?;
    if ctx.args.left() == 0 {
        return one(ctx, key);
    }
    let count = ctx.args.int_between(-i64::MAX, i64::MAX)?;
    let with_values = ctx.args.take_word("WITHVALUES");
    ctx.args.end()?;
    // The reply has twice as many elements then.
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CmdError::OutOfRange);
    }
    let Some(hash) = ctx.db.read::<Hash>(key)? else {
        ctx.reply.array(0);
        return REPLIED;
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        items::check_repeated(wanted)?;
        let mut out = Fields::begin(&mut ctx.reply, wanted, with_values);
        for _ in 0..wanted {
            if out.reply.pending_bytes() >= ctx.reply_max_bytes {
                break;
            }
            if let Some(pair) = hash.random(ctx.rng) {
                out.add(pair);
            }
        }
        return REPLIED;
    }
    let wanted = wanted.min(hash.len());
    let mut out = Fields::begin(&mut ctx.reply, wanted, with_values);
    if wanted == hash.len() {
        hash.iter().for_each(|pair| out.add(pair));
    } else {
        distinct(hash, wanted, ctx.rng, |pair| out.add(pair));
    }
    REPLIED
}

fn one(ctx: &mut Ctx, key: &[u8]) -> CmdResult {
    let hash = ctx.db.read::<Hash>(key)?;
    match hash.and_then(|hash| hash.random(ctx.rng)) {
        Some((field, _)) => bulk_item(&mut ctx.reply, field),
        None => ctx.reply.null(),
    }
    REPLIED
}

/// Chooses so many different fields, fewer than there are.
fn distinct<'a>(
    hash: HashRef<'a>,
    wanted: usize,
    rng: &mut impl Rng,
    mut chosen: impl FnMut((Item<'a>, Item<'a>)),
) {
    let packed = matches!(hash, HashRef::Packed(_));
    if packed || wanted > hash.len() / CHOOSE_FROM_ALL {
        // Each in turn with the odds that are left for it.
        let (mut left, mut open) = (hash.len(), wanted);
        for pair in hash.iter() {
            if rng.random_range(0..left) < open {
                chosen(pair);
                open -= 1;
            }
            left -= 1;
        }
        return;
    }
    let mut seen = HashSet::new();
    while seen.len() < wanted {
        let Some((field, value)) = hash.random(rng) else {
            return;
        };
        if let Item::Bytes(name) = field
            && seen.insert(name)
        {
            chosen((field, value));
        }
    }
}

/// The reply: fields, with their values as pairs of their own in RESP3.
struct Fields<'a, 'b> {
    reply: &'a mut Reply<'b>,
    with_values: bool,
}

impl<'a, 'b> Fields<'a, 'b> {
    fn begin(reply: &'a mut Reply<'b>, len: usize, with_values: bool) -> Fields<'a, 'b> {
        let flat = with_values && !reply.is_resp3();
        reply.array(if flat { len * 2 } else { len });
        Fields { reply, with_values }
    }

    fn add(&mut self, (field, value): (Item<'_>, Item<'_>)) {
        if self.with_values && self.reply.is_resp3() {
            self.reply.array(2);
        }
        bulk_item(self.reply, field);
        if self.with_values {
            bulk_item(self.reply, value);
        }
    }
}
