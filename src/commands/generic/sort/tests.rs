//! Patterns and numbers of SORT.

use super::pattern::Pattern;
use super::rows::weight;

#[test]
fn patterns_name_keys_and_fields() {
    let key =
        |prefix: &'static str, suffix: &'static str, field: Option<&'static str>| Pattern::Key {
            prefix: prefix.as_bytes(),
            suffix: suffix.as_bytes(),
            field: field.map(str::as_bytes),
        };
    for (text, pattern) in [
        ("#", Pattern::Element),
        ("#\0x", Pattern::Element),
        ("##", Pattern::Constant),
        ("", Pattern::Constant),
        ("nosort->field", Pattern::Constant),
        ("w\0*", Pattern::Constant),
        ("*", key("", "", None)),
        ("w_*", key("w_", "", None)),
        ("w_*_x*", key("w_", "_x*", None)),
        ("h_*->f", key("h_", "", Some("f"))),
        ("h_*_x->f->g", key("h_", "_x", Some("f->g"))),
        ("a->b*", key("a->b", "", None)),
        ("h_*->", key("h_", "->", None)),
        ("h_*->\0x", key("h_", "->\0x", None)),
        ("h_*\0->x", key("h_", "\0->x", None)),
    ] {
        assert_eq!(Pattern::parse(text.as_bytes()), pattern, "{text:?}");
    }
}

#[test]
fn weights_are_read_as_c_reads_them() {
    for (text, number) in [
        ("", Some(0.0)),
        ("\0x", Some(0.0)),
        ("12\0x", Some(12.0)),
        (" \t12", Some(12.0)),
        ("+1.5e3", Some(1500.0)),
        ("0x10", Some(16.0)),
        ("-inf", Some(f64::NEG_INFINITY)),
        ("12 ", None),
        (" ", None),
        ("nan", None),
        ("1e999", None),
        ("1e-310", None),
        ("1e-999", None),
        ("abc", None),
    ] {
        assert_eq!(weight(text.as_bytes()), number, "{text:?}");
    }
}
