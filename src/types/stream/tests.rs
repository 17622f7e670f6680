use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn placeholder_ids() {
    assert_eq!(StreamId::new(1, 2).text().as_bytes(), b"1-2");
}
