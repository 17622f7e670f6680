//! Ziplists and zipmaps, which nobody writes any more, for tests. The fuzz
//! target of RESTORE has this file too.

/// A ziplist of these texts.
pub fn ziplist(texts: &[Vec<u8>]) -> Vec<u8> {
    let (mut entries, mut before, mut last_at) = (Vec::new(), 0usize, 10);
    for text in texts {
        last_at = 10 + entries.len();
        let start = entries.len();
        match u8::try_from(before) {
            Ok(before) if before < 254 => entries.push(before),
            _ => {
                entries.push(254);
                entries.extend_from_slice(&(before as u32).to_le_bytes());
            }
        }
        put_contents(&mut entries, text);
        before = entries.len() - start;
    }
    let total = 10 + entries.len() + 1;
    let mut ziplist = Vec::new();
    ziplist.extend_from_slice(&(total as u32).to_le_bytes());
    ziplist.extend_from_slice(&(last_at as u32).to_le_bytes());
    ziplist.extend_from_slice(&(texts.len().min(65_535) as u16).to_le_bytes());
    ziplist.extend_from_slice(&entries);
    ziplist.push(0xff);
    ziplist
}

fn put_contents(out: &mut Vec<u8>, text: &[u8]) {
    if let Some(number) = integer(text) {
        return put_integer(out, number);
    }
    match text.len() {
        len @ 0..0x40 => out.push(len as u8),
        len @ 0x40..0x4000 => out.extend_from_slice(&(len as u16 | 0x4000).to_be_bytes()),
        len => {
            out.push(0x80);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

fn put_integer(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_le_bytes();
    let (kind, width) = match number {
        0..=12 => (0xf1 + number as u8, 0),
        -128..=127 => (0xfe, 1),
        -32_768..=32_767 => (0xc0, 2),
        -8_388_608..=8_388_607 => (0xf0, 3),
        -2_147_483_648..=2_147_483_647 => (0xd0, 4),
        _ => (0xe0, 8),
    };
    out.push(kind);
    out.extend_from_slice(&bytes[..width]);
}

/// The integer that a text is the usual form of.
fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

/// A zipmap of these fields with their values; behind each value `unused`
/// bytes are.
pub fn zipmap(pairs: &[(Vec<u8>, Vec<u8>)], unused: u8) -> Vec<u8> {
    let mut zipmap = vec![pairs.len().min(254) as u8];
    for (field, value) in pairs {
        put_length(&mut zipmap, field.len());
        zipmap.extend_from_slice(field);
        put_length(&mut zipmap, value.len());
        zipmap.push(unused);
        zipmap.extend_from_slice(value);
        zipmap.extend(std::iter::repeat_n(0, usize::from(unused)));
    }
    zipmap.push(0xff);
    zipmap
}

fn put_length(out: &mut Vec<u8>, len: usize) {
    if len < 254 {
        out.push(len as u8);
    } else {
        out.push(254);
        out.extend_from_slice(&(len as u32).to_le_bytes());
    }
}
