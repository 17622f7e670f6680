//! Programs and libraries that people use, talking to the server.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use redis::streams::{StreamAutoClaimReply, StreamId, StreamPendingReply, StreamReadReply};
use redis::{Commands, RedisResult};
use support::Server;

/// What redis-cli prints, and whether it went well. With `input`, that is its
/// standard input.
fn cli(server: &Server, args: &[&str], input: Option<&str>) -> (String, bool) {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port.to_string()]).args(args);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended without reading.
    let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&text).into_owned(),
        output.status.success(),
    )
}

fn has_cli() -> bool {
    let found = Command::new("redis-cli").arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no redis-cli");
    }
    found
}

/// redis-cli for some time, as it has no end of its own, with every line as it comes.
fn cli_for(server: &Server, seconds: &str, args: &[&str]) -> String {
    let output = Command::new("timeout")
        .args([
            "-s",
            "INT",
            seconds,
            "stdbuf",
            "-oL",
            "redis-cli",
            "-p",
            &server.port.to_string(),
        ])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn redis_cli_session() {
    if !has_cli() {
        return;
    }
    let server = Server::start(&[]);
    let session = "PING\nSET greeting \"hello world\" EX 100\nGET greeting\nINCR n\nINCRBYFLOAT f \
                   0.1\nMGET greeting n f missing\nTTL greeting\nTYPE n\nSELECT 3\nDBSIZE\n\
                   NOSUCH\nHELLO 3\n";
    let (text, success) = cli(&server, &[], Some(session));
    assert!(success, "{text}");
    let expected = "PONG\nOK\nhello world\n1\n0.1\nhello world\n1\n0.1\n\n100\nstring\nOK\n0\nERR \
                    unknown command 'NOSUCH', with args beginning with: \n\n";
    assert!(text.starts_with(expected), "{text:?}");
    // As on a terminal, and in RESP3.
    let (text, _) = cli(
        &server,
        &["--no-raw", "-3", "MGET", "greeting", "missing"],
        None,
    );
    assert_eq!(text, "1) \"hello world\"\n2) (nil)\n");
    let (text, _) = cli(&server, &["--no-raw", "INCR", "n"], None);
    assert_eq!(text, "(integer) 2\n");
    let (text, _) = cli(&server, &["-x", "SET", "from-stdin"], Some("bytes\n"));
    assert_eq!(text, "OK\n");
    let (text, _) = cli(&server, &["STRLEN", "from-stdin"], None);
    assert_eq!(text, "6\n");
    let (text, _) = cli(&server, &["-n", "3", "-r", "3", "INCR", "k"], None);
    assert_eq!(text, "1\n2\n3\n");
    let (text, _) = cli(&server, &["--scan", "--pattern", "gr*"], None);
    assert_eq!(text, "greeting\n");
    let (text, _) = cli(&server, &["INFO", "server"], None);
    assert!(text.contains("redis_version:7.0.15\r\n"), "{text}");
    let (text, _) = cli(&server, &["CONFIG", "GET", "maxclients"], None);
    assert_eq!(text, "maxclients\n10000\n");
}

#[test]
fn redis_cli_with_a_password() {
    if !has_cli() {
        return;
    }
    let server = Server::start(&["--requirepass", "s3cret"]);
    let (text, _) = cli(&server, &["PING"], None);
    assert_eq!(text, "NOAUTH Authentication required.\n\n");
    let (text, success) = cli(
        &server,
        &["--no-auth-warning", "-a", "s3cret", "PING"],
        None,
    );
    assert_eq!((text.as_str(), success), ("PONG\n", true));
    let args = [
        "--no-auth-warning",
        "--user",
        "default",
        "--pass",
        "s3cret",
        "PING",
    ];
    assert_eq!(cli(&server, &args, None).0, "PONG\n");
    let (text, _) = cli(&server, &["--no-auth-warning", "-a", "wrong", "PING"], None);
    assert!(text.contains("AUTH failed: WRONGPASS"), "{text}");
}

#[test]
fn redis_cli_tools() {
    if !has_cli() {
        return;
    }
    let server = Server::start(&[]);
    // --pipe: bytes of the protocol from standard input.
    let mut input = String::new();
    for i in 0..10_000 {
        let (key, value) = (format!("key:{i}"), "x".repeat(i % 100));
        input += &format!(
            "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
            key.len(),
            value.len()
        );
    }
    input += "SET huge x\r\nSETRANGE huge 99999 y\r\n";
    let (text, success) = cli(&server, &["--pipe"], Some(&input));
    assert!(
        success && text.contains("errors: 0, replies: 10002"),
        "{text}"
    );

    let (text, _) = cli(&server, &["--bigkeys"], None);
    assert!(
        text.contains("Sampled 10001 keys in the keyspace!"),
        "{text}"
    );
    assert!(
        text.contains("Biggest string found '\"huge\"' has 100000 bytes"),
        "{text}"
    );

    let (text, _) = cli(&server, &["--memkeys"], None);
    assert!(
        text.contains("Sampled 10001 keys in the keyspace!"),
        "{text}"
    );
    assert!(text.contains("Biggest string found"), "{text}");
    assert!(text.contains("huge"), "{text}");

    let text = cli_for(&server, "3", &["--stat", "-i", "0.2"]);
    assert!(text.contains("------- data ------"), "{text}");
    let figures = text
        .lines()
        .filter(|line| line.starts_with("10001 "))
        .count();
    assert!(figures >= 3, "{text}");

    let text = cli_for(&server, "2", &["--latency", "--raw", "-i", "1"]);
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [.., least, most, average, samples] = numbers[..] else {
        panic!("{text}");
    };
    assert!(
        least <= average && average <= most && samples > 10.0,
        "{text}"
    );
}

#[test]
fn the_redis_crate() {
    let server = Server::start(&[]);
    for protocol in ["", "?protocol=resp3"] {
        let url = format!("redis://127.0.0.1:{}/{protocol}", server.port);
        let client = redis::Client::open(url).unwrap();
        let mut c = client.get_connection().unwrap();
        let _: () = redis::cmd("FLUSHALL").query(&mut c).unwrap();
        let _: () = c.set("key", "value").unwrap();
        assert_eq!(c.get::<_, String>("key").unwrap(), "value");
        assert_eq!(c.get::<_, Option<String>>("missing").unwrap(), None);
        assert_eq!(c.incr::<_, _, i64>("n", 5).unwrap(), 5);
        assert_eq!(c.append::<_, _, usize>("key", "!").unwrap(), 6);
        assert_eq!(c.del::<_, usize>(&["key", "n", "missing"]).unwrap(), 2);
        let _: () = c.set_ex("brief", "x", 100).unwrap();
        assert!((1..=100).contains(&c.ttl::<_, i64>("brief").unwrap()));
        let _: () = c.mset(&[("a", "1"), ("b", "2")]).unwrap();
        let both: (i32, i32) = c.mget(&["a", "b"]).unwrap();
        assert_eq!(both, (1, 2));
        let binary: Vec<u8> = (0..=255).collect();
        let _: () = c.set(&binary[..], &binary[..]).unwrap();
        assert_eq!(c.get::<_, Vec<u8>>(&binary[..]).unwrap(), binary);
        let wrong: RedisResult<i64> = c.incr("brief", 1);
        let error = wrong.unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        // A pipeline.
        let mut pipe = redis::pipe();
        for i in 0..1000 {
            pipe.set(format!("p:{i}"), i).ignore();
        }
        let (first, last): (i64, i64) = pipe.get("p:0").get("p:999").query(&mut c).unwrap();
        assert_eq!((first, last), (0, 999));
        let found: Vec<String> = c.scan_match("p:99*").unwrap().collect();
        assert_eq!(found.len(), 11);
        let info: redis::InfoDict = redis::cmd("INFO").query(&mut c).unwrap();
        assert_eq!(info.get::<String>("redis_version").unwrap(), "7.0.15");
    }
}

#[test]
fn the_redis_crate_from_many_threads_with_a_password() {
    let server = Server::start(&["--requirepass", "s3cret", "--io-threads", "2"]);
    let url = format!("redis://:s3cret@127.0.0.1:{}/7", server.port);
    let client = redis::Client::open(url).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut c = client.get_connection().unwrap();
                c.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                for _ in 0..500 {
                    let _: i64 = c.incr("n", 1).unwrap();
                }
            });
        }
    });
    let mut c = client.get_connection().unwrap();
    assert_eq!(c.get::<_, i64>("n").unwrap(), 4000);
    let wrong = redis::Client::open(format!("redis://:wrong@127.0.0.1:{}/", server.port)).unwrap();
    assert!(wrong.get_connection().is_err());
}

