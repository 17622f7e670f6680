//! What applications do with a server, as a new user would write it, through
//! the `redis` crate and redis-py: leaderboard, sliding-window limiter, job
//! queue, session, daily active users.

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Commands, Connection, Direction};
use support::Server;

fn connect(server: &Server) -> Connection {
    let url = format!("redis://127.0.0.1:{}/", server.port);
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

#[test]
fn leaderboard() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    let scores = [(10, "ann"), (30, "bob"), (20, "cid")];
    let _: () = c.zadd_multiple("board", &scores).unwrap();
    let _: f64 = c.zincr("board", "ann", 25).unwrap();
    let best: Vec<(String, f64)> = c.zrevrange_withscores("board", 0, 1).unwrap();
    assert_eq!(best, [("ann".to_owned(), 35.0), ("bob".to_owned(), 30.0)]);
    assert_eq!(c.zrevrank("board", "cid"), Ok(2));
    assert_eq!(c.zcount("board", 20, 30), Ok(2));
}

fn unix_ns() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

/// One request more, if fewer than three came within the window.
fn allowed(c: &mut Connection, window_ms: u64) -> bool {
    let now_ms = (unix_ns() / 1_000_000) as u64;
    let (_, count, _): (u64, u64, bool) = redis::pipe()
        .atomic()
        .zrembyscore("limit", 0, now_ms - window_ms)
        .zcard("limit")
        .pexpire("limit", window_ms as i64)
        .query(c)
        .unwrap();
    if count >= 3 {
        return false;
    }
    let _: () = c.zadd("limit", unix_ns().to_string(), now_ms).unwrap();
    true
}

#[test]
fn sliding_window_limiter() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    let answers: Vec<bool> = (0..5).map(|_| allowed(&mut c, 1500)).collect();
    assert_eq!(answers, [true, true, true, false, false]);
    thread::sleep(Duration::from_millis(1600));
    assert!(allowed(&mut c, 1500));
}

/// Does jobs until there is none for a while; dies with the third, if told to.
fn work(server: &Server, dies: bool) -> Vec<u32> {
    let mut c = connect(server);
    let mut done = Vec::new();
    loop {
        let taken: Option<u32> = c
            .blmove("jobs", "working", Direction::Right, Direction::Left, 0.3)
            .unwrap();
        let Some(job) = taken else {
            return done;
        };
        if dies && done.len() == 2 {
            return done;
        }
        done.push(job);
        let removed: u32 = c.lrem("working", 1, job).unwrap();
        assert_eq!(removed, 1);
    }
}

#[test]
fn a_job_queue_loses_nothing_when_a_worker_dies() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    let mut done = thread::scope(|scope| {
        let dying = scope.spawn(|| work(&server, true));
        let others = [(); 2].map(|()| scope.spawn(|| work(&server, false)));
        for job in 0..100u32 {
            let _: () = c.lpush("jobs", job).unwrap();
        }
        let mut done = dying.join().unwrap();
        for other in others {
            done.extend(other.join().unwrap());
        }
        done
    });
    // What the dead one had taken is brought back and done by another.
    let left: Vec<u32> = c.lrange("working", 0, -1).unwrap();
    assert!(left.len() <= 1, "{left:?}");
    let _: Option<u32> = c
        .lmove("working", "jobs", Direction::Left, Direction::Right)
        .unwrap();
    done.extend(work(&server, false));
    done.sort_unstable();
    assert_eq!(done, (0..100).collect::<Vec<u32>>());
    assert_eq!(c.exists(&["jobs", "working"]), Ok(0));
}

type Entries = Vec<(String, Vec<(String, u32)>)>;

/// Reads as a consumer of a group; `>` for what is new, an ID for what is
/// pending after it.
fn read_group(c: &mut Connection, consumer: &str, from: &str) -> Entries {
    let read: Option<Vec<(String, Entries)>> = redis::cmd("XREADGROUP")
        .arg(&["GROUP", "workers", consumer, "COUNT", "5", "BLOCK", "300"])
        .arg(&["STREAMS", "orders", from])
        .query(c)
        .unwrap();
    read.unwrap_or_default()
        .into_iter()
        .flat_map(|(_, entries)| entries)
        .collect()
}

