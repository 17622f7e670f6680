//! `maxmemory-clients`: what counts as a client's memory, and who is cut off.

mod support;

use std::io::Write;
use std::time::Duration;

use support::{Client, Server, wait};

const CLOSED_WITHIN: Duration = Duration::from_secs(10);

fn start(args: &[&str]) -> Server {
    Server::start(&[&["--enable-debug-command", "yes"], args].concat())
}

/// A client that is never cut off.
fn control(server: &Server) -> Client {
    let mut client = server.connect();
    client.check("CLIENT NO-EVICT ON", "+OK");
    client
}

/// A client that has sent so many bytes of an argument, without its end.
fn sending(server: &Server, control: &mut Client, bytes: usize) -> (Client, u64) {
    let mut client = server.connect();
    let id = client.id();
    client.send(format!("*2\r\n${bytes}\r\n{}", "v".repeat(bytes)));
    wait("the argument to arrive", || {
        (control.field_of(id, "qbuf") == bytes.to_string()).then_some(())
    });
    (client, id)
}

fn evicted(control: &mut Client) -> String {
    let info = control.ask("INFO stats");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("evicted_clients:"));
    line.unwrap().to_owned()
}

fn is_there(control: &mut Client, id: u64) -> bool {
    control.ask(&format!("CLIENT LIST ID {id}")).contains("id=")
}

#[test]
fn large_requests_count() {
    let server = start(&["--maxmemory-clients", "2mb"]);
    let mut c = control(&server);
    let mut finished = server.connect();
    finished.command(&["SET", "k", &"v".repeat(1_000_000)]);
    assert_eq!(finished.reply(), "+OK");
    // Its room for the next one.
    let mut unfinished = server.connect();
    unfinished.send(format!("*1\r\n$2000000\r\n{}", "v".repeat(900_000)));
    assert!(unfinished.is_closed_within(CLOSED_WITHIN));
    finished.check("PING", "+PONG");
    assert_eq!(evicted(&mut c), "1");
    server.wait_for_log("Evicting client: id=");
    // It is what was announced that counts, before it has come.
    let mut announcing = server.connect();
    announcing.send("*1\r\n$500000000\r\nv");
    assert!(announcing.is_closed_within(CLOSED_WITHIN));
    assert_eq!(evicted(&mut c), "2");
    c.check("CONFIG RESETSTAT", "+OK");
    assert_eq!(evicted(&mut c), "0");
}

#[test]
fn the_largest_go_first() {
    for io_threads in ["1", "3"] {
        let server = start(&["--io-threads", io_threads]);
        let mut c = control(&server);
        c.check("DEBUG REPLYBUFFER RESIZING 0", "+OK");
        let sizes = [128 << 10, 3 << 20, 1 << 20];
        let clients = sizes.map(|size| {
            let pair = [(), ()].map(|()| sending(&server, &mut c, size));
            pair.map(|(client, id)| {
                let bytes: u64 = c.field_of(id, "tot-mem").parse().unwrap();
                assert!(
                    bytes >= size as u64 && bytes < size as u64 + 65536,
                    "{bytes}"
                );
                (client, id, bytes)
            })
        });
        let [small, _, middle] = &clients;
        let own = 65536;
        let sum = |pair: &[(Client, u64, u64); 2]| pair[0].2 + pair[1].2;
        let steps = [
            (sum(small) + sum(middle) + own, [true, false, true]),
            (sum(small) + own, [true, false, false]),
            (128 << 10, [false, false, false]),
        ];
        for (limit, left) in steps {
            c.check(&format!("CONFIG SET maxmemory-clients {limit}"), "+OK");
            let found: Vec<bool> = clients
                .iter()
                .flat_map(|pair| pair.iter().map(|(_, id, _)| *id))
                .map(|id| is_there(&mut c, id))
                .collect();
            if limit > 128 << 10 {
                assert_eq!(found, left.map(|left| [left, left]).concat());
            } else {
                // One of the small ones still fits, beside the one that asks.
                assert_eq!(found[2..], [false; 4]);
                assert!(!found[0] || !found[1]);
            }
        }
    }
}

