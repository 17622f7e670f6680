//! Scripts as applications use them: locks, limiters, queues. Every transcript
//! is checked against redis-server too, where there is one.

use super::support::{Client, Server};

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

/// A script that the server keeps, called by its digest as libraries do it.
struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    #[track_caller]
    fn load(c: &mut Client, text: &'static str) -> Script {
        c.command(&["SCRIPT", "LOAD", text]);
        let sha = c.reply()[1..].to_owned();
        assert_eq!(sha.len(), 40);
        Script { text, sha }
    }

    #[track_caller]
    fn check(&self, c: &mut Client, keys: &[&str], args: &[&str], expected: &str) {
        let count = keys.len().to_string();
        let words = [&["EVALSHA", &self.sha, &count][..], keys, args].concat();
        c.command(&words);
        assert_eq!(c.reply(), expected, "{keys:?} {args:?}: {}", self.text);
    }
}

#[test]
fn a_lock_is_released_by_its_holder_only() {
    on_both(|c| {
        let release = Script::load(
            c,
            "if redis.call('get', KEYS[1]) == ARGV[1] then
                return redis.call('del', KEYS[1])
            else
                return 0
            end",
        );
        c.check("SET lock mine NX PX 30000", "+OK");
        c.check("SET lock other NX PX 30000", "$-1");
        release.check(c, &["lock"], &["other"], ":0");
        release.check(c, &["lock"], &["mine"], ":1");
        release.check(c, &["lock"], &["mine"], ":0");
        c.check("EXISTS lock", ":0");
        // What a client does when the server knows the script no more.
        c.check("SCRIPT FLUSH", "+OK");
        let gone = "-NOSCRIPT No matching script. Please use EVAL.";
        release.check(c, &["lock"], &["mine"], gone);
        c.check("SET lock mine", "+OK");
        c.command(&["EVAL", release.text, "1", "lock", "mine"]);
        c.check_reply(":1");
        release.check(c, &["lock"], &["mine"], ":0");
    });
}

#[test]
fn redlock_acquires_extends_and_releases_all_or_nothing() {
    on_both(|c| {
        let acquire = Script::load(
            c,
            "for _, key in ipairs(KEYS) do
                if redis.call('exists', key) == 1 then return 0 end
            end
            for _, key in ipairs(KEYS) do
                redis.call('set', key, ARGV[1], 'PX', ARGV[2])
            end
            return #KEYS",
        );
        let extend = Script::load(
            c,
            "for _, key in ipairs(KEYS) do
                if redis.call('get', key) ~= ARGV[1] then return 0 end
            end
            for _, key in ipairs(KEYS) do
                redis.call('pexpire', key, ARGV[2])
            end
            return #KEYS",
        );
        let release = Script::load(
            c,
            "local count = 0
            for _, key in ipairs(KEYS) do
                if redis.call('get', key) == ARGV[1] then
                    redis.pcall('del', key)
                    count = count + 1
                end
            end
            return count",
        );
        acquire.check(c, &["{r}a", "{r}b"], &["me", "30000"], ":2");
        acquire.check(c, &["{r}b", "{r}c"], &["you", "30000"], ":0");
        c.check("EXISTS {r}c", ":0");
        extend.check(c, &["{r}a", "{r}b"], &["me", "90000"], ":2");
        let left: i64 = c.ask("PTTL {r}b")[1..].parse().unwrap();
        assert!((30_001..=90_000).contains(&left), "{left}");
        extend.check(c, &["{r}a", "{r}b"], &["you", "90000"], ":0");
        release.check(c, &["{r}a", "{r}b"], &["you"], ":0");
        c.check("DEL {r}a", ":1");
        extend.check(c, &["{r}a", "{r}b"], &["me", "90000"], ":0");
        release.check(c, &["{r}a", "{r}b"], &["me"], ":1");
        acquire.check(c, &["{r}b", "{r}c"], &["you", "30000"], ":2");
    });
}

