//! What a command did beside its values, to be settled by the executor.

use super::DbIndex;

/// Keyspace event classes, as the letters of `notify-keyspace-events`.
#[allow(missing_docs)]
pub mod class {
    pub const BY_KEY: u32 = 1; // K: published under the name of the key
    pub const BY_EVENT: u32 = 1 << 1; // E: under the name of the event
    pub const GENERIC: u32 = 1 << 2; // g
    pub const STRING: u32 = 1 << 3; // $
    pub const LIST: u32 = 1 << 4; // l
    pub const SET: u32 = 1 << 5; // s
    pub const HASH: u32 = 1 << 6; // h
    pub const ZSET: u32 = 1 << 7; // z
    pub const EXPIRED: u32 = 1 << 8; // x
    pub const EVICTED: u32 = 1 << 9; // e
    pub const STREAM: u32 = 1 << 10; // t
    pub const KEY_MISS: u32 = 1 << 11; // m
    pub const NEW: u32 = 1 << 14; // n
}

/// A keyspace event: <https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/>.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// `class::*` bit.
    pub class: u32,
    /// The name that is published.
    pub name: &'static str,
}

/// The events by name.
#[allow(missing_docs)]
pub mod event {
    use super::{Event, class};

    const fn generic(name: &'static str) -> Event {
        Event {
            class: class::GENERIC,
            name,
        }
    }
    const fn string(name: &'static str) -> Event {
        Event {
            class: class::STRING,
            name,
        }
    }
    pub const SORTSTORE: Event = list("sortstore");
    const fn set(name: &'static str) -> Event {
        Event {
            class: class::SET,
            name,
        }
    }
    pub const SADD: Event = set("sadd");
    pub const SREM: Event = set("srem");
    pub const SPOP: Event = set("spop");
    pub const SDIFFSTORE: Event = set("sdiffstore");
    pub const SINTERSTORE: Event = set("sinterstore");
    pub const SUNIONSTORE: Event = set("sunionstore");
    const fn hash(name: &'static str) -> Event {
        Event {
            class: class::HASH,
            name,
        }
    }
    const fn zset(name: &'static str) -> Event {
        Event {
            class: class::ZSET,
            name,
        }
    }
    pub const ZADD: Event = zset("zadd");
    pub const ZINCR: Event = zset("zincr");
    pub const ZREM: Event = zset("zrem");
    pub const ZREMRANGEBYRANK: Event = zset("zremrangebyrank");
    pub const ZREMRANGEBYSCORE: Event = zset("zremrangebyscore");
    pub const ZREMRANGEBYLEX: Event = zset("zremrangebylex");
    pub const ZPOPMIN: Event = zset("zpopmin");
    pub const ZPOPMAX: Event = zset("zpopmax");
    pub const ZRANGESTORE: Event = zset("zrangestore");
    pub const ZUNIONSTORE: Event = zset("zunionstore");
    pub const ZINTERSTORE: Event = zset("zinterstore");
    pub const ZDIFFSTORE: Event = zset("zdiffstore");
    pub const GEORADIUSSTORE: Event = zset("georadiusstore");
    pub const GEOSEARCHSTORE: Event = zset("geosearchstore");
    pub const HSET: Event = hash("hset");
    pub const HDEL: Event = hash("hdel");
    pub const HINCRBY: Event = hash("hincrby");
    pub const HINCRBYFLOAT: Event = hash("hincrbyfloat");
    const fn list(name: &'static str) -> Event {
        Event {
            class: class::LIST,
            name,
        }
    }
    const fn stream(name: &'static str) -> Event {
        Event {
            class: class::STREAM,
            name,
        }
    }
    pub const XADD: Event = stream("xadd");
    pub const XDEL: Event = stream("xdel");
    pub const XTRIM: Event = stream("xtrim");
    pub const XSETID: Event = stream("xsetid");
    pub const XGROUP_CREATE: Event = stream("xgroup-create");
    pub const XGROUP_SETID: Event = stream("xgroup-setid");
    pub const XGROUP_DESTROY: Event = stream("xgroup-destroy");
    pub const XGROUP_CREATECONSUMER: Event = stream("xgroup-createconsumer");
    pub const XGROUP_DELCONSUMER: Event = stream("xgroup-delconsumer");
    pub const SET: Event = string("set");
    pub const APPEND: Event = string("append");
    pub const SETRANGE: Event = string("setrange");
    pub const SETBIT: Event = string("setbit");
    pub const PFADD: Event = string("pfadd");
    pub const INCRBY: Event = string("incrby");
    pub const INCRBYFLOAT: Event = string("incrbyfloat");
    pub const LPUSH: Event = list("lpush");
    pub const RPUSH: Event = list("rpush");
    pub const LPOP: Event = list("lpop");
    pub const RPOP: Event = list("rpop");
    pub const LINSERT: Event = list("linsert");
    pub const LSET: Event = list("lset");
    pub const LREM: Event = list("lrem");
    pub const LTRIM: Event = list("ltrim");
    pub const DEL: Event = generic("del");
    pub const EXPIRE: Event = generic("expire");
    pub const PERSIST: Event = generic("persist");
    pub const RENAME_FROM: Event = generic("rename_from");
    pub const RENAME_TO: Event = generic("rename_to");
    pub const MOVE_FROM: Event = generic("move_from");
    pub const MOVE_TO: Event = generic("move_to");
    pub const COPY_TO: Event = generic("copy_to");
    pub const RESTORE: Event = generic("restore");
    pub const KEY_MISS: Event = Event {
        class: class::KEY_MISS,
        name: "keymiss",
    };
    pub const NEW: Event = Event {
        class: class::NEW,
        name: "new",
    };
    pub const EVICTED: Event = Event {
        class: class::EVICTED,
        name: "evicted",
    };
    pub const EXPIRED: Event = Event {
        class: class::EXPIRED,
        name: "expired",
    };
}

