//! The `redstart` binary: a thin start of the library.
fn main() {}