#[test]
fn a_lock_counts_how_often_its_holder_entered() {
    on_both(|c| {
        let lock = Script::load(
            c,
            "if redis.call('exists', KEYS[1]) == 0
                    or redis.call('hexists', KEYS[1], ARGV[2]) == 1 then
                redis.call('hincrby', KEYS[1], ARGV[2], 1)
                redis.call('pexpire', KEYS[1], ARGV[1])
                return nil
            end
            return redis.call('pttl', KEYS[1])",
        );
        let unlock = Script::load(
            c,
            "if redis.call('hexists', KEYS[1], ARGV[2]) == 0 then return nil end
            if redis.call('hincrby', KEYS[1], ARGV[2], -1) > 0 then
                redis.call('pexpire', KEYS[1], ARGV[1])
                return 0
            end
            redis.call('del', KEYS[1])
            redis.call('publish', KEYS[2], 0)
            return 1",
        );
        lock.check(c, &["lock"], &["30000", "client:1"], "$-1");
        lock.check(c, &["lock"], &["30000", "client:1"], "$-1");
        c.check("HGET lock client:1", "$2");
        c.command(&["EVALSHA", &lock.sha, "1", "lock", "30000", "client:2"]);
        let left: i64 = c.reply()[1..].parse().unwrap();
        assert!((1..=30_000).contains(&left), "{left}");
        let both = ["lock", "channel"];
        unlock.check(c, &both, &["30000", "client:2"], "$-1");
        unlock.check(c, &both, &["30000", "client:1"], ":0");
        unlock.check(c, &both, &["30000", "client:1"], ":1");
        lock.check(c, &["lock"], &["30000", "client:2"], "$-1");
    });
}

#[test]
fn a_token_bucket_fills_with_time() {
    on_both(|c| {
        // Rate per second, capacity, now in seconds, tokens asked for.
        let take = Script::load(
            c,
            "local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
            local now, asked = tonumber(ARGV[3]), tonumber(ARGV[4])
            local ttl = math.floor(capacity / rate * 2)
            local tokens = tonumber(redis.call('get', KEYS[1])) or capacity
            local last = tonumber(redis.call('get', KEYS[2])) or 0
            local filled = math.min(capacity, tokens + math.max(0, now - last) * rate)
            local allowed = filled >= asked
            if allowed then filled = filled - asked end
            redis.call('setex', KEYS[1], ttl, filled)
            redis.call('setex', KEYS[2], ttl, now)
            return {allowed and 1 or 0, tostring(filled)}",
        );
        let keys = ["{b}tokens", "{b}time"];
        take.check(c, &keys, &["0.5", "10", "1000", "8"], "*2 :1 $2");
        take.check(c, &keys, &["0.5", "10", "1000", "3"], "*2 :0 $2");
        take.check(c, &keys, &["0.5", "10", "1001.5", "1"], "*2 :1 $1.75");
        c.check("GET {b}tokens", "$1.75");
        c.check("GET {b}time", "$1001.5");
        c.check("TTL {b}time", ":40");
        take.check(c, &keys, &["0.5", "10", "1000", "1"], "*2 :1 $0.75");
        take.check(c, &keys, &["0.5", "10", "5000", "10"], "*2 :1 $0");
    });
}

#[test]
fn a_token_bucket_in_a_hash_uses_the_time_of_the_server() {
    on_both(|c| {
        let take = Script::load(
            c,
            "local time = redis.call('TIME')
            local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
            local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
            local capacity, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2]) / 1000
            local tokens, at = tonumber(bucket[1]), tonumber(bucket[2])
            if not tokens then tokens, at = capacity, now_ms end
            tokens = math.min(capacity, tokens + (now_ms - at) * per_ms)
            local wait_ms = 0
            if tokens >= 1 then
                tokens = tokens - 1
            else
                wait_ms = math.ceil((1 - tokens) / per_ms)
            end
            redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now_ms)
            redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / per_ms))
            return wait_ms",
        );
        for _ in 0..3 {
            take.check(c, &["bucket"], &["3", "0.01"], ":0");
        }
        c.command(&["EVALSHA", &take.sha, "1", "bucket", "3", "0.01"]);
        let wait_ms: i64 = c.reply()[1..].parse().unwrap();
        assert!((1..=100_000).contains(&wait_ms), "{wait_ms}");
    });
}

