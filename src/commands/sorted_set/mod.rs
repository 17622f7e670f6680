//! Sorted set commands: <https://redis.io/docs/latest/commands/?group=sorted-set>.

mod change;
mod combine;
mod pop;
mod random;
mod range;
mod read;

use super::items::bulk_item;
use crate::command::table::{Command, Find, Group, cat, flag, key_at, keys_at, kflag};
use crate::config::Config;
use crate::encoding::listpack::Item;
use crate::resp::Reply;
use crate::types::ZsetLimits;
use change::{zadd, zincrby, zrem, zremrangebylex, zremrangebyrank, zremrangebyscore};
use combine::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use pop::{bzmpop, bzpopmax, bzpopmin, zmpop, zpopmax, zpopmin};
use random::zrandmember;
use range::{
    zrange, zrangebylex, zrangebyscore, zrangestore, zrevrange, zrevrangebylex, zrevrangebyscore,
};
use read::{zcard, zcount, zlexcount, zmscore, zrank, zrevrank, zscan, zscore};

pub(in crate::commands) use change::{AddOptions, add_scored};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    Command::data("BZMPOP", -5, bzmpop)
        .doc(
            Group::SortedSet,
            "7.0.0",
            "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number \
             of elements in the sorted set, and M being the number of elements popped.",
            "Pop members with the lowest or highest scores from the first sorted set that \
             has any, and wait for one if none has.",
        )
        .syntax(
            "timeout:double numkeys:integer key:key... where:(MIN | MAX) [COUNT \
             count:integer]",
        )
        .flags(flag::WRITE | flag::BLOCKING)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            2,
            Find::KeyNum(0, 1, 1),
        )]),
    Command::data("BZPOPMAX", -3, bzpopmax)
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "Pop the member with the highest score from the first sorted set that has any, \
             and wait for one if none has.",
        )
        .syntax("key:key... timeout:double")
        .flags(flag::WRITE | flag::NOSCRIPT | flag::BLOCKING | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::Range(-2, 1, 0),
        )])
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )]),
    Command::data("BZPOPMIN", -3, bzpopmin)
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "Pop the member with the lowest score from the first sorted set that has any, \
             and wait for one if none has.",
        )
        .syntax("key:key... timeout:double")
        .flags(flag::WRITE | flag::NOSCRIPT | flag::BLOCKING | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::Range(-2, 1, 0),
        )])
        .history(&[(
            "6.0.0",
            "`timeout` is interpreted as a double instead of an integer.",
        )]),
    Command::data("ZADD", -4, zadd)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)) for each item added, where N is the number of elements in the sorted \
             set.",
            "Add members with their scores to a sorted set, or give members other scores.",
        )
        .syntax(
            "key:key [condition:(NX | XX)@3.0.2] [comparison:(GT | LT)@6.2.0] \
             [change=CH@3.0.2] [increment=INCR@3.0.2] score_member:{score:double \
             member:string}...",
        )
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::UPDATE, 1)])
        .history(&[
            ("2.4.0", "Accepts multiple elements."),
            ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
            ("6.2.0", "Added the `GT` and `LT` options."),
        ]),
    Command::data("ZCARD", 2, zcard)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(1)",
            "Count the members of a sorted set.",
        )
        .syntax("key:key")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO, 1)]),
    Command::data("ZCOUNT", 4, zcount)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "Count the members whose scores lie between two bounds.",
        )
        .syntax("key:key min:double max:double")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZDIFF", -3, zdiff)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
             the sets, N is the size of the first set, and K is the size of the result set.",
            "Read the members of the first sorted set that are in none of the others.",
        )
        .syntax("numkeys:integer key:key... [WITHSCORES]")
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::KeyNum(0, 1, 1))]),
    Command::data("ZDIFFSTORE", -4, zdiffstore)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(L + (N-K)log(N)) worst case where L is the total number of elements in all \
             the sets, N is the size of the first set, and K is the size of the result set.",
            "Store the members of the first sorted set that are in none of the others.",
        )
        .syntax("destination:key numkeys:integer key:key#1...")
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SORTEDSET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1)),
        ]),
    Command::data("ZINCRBY", 4, zincrby)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)) where N is the number of elements in the sorted set.",
            "Add to the score of a member, counting a missing one as 0.",
        )
        .syntax("key:key increment:integer member:string")
        .flags(flag::WRITE | flag::DENYOOM | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::UPDATE, 1)]),
    Command::data("ZINTER", -3, zinter)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
             being the number of input sorted sets and M being the number of elements in the \
             resulting sorted set.",
            "Read the members that all of several sorted sets have.",
        )
        .syntax(
            "numkeys:integer key:key... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate:(SUM | MIN | MAX)] [WITHSCORES]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::KeyNum(0, 1, 1))]),
    Command::data("ZINTERCARD", -3, zintercard)
        .doc(
            Group::SortedSet,
            "7.0.0",
            "O(N*K) worst case with N being the smallest input sorted set, K being the \
             number of input sorted sets.",
            "Count the members that all of several sorted sets have.",
        )
        .syntax("numkeys:integer key:key... [LIMIT limit:integer]")
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::KeyNum(0, 1, 1))]),
    Command::data("ZINTERSTORE", -4, zinterstore)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K \
             being the number of input sorted sets and M being the number of elements in the \
             resulting sorted set.",
            "Store the members that all of several sorted sets have.",
        )
        .syntax(
            "destination:key numkeys:integer key:key#1... [WEIGHTS weight:integer...] \
             [AGGREGATE aggregate:(SUM | MIN | MAX)]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SORTEDSET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1)),
        ]),
    Command::data("ZLEXCOUNT", 4, zlexcount)
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)) with N being the number of elements in the sorted set.",
            "Count the members between two others in the order of their bytes, where all \
             scores are the same.",
        )
        .syntax("key:key min:string max:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZMPOP", -4, zmpop)
        .doc(
            Group::SortedSet,
            "7.0.0",
            "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number \
             of elements in the sorted set, and M being the number of elements popped.",
            "Pop members with the lowest or highest scores from the first sorted set that \
             has any.",
        )
        .syntax("numkeys:integer key:key... where:(MIN | MAX) [COUNT count:integer]")
        .flags(flag::WRITE)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(
            kflag::RW | kflag::ACCESS | kflag::DELETE,
            1,
            Find::KeyNum(0, 1, 1),
        )]),
    Command::data("ZMSCORE", -3, zmscore)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(N) where N is the number of members being requested.",
            "Read the scores of several members.",
        )
        .syntax("key:key member:string...")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZPOPMAX", -2, zpopmax)
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)*M) with N being the number of elements in the sorted set, and M being \
             the number of elements popped.",
            "Pop the members with the highest scores.",
        )
        .syntax("key:key [count:integer]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)]),
    Command::data("ZPOPMIN", -2, zpopmin)
        .doc(
            Group::SortedSet,
            "5.0.0",
            "O(log(N)*M) with N being the number of elements in the sorted set, and M being \
             the number of elements popped.",
            "Pop the members with the lowest scores.",
        )
        .syntax("key:key [count:integer]")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::ACCESS | kflag::DELETE, 1)]),
    Command::data("ZRANDMEMBER", -2, zrandmember)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(N) where N is the number of elements returned",
            "Pick one or more members by chance, with their scores if asked.",
        )
        .syntax("key:key [options:{count:integer [WITHSCORES]}]")
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("ZRANGE", -4, zrange)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements returned.",
            "Read the members in a range of ranks, scores or names.",
        )
        .syntax(
            "key:key start:string stop:string [sortby:(BYSCORE | BYLEX)@6.2.0] [REV@6.2.0] \
             [LIMIT offset_count:{offset:integer count:integer}@6.2.0] [WITHSCORES]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[(
            "6.2.0",
            "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options.",
        )]),
    Command::data("ZRANGEBYLEX", -4, zrangebylex)
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements being returned. If M is constant (e.g. always asking for the \
             first 10 elements with LIMIT), you can consider it O(log(N)).",
            "Read the members between two others in the order of their bytes, where all \
             scores are the same.",
        )
        .syntax(
            "key:key min:string max:string [LIMIT offset_count:{offset:integer \
             count:integer}]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .deprecated("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
    Command::data("ZRANGEBYSCORE", -4, zrangebyscore)
        .doc(
            Group::SortedSet,
            "1.0.5",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements being returned. If M is constant (e.g. always asking for the \
             first 10 elements with LIMIT), you can consider it O(log(N)).",
            "Read the members whose scores lie between two bounds.",
        )
        .syntax(
            "key:key min:double max:double [WITHSCORES@2.0.0] [LIMIT \
             offset_count:{offset:integer count:integer}]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("2.0.0", "Added the `WITHSCORES` modifier.")])
        .deprecated("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
    Command::data("ZRANGESTORE", -5, zrangestore)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements stored into the destination key.",
            "Store the members in a range of ranks, scores or names as another sorted set.",
        )
        .syntax(
            "dst:key src:key#1 min:string max:string [sortby:(BYSCORE | BYLEX)] [REV] [LIMIT \
             offset_count:{offset:integer count:integer}]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SORTEDSET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            key_at(kflag::RO | kflag::ACCESS, 2),
        ]),
    Command::data("ZRANK", 3, zrank)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(log(N))",
            "Tell how many members come before a member.",
        )
        .syntax("key:key member:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZREM", -3, zrem)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(M*log(N)) with N being the number of elements in the sorted set and M the \
             number of elements to be removed.",
            "Remove members of a sorted set, and the set with the last of them.",
        )
        .syntax("key:key member:string...")
        .flags(flag::WRITE | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)])
        .history(&[("2.4.0", "Accepts multiple elements.")]),
    Command::data("ZREMRANGEBYLEX", 4, zremrangebylex)
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements removed by the operation.",
            "Remove the members between two others in the order of their bytes, where all \
             scores are the same.",
        )
        .syntax("key:key min:string max:string")
        .flags(flag::WRITE)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::data("ZREMRANGEBYRANK", 4, zremrangebyrank)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements removed by the operation.",
            "Remove the members in a range of ranks.",
        )
        .syntax("key:key start:integer stop:integer")
        .flags(flag::WRITE)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::data("ZREMRANGEBYSCORE", 4, zremrangebyscore)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements removed by the operation.",
            "Remove the members whose scores lie between two bounds.",
        )
        .syntax("key:key min:double max:double")
        .flags(flag::WRITE)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RW | kflag::DELETE, 1)]),
    Command::data("ZREVRANGE", -4, zrevrange)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements returned.",
            "Read the members in a range of ranks, counted from the highest score down.",
        )
        .syntax("key:key start:integer stop:integer [WITHSCORES]")
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .deprecated("6.2.0", "`ZRANGE` with the `REV` argument"),
    Command::data("ZREVRANGEBYLEX", -4, zrevrangebylex)
        .doc(
            Group::SortedSet,
            "2.8.9",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements being returned. If M is constant (e.g. always asking for the \
             first 10 elements with LIMIT), you can consider it O(log(N)).",
            "Read the members between two others in the reverse order of their bytes, where \
             all scores are the same.",
        )
        .syntax(
            "key:key max:string min:string [LIMIT offset_count:{offset:integer \
             count:integer}]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
    Command::data("ZREVRANGEBYSCORE", -4, zrevrangebyscore)
        .doc(
            Group::SortedSet,
            "2.2.0",
            "O(log(N)+M) with N being the number of elements in the sorted set and M the \
             number of elements being returned. If M is constant (e.g. always asking for the \
             first 10 elements with LIMIT), you can consider it O(log(N)).",
            "Read the members whose scores lie between two bounds, from the highest score down.",
        )
        .syntax(
            "key:key max:double min:double [WITHSCORES] [LIMIT offset_count:{offset:integer \
             count:integer}]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .history(&[("2.1.6", "`min` and `max` can be exclusive.")])
        .deprecated("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
    Command::data("ZREVRANK", 3, zrevrank)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(log(N))",
            "Tell how many members come behind a member.",
        )
        .syntax("key:key member:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZSCAN", -3, zscan)
        .doc(
            Group::SortedSet,
            "2.8.0",
            "O(1) for every call. O(N) for a complete iteration, including enough command \
             calls for the cursor to return back to 0. N is the number of elements inside the \
             collection..",
            "Go through the members of a sorted set step by step.",
        )
        .syntax("key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]")
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)])
        .tips(&["nondeterministic_output"]),
    Command::data("ZSCORE", 3, zscore)
        .doc(
            Group::SortedSet,
            "1.2.0",
            "O(1)",
            "Read the score of a member.",
        )
        .syntax("key:key member:string")
        .flags(flag::READONLY | flag::FAST)
        .acl(cat::SORTEDSET)
        .keys(&[key_at(kflag::RO | kflag::ACCESS, 1)]),
    Command::data("ZUNION", -3, zunion)
        .doc(
            Group::SortedSet,
            "6.2.0",
            "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, \
             and M being the number of elements in the resulting sorted set.",
            "Read the members that any of several sorted sets has.",
        )
        .syntax(
            "numkeys:integer key:key... [WEIGHTS weight:integer...] [AGGREGATE \
             aggregate:(SUM | MIN | MAX)] [WITHSCORES]",
        )
        .flags(flag::READONLY)
        .acl(cat::SORTEDSET)
        .keys(&[keys_at(kflag::RO | kflag::ACCESS, 1, Find::KeyNum(0, 1, 1))]),
    Command::data("ZUNIONSTORE", -4, zunionstore)
        .doc(
            Group::SortedSet,
            "2.0.0",
            "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, \
             and M being the number of elements in the resulting sorted set.",
            "Store the members that any of several sorted sets has.",
        )
        .syntax(
            "destination:key numkeys:integer key:key#1... [WEIGHTS weight:integer...] \
             [AGGREGATE aggregate:(SUM | MIN | MAX)]",
        )
        .flags(flag::WRITE | flag::DENYOOM)
        .acl(cat::SORTEDSET)
        .keys(&[
            key_at(kflag::OW | kflag::UPDATE, 1),
            keys_at(kflag::RO | kflag::ACCESS, 2, Find::KeyNum(0, 1, 1)),
        ]),
];

pub(in crate::commands) fn limits(config: &Config) -> ZsetLimits {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    ZsetLimits {
        entries: size(config.zset_max_listpack_entries),
        member_bytes: size(config.zset_max_listpack_value_bytes),
    }
}

/// A reply of members, with their scores if asked: in RESP2 one after the
/// other, in RESP3 as pairs.
struct MembersReply<'a, 'b> {
    reply: &'a mut Reply<'b>,
    with_scores: bool,
}

impl<'a, 'b> MembersReply<'a, 'b> {
    /// Begins a reply of `len` members.
    fn begin(reply: &'a mut Reply<'b>, len: usize, with_scores: bool) -> MembersReply<'a, 'b> {
        let flat = with_scores && !reply.is_resp3();
        reply.array(if flat { len.saturating_mul(2) } else { len });
        MembersReply { reply, with_scores }
    }

    #[inline]
    fn add(&mut self, member: Item<'_>, score: f64) {
        if self.with_scores && self.reply.is_resp3() {
            self.reply.array(2);
        }
        bulk_item(self.reply, member);
        if self.with_scores {
            self.reply.double(score);
        }
    }
}