#[test]
fn no_evict_spares_a_client() {
    let server = start(&["--maxmemory-clients", "1mb"]);
    let mut c = control(&server);
    let mut spared = server.connect();
    let id = spared.id();
    spared.check("CLIENT NO-EVICT ON", "+OK");
    spared.send(format!(
        "*2\r\n$4\r\nECHO\r\n$2000000\r\n{}",
        "v".repeat(1_999_999)
    ));
    wait("the argument to arrive", || {
        (c.field_of(id, "qbuf") == "1999999").then_some(())
    });
    assert_eq!(evicted(&mut c), "0");
    server.wait_for_log("Over client maxmemory after evicting all evictable clients");
    spared.send("v\r\n");
    assert_eq!(spared.reply().len(), 2_000_001);
    spared.check("CLIENT NO-EVICT OFF", "+OK");
    assert!(spared.is_closed_within(CLOSED_WITHIN));
    assert_eq!(evicted(&mut c), "1");
}

#[test]
fn queues_watched_keys_and_subscriptions_count() {
    let server = start(&["--maxmemory-clients", "300kb"]);
    let mut c = control(&server);
    let starts = ["MULTI", "PING", "PING"];
    let repeated = [
        "SET k vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv",
        "WATCH key",
        "PSUBSCRIBE p",
    ];
    for (count, (start, command)) in starts.into_iter().zip(repeated).enumerate() {
        let mut client = server.tcp();
        client.write_all(format!("{start}\r\n").as_bytes()).unwrap();
        let closed = (0..20_000).any(|number| {
            let sent = client.write_all(format!("{command}{number}\r\n").as_bytes());
            let done = sent.is_err() || number % 100 == 99;
            done && evicted(&mut c) == (count + 1).to_string()
        });
        assert!(closed, "{command}");
    }
}

#[test]
fn unread_replies_count() {
    let server = start(&["--maxmemory-clients", "10mb"]);
    let mut c = control(&server);
    c.command(&["SET", "k", &"v".repeat(1_000_000)]);
    assert_eq!(c.reply(), "+OK");
    let mut reading = server.connect();
    let mut slow = server.connect();
    let id = slow.id();
    slow.send("GET k\r\n".repeat(30));
    wait("the slow client to go", || {
        (!is_there(&mut c, id)).then_some(())
    });
    for _ in 0..30 {
        assert_eq!(reading.ask("GET k").len(), 1_000_001);
    }
    assert_eq!(evicted(&mut c), "1");
}

#[test]
fn percent_of_maxmemory() {
    let server = start(&["--maxmemory-clients", "10%"]);
    let mut c = control(&server);
    c.check(
        "DEBUG CLIENT-EVICTION",
        "-ERR maxmemory-clients is disabled.",
    );
    let (first, id) = sending(&server, &mut c, 2_000_000);
    c.check("CONFIG SET maxmemory 100mb", "+OK");
    let classes = c.ask("DEBUG CLIENT-EVICTION");
    let lines: Vec<&str> = classes.trim_start_matches('$').lines().collect();
    assert_eq!(lines.len(), 19);
    assert_eq!(
        lines[0],
        "bucket          0 -      32767: tot-mem:          0, clients: 0"
    );
    let start = "bucket    1048576 -    2097151: tot-mem:    20";
    assert!(lines[6].starts_with(start), "{}", lines[6]);
    assert!(lines[6].ends_with(", clients: 1"), "{}", lines[6]);
    assert_eq!(
        lines[18],
        "bucket 4294967296+            : tot-mem:          0, clients: 0"
    );
    assert!(is_there(&mut c, id));
    c.check("CONFIG SET maxmemory 10mb", "+OK");
    wait("the client to go", || (!is_there(&mut c, id)).then_some(()));
    drop(first);
}

#[test]
fn nobody_to_evict_is_no_reason_to_be_busy() {
    let server = start(&["--maxmemory-clients", "1mb"]);
    let mut c = control(&server);
    let mut spared = server.connect();
    spared.check("CLIENT NO-EVICT ON", "+OK");
    let id = spared.id();
    spared.send(format!("*1\r\n$2000000\r\n{}", "v".repeat(1_999_999)));
    wait("the argument to arrive", || {
        (c.field_of(id, "qbuf") == "1999999").then_some(())
    });
    let used = |c: &mut Client| -> f64 {
        let info = c.ask("INFO cpu");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_cpu_user:"));
        line.unwrap().parse().unwrap()
    };
    let before = used(&mut c);
    std::thread::sleep(Duration::from_millis(500));
    let after = used(&mut c);
    assert!(after - before < 0.2, "{before} {after}");
    let helpless = "Over client maxmemory after evicting all evictable clients";
    assert_eq!(server.log().matches(helpless).count(), 1);
}
