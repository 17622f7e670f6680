//! Text of any kind.

use crate::VERSION;
use crate::ours::{Anything, get};
use crate::set::{PROBES, SPECIAL_PROBES};
use proptest::prelude::*;
use redstart::config::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Text of the kind that finds the ends of parsers, or of names and values.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<Vec<u8>> = DIRECTIVES
        .iter()
        .flat_map(|row| [Some(row.name), row.alias])
        .flatten()
        .chain(["rename-command", "user", "loadmodule", "sentinel", "a.b"])
        .map(Vec::from)
        .collect();
    let values: Vec<Vec<u8>> = PROBES
        .into_iter()
        .chain(SPECIAL_PROBES.map(|(_, value)| value))
        .map(Vec::from)
        .collect();
    prop_oneof![
        4 => prop::sample::select(names),
        4 => prop::sample::select(values),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(prop::sample::select(b"\"'\\ x#\n\t{}%-".to_vec()), 0..8),
    ]
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(
        words in prop::collection::vec(word(), 0..12),
        separators in prop::collection::vec(prop::sample::select(b"  \n\t\0\"'".to_vec()), 12),
    ) {
        let mut options = Vec::new();
        for (word, separator) in words.iter().zip(separators) {
            options.extend_from_slice(word);
            options.push(separator);
        }
        let sources = Sources { options: options.clone(), ..Sources::default() };
        let mut host = Anything("/".into());
        if let Err(error) = Config::load(&sources, &mut host) {
            prop_assert!(!error.report(VERSION).is_empty());
        }
        let rewritten = Config::default().rewritten(&options, Extra::default(), false);
        prop_assert!(rewritten.ends_with(b"\n"));
        let arguments: Vec<OsString> = words.into_iter().map(OsString::from_vec).collect();
        Arguments::parse(&arguments, Path::new("/"));
    }

    #[test]
    fn what_is_set_survives_get_and_rewrite(
        pairs in prop::collection::vec((word(), word()), 1..20),
    ) {
        let mut host = Anything("/".into());
        let mut config = Config::load(&Sources::default(), &mut host).unwrap();
        config.enable_protected_configs = Protected::Yes;
        let circumstances = Circumstances::default();
        for (name, value) in &pairs {
            let before = config.clone();
            if config.set_many(&[(name, value)], circumstances, &mut host).is_err() {
                prop_assert_eq!(&config, &before);
            }
        }
        let text = config.rewritten(b"", Extra::default(), true);
        let sources = Sources { options: text, ..Sources::default() };
        let again = Config::load(&sources, &mut Anything("/".into())).unwrap();
        prop_assert_eq!(get(&again, &["*"]), get(&config, &["*"]));
    }
}
