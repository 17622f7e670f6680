//! Comparing texts by the collation of the environment's locale, as C does.
//!
//! Unsafe invariants: the locale is only set before there is a second thread;
//! texts that are compared end with a zero byte.
#![allow(unsafe_code)]

use std::cmp::Ordering;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

/// Whether the collation is another than by bytes.
static HAS_RULES: AtomicBool = AtomicBool::new(false);

/// Takes the collation over from the environment (LC_ALL, LC_COLLATE, LANG).
/// To be called before any thread is started.
pub fn follow_environment() {
    // SAFETY: there is one thread; the name is copied before the next call.
    let name = unsafe {
        let name = libc::setlocale(libc::LC_COLLATE, c"".as_ptr());
        if name.is_null() {
            return; // No such locale: it stays as it is.
        }
        CStr::from_ptr(name).to_bytes().to_ascii_lowercase()
    };
    let by_bytes: [&[u8]; 4] = [b"c", b"posix", b"c.utf8", b"c.utf-8"];
    HAS_RULES.store(!by_bytes.contains(&name.as_slice()), Memory::Relaxed);
}

/// Compares two texts by collation.
pub fn compare(a: &CStr, b: &CStr) -> Ordering {
    if !HAS_RULES.load(Memory::Relaxed) {
        return a.to_bytes().cmp(b.to_bytes());
    }
    // SAFETY: both end with a zero byte.
    unsafe { libc::strcoll(a.as_ptr(), b.as_ptr()) }.cmp(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_locale_bytes_decide() {
        assert_eq!(compare(c"a", c"B"), Ordering::Greater);
        assert_eq!(compare(c"a", c"\xc3\xa4"), Ordering::Less);
        assert_eq!(compare(c"a", c"ab"), Ordering::Less);
        assert_eq!(compare(c"a", c"a"), Ordering::Equal);
    }
}
