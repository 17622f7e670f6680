//! Elements of collections in replies.

use crate::encoding::listpack::Item;
use crate::resp::Reply;

/// An element as a bulk string.
#[inline]
pub(super) fn bulk_item(reply: &mut Reply<'_>, item: Item<'_>) {
    match item {
        Item::Int(number) => reply.bulk_integer(number),
        Item::Bytes(bytes) => reply.bulk(bytes),
    }
}