/// One effect, in the order in which they happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A key got another value or went: WATCH and client caches care.
    Touched(DbIndex, Box<[u8]>),
    /// A key went because its time had come: touched, and by nobody.
    Lapsed(DbIndex, Box<[u8]>),
    /// A keyspace event that somebody may have subscribed to.
    Event(DbIndex, Event, Box<[u8]>),
    /// A key was deleted because it expired: replicas and the AOF get a DEL.
    Expired(DbIndex, Box<[u8]>),
    /// A key was deleted because memory is full: the same.
    Evicted(DbIndex, Box<[u8]>),
    /// A database was emptied or exchanged.
    Flushed(DbIndex),
    /// All keys of a database, or of all, were asked to go.
    Emptied,
    /// All databases were emptied.
    AllFlushed,
    /// A key appeared that clients may wait for.
    Ready(DbIndex, Box<[u8]>),
    /// A key changed or went that clients may rely on while they wait.
    Lost(DbIndex, Box<[u8]>),
}

/// The effects of the command that runs. Only what somebody listens for is
/// written down, so that a server without listeners pays nothing.
#[derive(Default, Debug)]
pub struct Effects {
    /// Number of changes, as `rdb_changes_since_last_save` counts them.
    pub dirty: u64,
    /// Whether touched keys matter to anybody (WATCH, tracking).
    pub record_touched: bool,
    /// Event classes that are published (0: none).
    pub record_classes: u32,
    /// Whether anybody waits for keys to appear (blocking commands).
    pub record_ready: bool,
    /// Whether who waits does so only as long as the keys stay.
    pub record_lost: bool,
    /// Whether expiries, like commands, are propagated (AOF, replicas).
    pub record_expired: bool,
    log: Vec<Effect>,
}

impl Effects {
    /// A key changed.
    #[inline]
    pub fn touched(&mut self, db: DbIndex, key: &[u8]) {
        if self.record_touched {
            self.log.push(Effect::Touched(db, key.into()));
        }
        self.lost(db, key);
    }

    /// Something happened to a key.
    #[inline]
    pub fn event(&mut self, db: DbIndex, event: Event, key: &[u8]) {
        if self.record_classes & event.class != 0 {
            self.log.push(Effect::Event(db, event, key.into()));
        }
    }

    /// A key expired and was deleted.
    pub fn expired(&mut self, db: DbIndex, key: &[u8]) {
        if self.record_expired {
            self.log.push(Effect::Expired(db, key.into()));
        }
        self.event(db, event::EXPIRED, key);
        if self.record_touched {
            self.log.push(Effect::Lapsed(db, key.into()));
        }
        self.lost(db, key);
    }

    #[inline]
    fn lost(&mut self, db: DbIndex, key: &[u8]) {
        if self.record_lost {
            self.log.push(Effect::Lost(db, key.into()));
        }
    }

    /// A key was deleted because memory is full.
    pub fn evicted(&mut self, db: DbIndex, key: &[u8]) {
        if self.record_touched {
            self.log.push(Effect::Lapsed(db, key.into()));
        }
        self.event(db, event::EVICTED, key);
        if self.record_expired {
            self.log.push(Effect::Evicted(db, key.into()));
        }
    }

    /// A key appeared that clients may wait for.
    #[inline]
    pub fn ready(&mut self, db: DbIndex, key: &[u8]) {
        if self.record_ready {
            self.log.push(Effect::Ready(db, key.into()));
        }
    }

    /// A database lost or changed all its keys.
    pub fn flushed(&mut self, db: DbIndex) {
        if self.record_touched || self.record_ready {
            self.log.push(Effect::Flushed(db));
        }
    }

    /// FLUSHALL or FLUSHDB, whether or not there was anything.
    pub fn emptied(&mut self) {
        if self.record_touched {
            self.log.push(Effect::Emptied);
        }
    }

    /// All databases were emptied: what is saved is void.
    pub fn all_flushed(&mut self) {
        self.log.push(Effect::AllFlushed);
    }

    /// Whether there is anything to settle.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Takes the effects out.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.log)
    }
}
