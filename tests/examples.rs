//! What applications do with a server, as a new user would write it with the
//! `redis` crate and, in examples.py, with redis-py; and redis-benchmark.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use redis::{Commands, Connection, Direction, pipe};
use support::{Server, wait};

/// Runs an example in both versions of the protocol, on an empty server.
fn with_both_protocols(example: impl Fn(&redis::Client, &mut Connection)) {
    let server = Server::start(&[]);
    for protocol in ["", "?protocol=resp3"] {
        let url = format!("redis://127.0.0.1:{}/{protocol}", server.port);
        let client = redis::Client::open(url).unwrap();
        let mut c = client.get_connection().unwrap();
        let _: () = redis::cmd("FLUSHALL").query(&mut c).unwrap();
        example(&client, &mut c);
    }
}

#[test]
fn a_leaderboard() {
    with_both_protocols(|_, c| {
        let players: Vec<(f64, String)> = (1..=100)
            .map(|i| (f64::from(i) * 10.0, format!("player:{i}")))
            .collect();
        let added: usize = c.zadd_multiple("board", &players).unwrap();
        assert_eq!(added, 100);
        let score: f64 = c.zincr("board", "player:1", 995.5).unwrap();
        assert_eq!(score, 1005.5);
        let top: Vec<(String, f64)> = c.zrevrange_withscores("board", 0, 2).unwrap();
        let names = ["player:1", "player:100", "player:99"].map(str::to_owned);
        let scores = [1005.5, 1000.0, 990.0];
        assert_eq!(top, names.into_iter().zip(scores).collect::<Vec<_>>());
        assert_eq!(c.zrevrank("board", "player:1"), Ok(Some(0)));
        assert_eq!(c.zrevrank("board", "nobody"), Ok(None::<usize>));
        // Those around one player.
        let rank: isize = c.zrevrank("board", "player:50").unwrap();
        let around: Vec<String> = c.zrevrange("board", rank - 1, rank + 1).unwrap();
        assert_eq!(around, ["player:51", "player:50", "player:49"]);
        assert_eq!(c.zcount("board", 500, "(600"), Ok(10));
        let removed: usize = c.zremrangebyrank("board", 0, -11).unwrap();
        assert_eq!((removed, c.zcard("board")), (90, Ok(10)));
    });
}

/// Whether a user may make one more request: at most 5 in any 1,000 ms.
fn allowed(c: &mut Connection, user: &str, now_ms: u64) -> bool {
    let key = format!("limit:{user}");
    let (used,): (usize,) = pipe()
        .atomic()
        .zrembyscore(&key, "-inf", now_ms - 1000)
        .ignore()
        .zcard(&key)
        .pexpire(&key, 60_000)
        .ignore()
        .query(c)
        .unwrap();
    let allowed = used < 5;
    if allowed {
        let request = format!("request:{now_ms}");
        assert_eq!(c.zadd(&key, request, now_ms), Ok(1));
    }
    allowed
}

#[test]
fn a_limit_on_requests_in_a_sliding_window() {
    with_both_protocols(|_, c| {
        let start_ms = 1_700_000_000_000;
        let answers: Vec<bool> = (0..7)
            .map(|i| allowed(c, "ann", start_ms + i * 100))
            .collect();
        assert_eq!(answers, [true, true, true, true, true, false, false]);
        assert!(allowed(c, "bob", start_ms));
        // The first one leaves the window after 1,000 ms, the next 100 ms later.
        assert!(!allowed(c, "ann", start_ms + 999));
        assert!(allowed(c, "ann", start_ms + 1000));
        assert!(!allowed(c, "ann", start_ms + 1001));
        assert!(allowed(c, "ann", start_ms + 1100));
    });
}

/// Takes jobs and does them, until it is told to stop.
fn work(c: &mut Connection, name: &str) {
    let mine = format!("working:{name}");
    loop {
        let job: Option<String> = c
            .blmove("jobs", &mine, Direction::Right, Direction::Left, 10.0)
            .unwrap();
        let job = job.expect("a job within ten seconds");
        if job == "stop" {
            break;
        }
        let (_, removed): (i64, usize) = pipe()
            .atomic()
            .hincr("done", &job, 1)
            .lrem(&mine, 1, &job)
            .query(c)
            .unwrap();
        assert_eq!(removed, 1);
    }
    let _: () = c.del(&mine).unwrap();
}

/// How many clients wait in BLMOVE.
fn waiting(c: &mut Connection) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query(c).unwrap();
    list.matches(" cmd=blmove ").count()
}

#[test]
fn a_queue_of_jobs_whose_workers_die() {
    with_both_protocols(|client, c| {
        let jobs: Vec<String> = (0..300).map(|i| format!("job:{i}")).collect();
        // This one dies while it waits, before there is a job.
        let mut gone = client.get_connection().unwrap();
        let blmove = redis::cmd("BLMOVE")
            .arg(&["jobs", "working:gone", "RIGHT", "LEFT", "0"])
            .get_packed_command();
        redis::ConnectionLike::req_packed_command(&mut short(&mut gone), &blmove).unwrap_err();
        wait("a worker to wait", || (waiting(c) == 1).then_some(()));
        drop(gone);
        wait("it to be gone", || (waiting(c) == 0).then_some(()));
        // This one takes three jobs and never finishes any.
        let mut dead = client.get_connection().unwrap();
        let _: () = c.lpush("jobs", &jobs[..3]).unwrap();
        for job in &jobs[..3] {
            let (right, left) = (Direction::Right, Direction::Left);
            let taken = dead.blmove("jobs", "working:dead", right, left, 10.0);
            assert_eq!(taken.as_ref(), Ok(job));
        }
        drop(dead);

        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let mut mine = client.get_connection().unwrap();
                scope.spawn(move || work(&mut mine, name));
            }
            for job in &jobs[3..] {
                let _: () = c.lpush("jobs", job).unwrap();
            }
            // What the dead one had goes to the head of the queue, as it came.
            let mut recovered = 0;
            while let Some(job) = recover(c) {
                assert!(jobs[..3].contains(&job), "{job}");
                recovered += 1;
            }
            assert_eq!(recovered, 3);
            let _: () = c.lpush("jobs", &["stop"; 4][..]).unwrap();
        });
        let done: BTreeMap<String, u32> = c.hgetall("done").unwrap();
        assert_eq!(done, jobs.into_iter().map(|job| (job, 1)).collect());
        assert_eq!(c.llen("jobs"), Ok(0));
        assert_eq!(c.keys("working:*"), Ok(Vec::<String>::new()));
    });
}

