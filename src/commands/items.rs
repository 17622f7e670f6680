//! Elements of collections in replies.

use crate::command::ctx::CmdError;
use crate::encoding::listpack::Item;
use crate::resp::Reply;

/// Elements that are replied at most where one may come again and again.
/// Longer arrays are refused by clients too (hiredis).
const REPEATED_MAX: usize = u32::MAX as usize;
/// How many of them are written between two looks at the length of the reply.
const REPEATED_AT_ONCE: usize = 1024;

/// An element as a bulk string.
#[inline]
pub(super) fn bulk_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(number) => reply.bulk_integer(number),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// An array of `count` elements by chance, each written by `element`, up to
/// [`reply_max_bytes`](crate::command::ctx::Ctx::reply_max_bytes).
///
/// # Errors
/// More than any client could read.
pub(super) fn repeat(
    reply: &mut Reply<'_>,
    max_bytes: usize,
    count: usize,
    mut element: impl FnMut(&mut Reply<'_>),
) -> Result<(), CmdError> {
    check_repeated(count)?;
    reply.array(count);
    let mut left = count;
    while left > 0 && reply.pending_bytes() < max_bytes {
        let some = left.min(REPEATED_AT_ONCE);
        (0..some).for_each(|_| element(reply));
        left -= some;
    }
    Ok(())
}

/// Refuses a count of elements where one may come again and again.
///
/// # Errors
/// More than any client could read.
pub(super) fn check_repeated(count: usize) -> Result<(), CmdError> {
    if count > REPEATED_MAX {
        return Err(CmdError::OutOfRange);
    }
    Ok(())
}