/// Takes orders until there are none for a while, and acknowledges each; dies
/// with what it has read after the second round, if told to.
fn consume(server: &Server, name: &str, dies: bool) -> Vec<u32> {
    let mut c = connect(server);
    let mut done = Vec::new();
    for round in 0.. {
        let entries = read_group(&mut c, name, ">");
        if entries.is_empty() || dies && round == 2 {
            break;
        }
        for (id, fields) in entries {
            done.push(fields[0].1);
            assert_eq!(c.xack("orders", "workers", &[id]), Ok(1));
        }
    }
    done
}

#[test]
fn a_stream_of_orders_loses_nothing_when_a_consumer_dies() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    let _: () = c.xgroup_create_mkstream("orders", "workers", "$").unwrap();
    let mut done = thread::scope(|scope| {
        let dying = scope.spawn(|| consume(&server, "dying", true));
        let others = ["ann", "bob"].map(|name| {
            let server = &server;
            scope.spawn(move || consume(server, name, false))
        });
        for order in 0..200u32 {
            let _: String = c.xadd("orders", "*", &[("order", order)]).unwrap();
        }
        let mut done = dying.join().unwrap();
        for other in others {
            done.extend(other.join().unwrap());
        }
        done
    });
    // Nothing was done twice; what the dead one had is claimed by another.
    let (_, claimed, _): (String, Entries, Vec<String>) = redis::cmd("XAUTOCLAIM")
        .arg(&["orders", "workers", "ann", "0", "0"])
        .query(&mut c)
        .unwrap();
    assert_eq!(done.len() + claimed.len(), 200);
    for (id, fields) in claimed {
        done.push(fields[0].1);
        assert_eq!(c.xack("orders", "workers", &[id]), Ok(1));
    }
    done.sort_unstable();
    assert_eq!(done, (0..200).collect::<Vec<u32>>());
    let (pending,): (u32,) = redis::cmd("XPENDING")
        .arg(&["orders", "workers"])
        .query::<(u32, Option<String>, Option<String>, Option<Vec<String>>)>(&mut c)
        .map(|(pending, ..)| (pending,))
        .unwrap();
    assert_eq!(pending, 0);
}

#[test]
fn session() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    let fields = [("user", "ann"), ("cart", "3")];
    let _: () = c.hset_multiple("session:1", &fields).unwrap();
    let _: () = c.expire("session:1", 100).unwrap();
    assert_eq!(c.hincr("session:1", "cart", 2), Ok(5));
    assert_eq!(c.hget("session:1", "user"), Ok("ann".to_owned()));
    let ttl: i64 = c.ttl("session:1").unwrap();
    assert!((90..=100).contains(&ttl), "{ttl}");
    let _: () = c.pexpire("session:1", 1).unwrap();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(c.exists("session:1"), Ok(false));
}

#[test]
fn daily_active_users() {
    let server = Server::start(&[]);
    let mut c = connect(&server);
    for (day, users) in [&[1usize, 5, 9][..], &[5, 9, 100_000], &[9]]
        .iter()
        .enumerate()
    {
        for user in *users {
            let _: bool = c.setbit(format!("day:{day}"), *user, true).unwrap();
            let _: bool = c.pfadd("unique", *user).unwrap();
        }
    }
    assert_eq!(c.bitcount("day:1"), Ok(3));
    let days = ["day:0", "day:1", "day:2"];
    assert_eq!(c.bit_and("every", &days), Ok(12_501));
    assert_eq!(c.bitcount("every"), Ok(1));
    assert_eq!(c.getbit("every", 9), Ok(true));
    assert_eq!(c.pfcount("unique"), Ok(4));
}

#[test]
fn the_same_through_redis_py() {
    let Some(python) = support::python() else {
        return;
    };
    let server = Server::start(&[]);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/examples/applications.py"
    );
    let output = Command::new(python)
        .args([script, &server.port.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(text, "all went well\n");
}

#[test]
fn the_whole_default_list_of_redis_benchmark() {
    let server = Server::start(&[]);
    let port = server.port.to_string();
    let output = Command::new("redis-benchmark")
        .args(["-p", &port, "-n", "1000", "-q"])
        .output();
    let Ok(output) = output else {
        println!("skipped: there is no redis-benchmark (tests/run install)");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for test in [
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
        "LRANGE_100",
        "LRANGE_300",
        "LRANGE_500",
        "LRANGE_600",
        "MSET",
    ] {
        let ended = text
            .split(['\r', '\n'])
            .any(|line| line.starts_with(test) && line.contains("requests per second"));
        assert!(ended, "{test}: {text}");
    }
}