const JOBS: usize = 300;

/// A consumer of a work queue.
struct Worker<'a> {
    connection: redis::Connection,
    name: &'a str,
    done: &'a Mutex<Vec<usize>>,
}

impl Worker<'_> {
    /// New jobs, at most so many.
    fn take(&mut self, count: usize) -> RedisResult<Vec<StreamId>> {
        let mut ask = redis::cmd("XREADGROUP");
        ask.arg("GROUP").arg("workers").arg(self.name);
        ask.arg("COUNT").arg(count).arg("BLOCK").arg(50);
        ask.arg("STREAMS").arg("queue").arg(">");
        let reply: Option<StreamReadReply> = ask.query(&mut self.connection)?;
        let keys = reply.map(|reply| reply.keys).unwrap_or_default();
        Ok(keys.into_iter().flat_map(|key| key.ids).collect())
    }

    /// Jobs that somebody else has let lie.
    fn claim(&mut self) -> RedisResult<Vec<StreamId>> {
        let mut ask = redis::cmd("XAUTOCLAIM");
        ask.arg("queue").arg("workers").arg(self.name);
        ask.arg(200).arg("0").arg("COUNT").arg(5);
        let reply: StreamAutoClaimReply = ask.query(&mut self.connection)?;
        Ok(reply.claimed)
    }

    /// Does a job, which counts if it is the first to say so.
    fn finish(&mut self, job: &StreamId) -> RedisResult<()> {
        let number: usize = job.get("job").expect("a job");
        let first: usize = self.connection.xack("queue", "workers", &[&job.id])?;
        if first == 1 {
            self.done.lock().unwrap().push(number);
        }
        Ok(())
    }

    fn work(mut self) -> RedisResult<()> {
        while self.done.lock().unwrap().len() < JOBS {
            let mut jobs = self.take(5)?;
            if jobs.is_empty() {
                jobs = self.claim()?;
            }
            jobs.iter().try_for_each(|job| self.finish(job))?;
        }
        Ok(())
    }

    /// Takes ten jobs, does four, and hangs.
    fn hang(mut self, id: &Sender<i64>) -> RedisResult<()> {
        let jobs = self.take(10)?;
        assert_eq!(jobs.len(), 10);
        jobs[..4].iter().try_for_each(|job| self.finish(job))?;
        id.send(redis::cmd("CLIENT").arg("ID").query(&mut self.connection)?)
            .unwrap();
        redis::cmd("BLPOP")
            .arg("never")
            .arg(0)
            .query(&mut self.connection)
    }
}

