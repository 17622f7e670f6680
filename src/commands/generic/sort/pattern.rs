//! Patterns of SORT: where to find what belongs to an element.

use crate::encoding::listpack::Item;
use crate::keyspace::entry::EntryRef;
use crate::keyspace::{DbRef, Str, ValueKind};
use crate::types::{Hash, StrRef};

/// A pattern of BY or GET.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// Without a star: there is nothing to be found.
    Constant,
    /// The key whose name has the element in the place of the first star.
    Key {
        prefix: &'a [u8],
        suffix: &'a [u8],
        /// The field of a hash, after an arrow.
        field: Option<&'a [u8]>,
    },
}

/// What was found.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn text<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Value::Int(number) => digits.format(number).as_bytes(),
            Value::Text(text) => text,
        }
    }
}

impl<'a> From<Item<'a>> for Value<'a> {
    fn from(item: Item<'a>) -> Value<'a> {
        match item {
            Item::Int(number) => Value::Int(number),
            Item::Bytes(text) => Value::Text(text),
        }
    }
}

impl<'a> Pattern<'a> {
    /// Redis: star, hash sign and arrow are only sought before a zero byte.
    pub(super) fn parse(text: &'a [u8]) -> Pattern<'a> {
        let end = text.iter().position(|byte| *byte == 0);
        let shown = &text[..end.unwrap_or(text.len())];
        if shown == b"#" {
            return Pattern::Element;
        }
        let Some(star) = shown.iter().position(|byte| *byte == b'*') else {
            return Pattern::Constant;
        };
        let (prefix, rest) = (&text[..star], &text[star + 1..]);
        let arrow = shown[star + 1..].windows(2).position(|pair| pair == b"->");
        // An arrow that nothing follows is part of the name.
        match arrow.filter(|arrow| star + 1 + arrow + 2 < shown.len()) {
            Some(arrow) => Pattern::Key {
                prefix,
                suffix: &rest[..arrow],
                field: Some(&rest[arrow + 2..]),
            },
            None => Pattern::Key {
                prefix,
                suffix: rest,
                field: None,
            },
        }
    }

    /// Shows what is found for an element, which counts as a read; `key` is
    /// room for names.
    pub(super) fn look_up<R>(
        &self,
        db: &mut DbRef<'_>,
        element: &[u8],
        key: &mut Vec<u8>,
        show: impl FnOnce(Option<Value<'_>>) -> R,
    ) -> R {
        let (prefix, suffix, field) = match *self {
            Pattern::Element => return show(Some(Value::Text(element))),
            Pattern::Constant => return show(None),
            Pattern::Key {
                prefix,
                suffix,
                field,
            } => (prefix, suffix, field),
        };
        key.clear();
        key.extend_from_slice(prefix);
        key.extend_from_slice(element);
        key.extend_from_slice(suffix);
        let entry = db.lookup(key);
        show(entry.and_then(|entry| match field {
            Some(field) => Hash::of(entry.value())?.get(field).map(Value::from),
            None => string(entry),
        }))
    }
}

fn string(entry: EntryRef<'_>) -> Option<Value<'_>> {
    Some(match Str::of(entry.value())? {
        StrRef::Int(number) => Value::Int(number),
        StrRef::Inline(bytes) => Value::Text(bytes),
        StrRef::Boxed(string) => Value::Text(string.as_slice()),
    })
}