/// The connection, when nobody waits long for its replies.
fn short(c: &mut Connection) -> &mut Connection {
    c.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    c
}

/// Puts a job of the dead worker back.
fn recover(c: &mut Connection) -> Option<String> {
    c.lmove("working:dead", "jobs", Direction::Left, Direction::Right)
        .unwrap()
}

#[test]
fn a_session_that_ends() {
    with_both_protocols(|_, c| {
        let key = "session:5e5510";
        let fields = [("user", "ann"), ("cart", "2"), ("theme", "dark")];
        let _: () = c.hset_multiple(key, &fields).unwrap();
        assert_eq!(c.expire(key, 1800), Ok(true));
        assert_eq!(c.hincr(key, "cart", 3), Ok(5));
        // Changing it keeps its time.
        assert_eq!(c.hdel(key, "theme"), Ok(1));
        assert!((1795..=1800).contains(&c.ttl::<_, i64>(key).unwrap()));
        let all: BTreeMap<String, String> = c.hgetall(key).unwrap();
        let expected = [("user", "ann"), ("cart", "5")];
        assert_eq!(
            all,
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
        assert_eq!(c.hset_nx(key, "user", "eve"), Ok(false));
        assert_eq!(c.pexpire(key, 50), Ok(true));
        wait("the session to end", || {
            (!c.exists::<_, bool>(key).unwrap()).then_some(())
        });
        assert_eq!(c.hget(key, "user"), Ok(None::<String>));
    });
}

#[test]
fn the_users_of_a_day() {
    with_both_protocols(|_, c| {
        let days: [(&str, BTreeSet<usize>); 3] = [
            ("mon", (0..6000).collect()),
            ("tue", (3000..9000).collect()),
            ("wed", (0..12_000).step_by(2).collect()),
        ];
        let near = |estimate: usize, exact: usize| estimate.abs_diff(exact) * 25 < exact;
        for (day, users) in &days {
            let mut bits = pipe();
            for user in users {
                bits.setbit(format!("dau:{day}"), *user, true);
            }
            let before: Vec<bool> = bits.query(c).unwrap();
            assert!(!before.contains(&true), "nobody was there before");
            let names: Vec<String> = users.iter().map(|user| format!("user:{user}")).collect();
            let _: () = c.pfadd(format!("seen:{day}"), names).unwrap();
            assert_eq!(c.bitcount(format!("dau:{day}")), Ok(6000));
            let estimate: usize = c.pfcount(format!("seen:{day}")).unwrap();
            assert!(near(estimate, 6000), "{estimate}");
        }
        let everybody: BTreeSet<usize> =
            days.iter().flat_map(|(_, users)| users).copied().collect();
        let names = ["dau:mon", "dau:tue", "dau:wed"];
        assert_eq!(c.bit_or("dau:any", &names[..]), Ok(1500));
        assert_eq!(c.bitcount("dau:any"), Ok(everybody.len()));
        let _: () = c.bit_and("dau:stayed", &names[..2]).unwrap();
        assert_eq!(c.bitcount("dau:stayed"), Ok(3000));
        let estimate: usize = c.pfcount(&["seen:mon", "seen:tue", "seen:wed"]).unwrap();
        assert!(near(estimate, everybody.len()), "{estimate}");
    });
}

#[test]
fn the_same_in_python() {
    let Some(python) = support::python() else {
        return;
    };
    let server = Server::start(&[]);
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.py"))
        .arg(server.port.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && text == "all went well\n",
        "{text}"
    );
}

/// What redis-benchmark 7.0 measures when it is not told what to.
const BENCHMARK_TESTS: [&str; 20] = [
    "PING_INLINE",
    "PING_MBULK",
    "SET",
    "GET",
    "INCR",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "SADD",
    "HSET",
    "SPOP",
    "ZADD",
    "ZPOPMIN",
    "LPUSH (needed to benchmark LRANGE)",
    "LRANGE_100 (first 100 elements)",
    "LRANGE_300 (first 300 elements)",
    "LRANGE_500 (first 500 elements)",
    "LRANGE_600 (first 600 elements)",
    "MSET (10 keys)",
];

#[test]
fn the_whole_redis_benchmark() {
    if Command::new("redis-benchmark")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("skipped: there is no redis-benchmark");
        return;
    }
    let server = Server::start(&[]);
    let port = server.port.to_string();
    let output = Command::new("redis-benchmark")
        .args(["-n", "1000", "-q", "-p", &port])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    let measured: Vec<&str> = text
        .split(['\r', '\n'])
        .filter(|line| line.contains(" requests per second"))
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(measured, BENCHMARK_TESTS, "{text}");
}
