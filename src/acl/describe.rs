//! Users as rules: what is written reads back as the same user.

use super::selector::{Access, CommandSet, KeyRule, Selector};
use super::user::User;
use super::{Catalog, Terms};

impl User {
    /// The words of its flags, in the order of ACL GETUSER.
    pub fn flags(&self) -> Vec<&'static str> {
        let words = [
            (self.enabled, "on"),
            (!self.enabled, "off"),
            (self.nopass, "nopass"),
            (
                self.sanitize_payload == Some(false),
                "skip-sanitize-payload",
            ),
            (self.sanitize_payload == Some(true), "sanitize-payload"),
        ];
        let given = words.into_iter().filter(|(given, _)| *given);
        given.map(|(_, word)| word).collect()
    }

    /// The rules that make it.
    pub fn describe(&self, terms: &Terms<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for flag in self.flags() {
            out.extend_from_slice(flag.as_bytes());
            out.push(b' ');
        }
        for password in self.passwords() {
            out.extend_from_slice(format!("#{} ", password.to_hex()).as_bytes());
        }
        for (index, selector) in self.selectors().iter().enumerate() {
            if index == 0 {
                selector.describe(terms.catalog, &mut out);
            } else {
                out.extend_from_slice(b" (");
                selector.describe(terms.catalog, &mut out);
                out.push(b')');
            }
        }
        out
    }

    /// The line of a configuration file, without the word `user`.
    pub fn line(&self, terms: &Terms<'_>) -> Vec<u8> {
        let mut out = self.name().to_vec();
        out.push(b' ');
        out.extend_from_slice(&self.describe(terms));
        out
    }
}

impl Selector {
    /// Its key patterns as rules.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let rule = |rule: &KeyRule| {
            let prefix: &[u8] = match rule.access {
                Access::READ => b"%R~",
                Access::WRITE => b"%W~",
                _ => b"~",
            };
            [prefix, rule.pattern.text()].concat()
        };
        let rules: Vec<Vec<u8>> = self.keys.iter().map(rule).collect();
        rules.join(&b' ')
    }

    /// Its channel patterns as rules.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let channels = self.channels.iter();
        let rules: Vec<Vec<u8>> = channels
            .map(|pattern| [b"&", pattern.text()].concat())
            .collect();
        rules.join(&b' ')
    }

    fn describe(&self, catalog: &dyn Catalog, out: &mut Vec<u8>) {
        let mut put = |rules: &[u8]| {
            if !rules.is_empty() {
                out.extend_from_slice(rules);
                out.push(b' ');
            }
        };
        put(&self.describe_keys());
        if !self.all_channels {
            put(b"resetchannels");
        }
        put(&self.describe_channels());
        out.extend_from_slice(&self.describe_commands(catalog));
    }

    /// Its commands as rules, few where categories say much: from all or
    /// none, the category that fits best comes first, and in the end single
    /// commands make up the difference.
    pub fn describe_commands(&self, catalog: &dyn Catalog) -> Vec<u8> {
        let terms = Terms {
            catalog,
            all_channels: false,
        };
        let adding = !self.future_commands;
        let sign = if adding { '+' } else { '-' };
        // What the rules so far make, and what of the own is not said yet.
        let mut made = Selector::new(&terms);
        made.set_all_commands(!adding);
        let mut left = self.clone();
        let mut rules = if adding { "-@all" } else { "+@all" }.as_bytes().to_vec();

        let mut categories: Vec<(u32, &str, CommandSet)> = catalog
            .category_names()
            .iter()
            .map(|(bit, name)| (*bit, *name, members(catalog, *bit)))
            .collect();
        while let Some(best) = best_category(&left.commands, adding, &categories) {
            let (bit, name, _) = categories.remove(best);
            made.set_category(catalog, bit, adding);
            left.set_category(catalog, bit, !adding);
            rules.extend_from_slice(format!(" {sign}@{name}").as_bytes());
        }
        self.describe_differences(catalog, &mut made, &mut rules);
        debug_assert!(
            (0..catalog.count())
                .all(|command| made.commands.has(command) == self.commands.has(command)),
            "the rules make what they describe"
        );
        rules
    }

    /// Single commands that `made` lacks or has too much, and first arguments.
    fn describe_differences(
        &self,
        catalog: &dyn Catalog,
        made: &mut Selector,
        rules: &mut Vec<u8>,
    ) {
        let top = (0..catalog.count()).filter(|command| catalog.container(*command).is_none());
        for command in top.flat_map(|top| std::iter::once(top).chain(catalog.subcommands(top))) {
            let (wanted, name) = (self.commands.has(command), catalog.full_name(command));
            if wanted != made.commands.has(command) {
                let sign = if wanted { '+' } else { '-' };
                rules.extend_from_slice(format!(" {sign}{name}").as_bytes());
                made.set_command(catalog, command, wanted);
            }
            let args = self.first_args.get(&command).filter(|_| !wanted);
            for arg in args.into_iter().flatten() {
                rules.extend_from_slice(format!(" +{name}|").as_bytes());
                rules.extend_from_slice(arg);
            }
        }
    }
}

