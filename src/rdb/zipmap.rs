//! Reading zipmaps, which Redis before 2.6 kept small hashes in.
//!
//! Number of fields (1 byte, 254 when they are more), for each a length, the
//! field, a length, a byte that tells how many bytes are unused behind the
//! value, the value and those; 0xff. A length is 1 byte, or 254 and 4 bytes.

const END: u8 = 0xff;
const LONG: u8 = 254;

/// Shows the fields of an untrusted zipmap with their values, until `visit`
/// gives None; None when it did, or the zipmap is not well formed.
pub(super) fn read<'a>(
    zipmap: &'a [u8],
    mut visit: impl FnMut(&'a [u8], &'a [u8]) -> Option<()>,
) -> Option<()> {
    let (&announced, rest) = zipmap.split_first()?;
    let (&end, mut rest) = rest.split_last()?;
    let mut count = 0usize;
    while !rest.is_empty() {
        let (field, value);
        (field, rest) = {
            let (len, rest) = length(rest)?;
            rest.split_at_checked(len)?
        };
        (value, rest) = {
            let (len, rest) = length(rest)?;
            let (&unused, rest) = rest.split_first()?;
            let (value, rest) = rest.split_at_checked(len)?;
            (value, rest.get(usize::from(unused)..)?)
        };
        visit(field, value)?;
        count += 1;
    }
    let count_fits = announced == LONG || usize::from(announced) == count;
    (end == END && count_fits).then_some(())
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes.first()? {
        END => None,
        LONG => {
            let (length, rest) = bytes[1..].split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*length) as usize, rest))
        }
        short => Some((usize::from(short), &bytes[1..])),
    }
}
