//! What the commands tell AOF, replicas, WATCH and subscribers.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::acl::{Terms, User};
use crate::command::ctx::{Args, Caller, Ctx, Propagation};
use crate::command::registry::{Lookup, Registry};
use crate::command::table::Handler;
use crate::commands::FAMILIES;
use crate::config::Config;
use crate::keyspace::{DbIndex, Effect, Keyspace};
use crate::resp::{Output, Reply};

/// A keyspace with listeners to everything, at a time of its own.
pub(in crate::commands) struct World {
    keyspace: Keyspace,
    config: Config,
    db: DbIndex,
}

impl World {
    pub(in crate::commands) fn new() -> World {
        let mut keyspace = Keyspace::new(2);
        keyspace.now_ms = 1_000_000;
        keyspace.effects.record_touched = true;
        keyspace.effects.record_expired = true;
        keyspace.effects.record_classes = u32::MAX;
        World {
            db: keyspace.index(0).unwrap(),
            keyspace,
            config: Config::default(),
        }
    }

    /// Runs a command; gives its effects, how it propagates, and the number of
    /// changes.
    pub fn run(&mut self, words: &str) -> (String, String, u64) {
        let argv: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.run_argv(&argv)
    }

    /// As [`World::run`], with arguments of any bytes.
    fn run_argv(&mut self, argv: &[&[u8]]) -> (String, String, u64) {
        let registry = Registry::new(FAMILIES).unwrap();
        let Lookup::Found(command) = registry.resolve(argv) else {
            panic!("{} is not there", argv[0].escape_ascii());
        };
        let command = &registry[command];
        let terms = Terms {
            catalog: &registry,
            all_channels: true,
        };
        let user = User::new_default(&terms);
        let Handler::Data(handler) = command.command.handler else {
            panic!("{} is not a command on data", command.full_name());
        };
        let names = 1 + command.full_name().matches('|').count();
        let (mut output, mut propagation) = (Output::default(), Propagation::default());
        handler(&mut Ctx {
            args: Args::new(argv, &[], names),
            db: self.keyspace.select(self.db),
            reply: Reply::new(&mut output, false),
            rng: &mut SmallRng::seed_from_u64(1),
            config: &self.config,
            reply_max_bytes: usize::MAX,
            propagation: &mut propagation,
            caller: Caller {
                user: &user,
                command,
                from_script: false,
            },
            woken_by: None,
        })
        .unwrap();
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let dirty = std::mem::take(&mut self.keyspace.effects.dirty);
        let effects = self.keyspace.effects.take();
        let effects = effects.iter().map(|effect| match effect {
            Effect::Touched(db, key) | Effect::Lapsed(db, key) => {
                format!("{}~{}", db.get(), text(key))
            }
            Effect::Event(db, event, key) => format!("{}:{}={}", db.get(), event.name, text(key)),
            Effect::Expired(db, key) => format!("{}-{}", db.get(), text(key)),
            Effect::Emptied => "~*".to_owned(),
            Effect::AllFlushed => "void".to_owned(),
            Effect::Evicted(db, key) => format!("{}!{}", db.get(), text(key)),
            Effect::Flushed(db) => format!("{}~*", db.get()),
            Effect::Ready(db, key) => format!("{}+{}", db.get(), text(key)),
            Effect::Lost(db, key) => format!("{}?{}", db.get(), text(key)),
        });
        let effects = effects.collect::<Vec<_>>().join(" ");
        let propagation = match propagation {
            Propagation::Verbatim => "verbatim".to_owned(),
            Propagation::As(commands) => {
                let commands = commands.iter().map(|argv| text(&argv.join(&b' ')));
                commands.collect::<Vec<_>>().join("; ")
            }
        };
        (effects, propagation, dirty)
    }

    /// Runs a command and checks all that it gives.
    #[track_caller]
    pub(in crate::commands) fn check(
        &mut self,
        words: &str,
        effects: &str,
        propagation: &str,
        dirty: u64,
    ) {
        let found = self.run(words);
        let expected = (effects.to_owned(), propagation.to_owned(), dirty);
        assert_eq!(found, expected, "{words}");
    }
}

#[test]
fn moving_keys_is_told_of_both_names() {
    let mut world = World::new();
    world.run("SET a 1");
    world.check(
        "RENAME a b",
        "0~a 0:new=b 0~b 0:rename_from=a 0:rename_to=b",
        "verbatim",
        1,
    );
    world.check("RENAMENX b b", "", "verbatim", 0);
    world.check(
        "MOVE b 1",
        "0~b 1:new=b 1~b 0:move_from=b 1:move_to=b",
        "verbatim",
        1,
    );
    world.run("SET b 2");
    world.check("MOVE b 1", "", "verbatim", 0);
    world.check("COPY b c", "0:new=c 0~c 0:copy_to=c", "verbatim", 1);
    world.check("COPY b c", "", "verbatim", 0);
    world.check("COPY b c REPLACE", "0:new=c 0~c 0:copy_to=c", "verbatim", 1);
    world.check("DEL b nosuch c", "0~b 0:del=b 0~c 0:del=c", "verbatim", 2);
    world.check("EXISTS b", "0:keymiss=b", "verbatim", 0);
}