fn members(catalog: &dyn Catalog, category: u32) -> CommandSet {
    let mut set = CommandSet::none(catalog);
    for command in 0..catalog.count() {
        set.set(command, catalog.categories(command) & category != 0);
    }
    set
}

/// The category that says most of what is left: more right than wrong, then
/// least wrong, then most right. Redis: of equals the first.
fn best_category(
    left: &CommandSet,
    adding: bool,
    categories: &[(u32, &str, CommandSet)],
) -> Option<usize> {
    let mut best: Option<(usize, u32, u32)> = None;
    for (index, (_, _, members)) in categories.iter().enumerate() {
        let on = left.count_of(members);
        let off = members.len() - on;
        let (right, wrong) = if adding { (on, off) } else { (off, on) };
        let better = |(_, best_right, best_wrong): (usize, u32, u32)| {
            wrong < best_wrong || (wrong == best_wrong && right > best_right)
        };
        if right > wrong && best.is_none_or(better) {
            best = Some((index, right, wrong));
        }
    }
    best.map(|(index, ..)| index)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Few, TERMS};
    use super::*;
    use proptest::prelude::*;

    fn described(rules: &str) -> String {
        let rules: Vec<&str> = rules.split(' ').collect();
        let user = User::new(&TERMS, b"u").with_rules(&TERMS, &rules).unwrap();
        String::from_utf8(user.describe(&TERMS)).unwrap()
    }

    #[test]
    fn users_are_described_by_rules() {
        for (rules, expected) in [
            ("on", "on resetchannels -@all"),
            ("+get", "off resetchannels -@all +@read"),
            (
                "+select|0 +SELECT|1 +select|0",
                "off resetchannels -@all +select|0 +select|1",
            ),
            ("+@all -config|set", "off resetchannels +@all -config|set"),
            (
                "+config -config|get",
                "off resetchannels -@all +config -config|get",
            ),
            ("allkeys &a* &b", "off ~* resetchannels &a* &b -@all"),
            (
                "~a %R~b %W~c %W~b reset ~x %R~y (+get ~z) (&* +@all)",
                "off sanitize-payload ~x %R~y resetchannels -@all (~z resetchannels -@all +@read) \
                 (&* +@all)",
            ),
        ] {
            assert_eq!(described(rules), expected, "{rules}");
        }
    }

    proptest! {
        #[test]
        fn what_is_described_reads_back(picks in prop::collection::vec(0usize..20, 0..12)) {
            const RULES: [&str; 20] = [
                "+@all", "-@all", "+@read", "-@read", "+@slow", "-@slow", "+@admin", "-@admin",
                "+get", "-get", "+config", "-config", "+config|get", "-config|set", "+select|0",
                "+select|x", "~k*", "%R~r*", "&c*", "(+get ~z)",
            ];
            let rules: Vec<&str> = picks.iter().map(|pick| RULES[*pick]).collect();
            let user = User::new(&TERMS, b"u").with_rules(&TERMS, &rules).unwrap();
            let text = user.describe(&TERMS);
            let again: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
            let again = User::new(&TERMS, b"u").with_rules(&TERMS, &again).unwrap();
            prop_assert_eq!(again.describe(&TERMS), text);
            for (a, b) in user.selectors().iter().zip(again.selectors()) {
                for command in 0..Few.count() {
                    prop_assert_eq!(a.commands.has(command), b.commands.has(command));
                }
            }
        }
    }
}