#[test]
fn a_work_queue_bears_the_death_of_a_worker() {
    let server = Server::start(&["--io-threads", "2", "--stream-node-max-entries", "7"]);
    for protocol in ["", "?protocol=resp3"] {
        let url = format!("redis://127.0.0.1:{}/{protocol}", server.port);
        let client = redis::Client::open(url).unwrap();
        let mut c = client.get_connection().unwrap();
        let _: () = redis::cmd("FLUSHALL").query(&mut c).unwrap();
        let _: () = c.xgroup_create_mkstream("queue", "workers", "0").unwrap();
        for job in 0..JOBS {
            let _: String = c.xadd("queue", "*", &[("job", job)]).unwrap();
        }
        let done = Mutex::new(Vec::new());
        let worker = |name| Worker {
            connection: client.get_connection().unwrap(),
            name,
            done: &done,
        };
        let (id, ids) = channel();
        std::thread::scope(|scope| {
            let victim = worker("ann");
            let victim = scope.spawn(move || victim.hang(&id));
            let victim_id = ids.recv().unwrap();
            let others = ["bob", "cid"].map(|name| {
                let other = worker(name);
                scope.spawn(move || other.work())
            });
            let mut kill = redis::cmd("CLIENT");
            kill.arg("KILL").arg("ID").arg(victim_id);
            assert_eq!(kill.query::<i64>(&mut c).unwrap(), 1);
            assert!(victim.join().unwrap().is_err());
            for other in others {
                other.join().unwrap().unwrap();
            }
        });
        // Each once, whoever did it.
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..JOBS).collect::<Vec<_>>());
        let pending: StreamPendingReply = c.xpending("queue", "workers").unwrap();
        assert_eq!(pending.count(), 0);
        assert_eq!(c.xlen::<_, usize>("queue").unwrap(), JOBS);
    }
}

const PYTHON_QUEUE: &str = r#"
import os, signal, subprocess, sys
import redis

JOBS = 200
port, name = int(sys.argv[1]), sys.argv[2]
r = redis.Redis(port=port, decode_responses=True)

def work(die_after):
    """Each process is a worker; what it has done is counted beside."""
    finished = 0
    while r.hlen("done") < JOBS:
        found = r.xreadgroup("workers", name, {"queue": ">"}, count=5, block=50)
        jobs = found[0][1] if found else []
        if not jobs:
            jobs = r.xautoclaim("queue", "workers", name, min_idle_time=200, count=5)[1]
        for id, job in jobs:
            if finished == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
            if r.xack("queue", "workers", id) == 1:
                r.hincrby("done", job["job"], 1)
            finished += 1