#[test]
fn expiries_propagate_as_points_in_time() {
    let mut world = World::new();
    world.run("SET a 1");
    world.check(
        "EXPIRE a 10 nx",
        "0~a 0:expire=a",
        "PEXPIREAT a 1010000 nx",
        1,
    );
    world.check("EXPIRE a 10 NX", "", "verbatim", 0);
    world.check("PERSIST a", "0~a 0:persist=a", "verbatim", 1);
    world.check("PERSIST a", "", "verbatim", 0);
    world.check("EXPIREAT a 1000", "0~a 0:del=a", "DEL a", 1);
    world.run("SET a 1");
    world.config.lazyfree_lazy_expire = true;
    world.check("PEXPIRE a -5", "0~a 0:del=a", "UNLINK a", 1);

    // A source decides for those who follow it.
    world.run("SET a 1");
    world.keyspace.hide_expired = true;
    world.check("PEXPIREAT a 5", "0~a 0:expire=a", "verbatim", 1);
    world.check("EXISTS a", "0:keymiss=a", "verbatim", 0);
    world.keyspace.hide_expired = false;
    world.check("EXISTS a", "0-a 0:expired=a 0~a 0:keymiss=a", "verbatim", 0);
}

#[test]
fn whole_databases_are_told_of_once() {
    let mut world = World::new();
    world.check("FLUSHALL", "~* void", "FLUSHALL", 0);
    world.run("MSET a 1 b 2");
    world.check("SWAPDB 0 0", "", "verbatim", 1);
    world.check("SWAPDB 0 1", "0~* 1~*", "verbatim", 1);
    world.check("FLUSHDB ASYNC", "~*", "FLUSHDB ASYNC", 0);
    world.check("FLUSHALL SYNC", "1~* ~* void", "FLUSHALL SYNC", 2);
}

#[test]
fn looking_is_not_using() {
    let mut world = World::new();
    world.run("SET a text");
    world.keyspace.now_ms += 60_000;
    let clock = |world: &mut World| -> u32 {
        let mut db = world.keyspace.select(world.db);
        db.peek(b"a").unwrap().clock()
    };
    let old = clock(&mut world);
    for look in [
        "EXISTS a",
        "TYPE a",
        "TTL a",
        "SCAN 0 TYPE string",
        "KEYS *",
    ] {
        world.run(look);
        assert_eq!(clock(&mut world), old, "{look}");
    }
    assert_eq!(
        (world.keyspace.stats.hits, world.keyspace.stats.misses),
        (4, 0)
    );
    world.run("TOUCH a nosuch");
    assert_eq!(clock(&mut world), old + 60);
    assert_eq!(
        (world.keyspace.stats.hits, world.keyspace.stats.misses),
        (5, 1)
    );
}

#[test]
fn restored_keys_propagate_with_a_point_in_time() {
    use crate::rdb::payload;
    use crate::types::{StrRef, ValueView};

    let payload = payload::of(ValueView::String(StrRef::Int(7)), true);
    let shown = payload.escape_ascii().to_string();
    let mut world = World::new();
    let mut check = |ttl: &str, options: &[&str], effects: &str, propagation: &str, dirty: u64| {
        let mut argv: Vec<&[u8]> = vec![b"RESTORE", b"k", ttl.as_bytes(), &payload];
        argv.extend(options.iter().map(|option| option.as_bytes()));
        let expected = (effects.to_owned(), propagation.to_owned(), dirty);
        assert_eq!(world.run_argv(&argv), expected, "{ttl} {options:?}");
    };
    const MADE: &str = "0:new=k 0~k 0:restore=k";
    check("0", &[], MADE, "verbatim", 1);
    let absolute = format!("RESTORE k 1000500 {shown} REPLACE ABSTTL");
    check("500", &["REPLACE"], MADE, &absolute, 1);
    check("1000500", &["REPLACE", "absttl"], MADE, "verbatim", 1);
    // Nothing is left of a key whose time is over.
    check("5", &["REPLACE", "ABSTTL"], "0~k 0:del=k", "DEL k", 1);
    check("5", &["REPLACE", "ABSTTL"], "", "verbatim", 0);
    world.run("RPUSH a 1");
    world.check("DUMP a", "", "verbatim", 0);
    world.check("DUMP k", "0:keymiss=k", "verbatim", 0);
}