#[test]
fn a_window_slides_over_the_requests() {
    on_both(|c| {
        // Now and window in milliseconds, most requests, the name of this one.
        let allow = Script::load(
            c,
            "local now, window = tonumber(ARGV[1]), tonumber(ARGV[2])
            redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
            local count = redis.call('ZCARD', KEYS[1])
            if count < tonumber(ARGV[3]) then
                redis.call('ZADD', KEYS[1], now, ARGV[4])
                redis.call('PEXPIRE', KEYS[1], window)
                return {1, tonumber(ARGV[3]) - count - 1}
            end
            local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
            return {0, tonumber(first[2]) + window - now}",
        );
        let limit = |now: &'static str, name: &'static str| [now, "1000", "2", name];
        allow.check(c, &["w"], &limit("1700000000000", "a"), "*2 :1 :1");
        allow.check(c, &["w"], &limit("1700000000400", "b"), "*2 :1 :0");
        allow.check(c, &["w"], &limit("1700000000700", "c"), "*2 :0 :300");
        allow.check(c, &["w"], &limit("1700000001000", "d"), "*2 :1 :0");
        allow.check(c, &["w"], &limit("1700000001001", "e"), "*2 :0 :399");
        c.check(
            "ZRANGE w 0 -1 WITHSCORES",
            "*4 $b $1700000000400 $d $1700000001000",
        );
    });
}

#[test]
fn a_counter_in_a_window_is_weighted_by_the_one_before() {
    on_both(|c| {
        let allow = Script::load(
            c,
            "local part = tonumber(ARGV[1])
            local before = tonumber(redis.call('get', KEYS[2]) or '0')
            local count = tonumber(redis.call('get', KEYS[1]) or '0')
            if math.floor((1 - part) * before) + count >= tonumber(ARGV[2]) then return -1 end
            count = redis.call('incr', KEYS[1])
            if count == 1 then redis.call('expire', KEYS[1], 120) end
            return math.floor((1 - part) * before) + count",
        );
        c.check("SET before 8", "+OK");
        allow.check(c, &["now", "before"], &["0.25", "10"], ":7");
        allow.check(c, &["now", "before"], &["0.25", "7"], ":-1");
        allow.check(c, &["now", "before"], &["0.9", "7"], ":2");
        c.check("GET now", "$2");
        c.check("TTL now", ":120");
    });
}

#[test]
fn jobs_that_are_due_are_moved() {
    on_both(|c| {
        let promote = Script::load(
            c,
            "local due = redis.call('zrangebyscore', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
            if #due == 0 then return {} end
            redis.call('zrem', KEYS[1], unpack(due))
            for index, text in ipairs(due) do
                local job = cjson.decode(text)
                redis.call('lpush', KEYS[2] .. ':' .. (job.queue or 'default'), text)
                due[index] = job.id
            end
            return due",
        );
        let fetch = Script::load(
            c,
            "for _, queue in ipairs(KEYS) do
                local text = redis.call('rpop', queue)
                if text then
                    local job = cjson.decode(text)
                    job.attempts = (job.attempts or 0) + 1
                    redis.call('hset', 'active', job.id, cmsgpack.pack(job))
                    return cjson.encode({job.id, job.attempts, job.args})
                end
            end
            return false",
        );
        c.command(&[
            "ZADD",
            "later",
            "10",
            r#"{"id":"j1","queue":"low","args":[]}"#,
        ]);
        c.check_reply(":1");
        c.command(&[
            "ZADD",
            "later",
            "20",
            r#"{"id":"j2","args":[1,"two",{"k":null}]}"#,
        ]);
        c.check_reply(":1");
        c.command(&["ZADD", "later", "99", r#"{"id":"j3"}"#]);
        c.check_reply(":1");
        promote.check(c, &["later", "queue"], &["5", "100"], "*0");
        promote.check(c, &["later", "queue"], &["50", "100"], "*2 $j1 $j2");
        c.check("ZCARD later", ":1");
        let queues = ["queue:default", "queue:low"];
        let second = r#"$["j2",1,[1,"two",{"k":null}]]"#;
        fetch.check(c, &queues, &[], second);
        fetch.check(c, &queues, &[], r#"$["j1",1,{}]"#);
        fetch.check(c, &queues, &[], "$-1");
        let script = "return cmsgpack.unpack(redis.call('hget', KEYS[1], ARGV[1])).args[2]";
        Script::load(c, script).check(c, &["active"], &["j2"], "$two");
    });
}
