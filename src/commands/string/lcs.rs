//! LCS: the longest common subsequence of two strings.

use crate::command::ctx::{CmdError, CmdResult, Ctx, REPLIED};
use crate::keyspace::Str;
use crate::types::StrRef;

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: i64,
}

impl Options {
    fn parse(ctx: &mut Ctx) -> Result<Options, CmdError> {
        let mut options = Options::default();
        while ctx.args.left() > 0 {
            if ctx.args.take_word("IDX") {
                options.idx = true;
            } else if ctx.args.take_word("LEN") {
                options.len = true;
            } else if ctx.args.take_word("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if ctx.args.left() > 1 && ctx.args.take_word("MINMATCHLEN") {
                options.min_match_len = ctx.args.int()?.max(0);
            } else {
                return Err(CmdError::Syntax);
            }
        }
        if options.idx && options.len {
            return Err(CmdError::err(
                "If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// A run of equal bytes: where it stands in both strings.
struct Match {
    a: usize,
    b: usize,
    len: usize,
}

pub(super) fn lcs(ctx: &mut Ctx) -> CmdResult {
    let read = |ctx: &mut Ctx, key: &[u8]| -> Result<Vec<u8>, CmdError> {
        let wrong = || CmdError::err("The specified keys must contain string values");
        let string = ctx.db.read::<Str>(key).map_err(|_| wrong())?;
        let mut scratch = itoa::Buffer::new();
        Ok(string.map_or_else(Vec::new, |string: StrRef| {
            string.bytes(&mut scratch).to_vec()
        }))
    };
    let (key_a, key_b) = (ctx.args.key()?, ctx.args.key()?);
    // Redis: both are looked up, whatever the first one is.
    let (a, b) = (read(ctx, key_a), read(ctx, key_b));
    let (a, b) = (a?, b?);
    let options = Options::parse(ctx)?;
    let table = Table::new(&a, &b, ctx.config.proto_max_bulk_bytes)?;
    let total = table.at(a.len(), b.len());
    if options.len {
        ctx.reply.integer(i64::from(total));
        return REPLIED;
    }
    let (common, matches) = table.walk(&a, &b);
    if !options.idx {
        ctx.reply.bulk(&common);
        return REPLIED;
    }
    ctx.reply.map(2);
    ctx.reply.bulk(b"matches");
    let wanted =
        |found: &&Match| options.min_match_len == 0 || found.len as i64 >= options.min_match_len;
    let shown: Vec<&Match> = matches.iter().filter(wanted).collect();
    ctx.reply.array(shown.len());
    for found in shown {
        ctx.reply.array(2 + usize::from(options.with_match_len));
        for start in [found.a, found.b] {
            ctx.reply.array(2);
            ctx.reply.integer(start as i64);
            ctx.reply.integer((start + found.len - 1) as i64);
        }
        if options.with_match_len {
            ctx.reply.integer(found.len as i64);
        }
    }
    ctx.reply.bulk(b"len");
    ctx.reply.integer(i64::from(total));
    REPLIED
}

/// Lengths of the common subsequences of all prefixes.
struct Table {
    cells: Vec<u32>,
    width: usize,
}

impl Table {
    /// Fills the table, which may take `bytes_max`.
    fn new(a: &[u8], b: &[u8], bytes_max: u64) -> Result<Table, CmdError> {
        if a.len() >= u32::MAX as usize - 1 || b.len() >= u32::MAX as usize - 1 {
            return Err(CmdError::err("String too long for LCS"));
        }
        let width = b.len() + 1;
        let cells = (a.len() + 1).checked_mul(width);
        let bytes = cells.and_then(|cells| (cells as u64).checked_mul(4));
        let no_memory = |why: &str| CmdError::err(format!("Insufficient memory, {why}"));
        let fits = cells.filter(|_| bytes.is_some_and(|bytes| bytes <= bytes_max));
        let cells =
            fits.ok_or_else(|| no_memory("transient memory for LCS exceeds proto-max-bulk-len"))?;
        let mut table = Vec::new();
        table
            .try_reserve_exact(cells)
            .map_err(|_| no_memory("failed allocating transient memory for LCS"))?;
        table.resize(cells, 0u32);
        let mut table = Table {
            cells: table,
            width,
        };
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                let longest = if a[i - 1] == b[j - 1] {
                    table.at(i - 1, j - 1) + 1
                } else {
                    table.at(i - 1, j).max(table.at(i, j - 1))
                };
                table.cells[i * width + j] = longest;
            }
        }
        Ok(table)
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// The subsequence, and its runs from the last to the first.
    fn walk(&self, a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<Match>) {
        let (mut i, mut j) = (a.len(), b.len());
        let (mut common, mut matches) = (Vec::new(), Vec::<Match>::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                common.push(a[i - 1]);
                match matches.last_mut() {
                    Some(run) if run.a == i && run.b == j => {
                        *run = Match {
                            a: i - 1,
                            b: j - 1,
                            len: run.len + 1,
                        };
                    }
                    _ => matches.push(Match {
                        a: i - 1,
                        b: j - 1,
                        len: 1,
                    }),
                }
                (i, j) = (i - 1, j - 1);
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        common.reverse();
        (common, matches)
    }
}