if name == "main":
    r.flushall()
    r.xgroup_create("queue", "workers", "0", mkstream=True)
    for job in range(JOBS):
        r.xadd("queue", {"job": job})
    command = [sys.executable, "-c", sys.argv[3], str(port)]
    start = lambda name, *more: subprocess.Popen([*command, name, *more])
    victim = start("ann", "7")
    assert victim.wait(60) == -signal.SIGKILL
    # Three of the five that it took last are still its own.
    assert [c["pending"] for c in r.xinfo_consumers("queue", "workers")] == [3]
    others = [start("bob", "-1"), start("cid", "-1")]
    assert [other.wait(60) for other in others] == [0, 0]
    assert r.hgetall("done") == {str(job): "1" for job in range(JOBS)}
    assert r.xpending("queue", "workers")["pending"] == 0
    print("all was done once")
else:
    work(int(sys.argv[3]))
"#;

#[test]
fn a_work_queue_of_processes() {
    let Some(python) = support::python() else {
        return;
    };
    let server = Server::start(&[]);
    let port = server.port.to_string();
    let output = Command::new(python)
        .args(["-c", PYTHON_QUEUE, &port, "main", PYTHON_QUEUE])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && text == "all was done once\n",
        "{text}"
    );
}

const PYTHON: &str = r#"
import sys, threading
import redis

port = int(sys.argv[1])
for protocol in (2, 3):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="py")
    r.flushall()
    assert r.ping() is True
    assert r.set("key", "value") is True
    assert r.get("key") == "value"
    assert r.get("missing") is None
    assert r.set("key", "other", nx=True) is None
    assert r.set("key", "new", get=True) == "value"
    assert r.mset({"a": 1, "b": 2}) is True
    assert r.mget("a", "b", "c") == ["1", "2", None]
    assert r.incrby("n", 10) == 10 and r.incrbyfloat("f", 0.5) == 0.5
    assert r.expire("key", 100) is True and 0 < r.ttl("key") <= 100
    assert r.getrange("key", 0, 1) == "ne" and r.strlen("key") == 3
    assert r.delete("a", "b", "missing") == 2
    assert r.type("key") == "string" and r.object("encoding", "n") == "int"
    assert r.rename("key", "renamed") and r.exists("key", "renamed") == 1
    pipe = r.pipeline(transaction=False)
    for i in range(1000):
        pipe.set(f"p:{i}", i)
    pipe.get("p:500")
    assert pipe.execute()[-1] == "500"
    assert sorted(r.scan_iter("p:99*")) == sorted(k for k in r.keys("p:99*"))
    assert len(list(r.scan_iter("p:*", count=7))) == 1000
    assert r.dbsize() == 1003, r.dbsize()
    try:
        r.incr("renamed")
        raise SystemExit("INCR of a word went well")
    except redis.ResponseError as error:
        assert "not an integer" in str(error)
    info = r.info()
    assert info["redis_version"] == "7.0.15" and info["connected_clients"] >= 1
    assert r.config_get("maxclients") == {"maxclients": "10000"}
    assert r.config_set("maxclients", 9999) is True and r.config_set("maxclients", 10000) is True
    me = [c for c in r.client_list() if c["name"] == "py"]
    assert me and me[0]["lib-name"] == "redis-py" and me[0]["resp"] == str(protocol), me
    assert r.client_getname() == "py" and r.client_id() > 0
    assert r.time()[0] > 1_700_000_000 and isinstance(r.slowlog_get(), list)
    assert r.command_count() > 50 and isinstance(r.memory_stats(), dict)

raw = redis.Redis(port=port)
value = bytes(range(256)) * 50_000
raw.set(b"big\r\n", value)
assert raw.get(b"big\r\n") == value

def work():
    mine = redis.Redis(port=port)
    for _ in range(300):
        mine.incr("shared")

raw.delete("shared")
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert raw.get("shared") == b"2400"
print("all went well")
"#;

#[test]
fn redis_py() {
    let Some(python) = support::python() else {
        return;
    };
    let server = Server::start(&["--io-threads", "2"]);
    let output = Command::new(python)
        .args(["-c", PYTHON, &server.port.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && text == "all went well\n",
        "{text}"
    );
}

#[test]
fn bullmq() {
    let modules = concat!(env!("CARGO_TARGET_TMPDIR"), "/../node/node_modules");
    let has_node = Command::new("node").arg("--version").output().is_ok();
    if !has_node || !Path::new(modules).join("bullmq").exists() {
        println!("skipped: there is no node with bullmq; tests/install installs it");
        return;
    }
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/queue.js");
    let output = Command::new("timeout")
        .args(["120", "node", script, &server.port.to_string()])
        .env("NODE_PATH", modules)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && text == "all went well\n",
        "{text}"
    );
}
