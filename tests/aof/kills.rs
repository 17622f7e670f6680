//! kill -9 at random moments under load: no acknowledged write is lost, and
//! the server starts again each time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;

use super::from_env;
use super::instance::Instance;

const WRITERS: usize = 4;
/// Requests sent before the replies are looked at.
const PIPELINE: u64 = 8;

/// What a writer knows: how far it was acknowledged, and what it has sent.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    sent: AtomicU64,
}

/// Sends ever higher numbers to a key, in different ways, until the server is
/// gone.
fn write_on(port: u16, number: usize, progress: &Progress) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return;
    };
    let mut buffer = vec![0; 4096];
    loop {
        let first = progress.acknowledged.load(Ordering::SeqCst) + 1;
        let mut requests = String::new();
        let mut replies = 0;
        for value in first..first + PIPELINE {
            // A transaction each: its two commands are kept together.
            requests += &format!(
                "MULTI\r\nSET key:{number} {value}\r\nRPUSH list:{number} {value}\r\nEXEC\r\n"
            );
            replies += "+OK\r\n+QUEUED\r\n+QUEUED\r\n".len();
            replies += format!("*2\r\n+OK\r\n:{value}\r\n").len();
        }
        progress.sent.store(first + PIPELINE - 1, Ordering::SeqCst);
        if stream.write_all(requests.as_bytes()).is_err() {
            return;
        }
        let mut received = 0;
        while received < replies {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => received += count,
            }
        }
        progress
            .acknowledged
            .store(first + PIPELINE - 1, Ordering::SeqCst);
    }
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let kills = from_env("REDSTART_KILLS", 100);
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--appendfsync",
        "always",
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    let progress: Vec<Progress> = (0..WRITERS).map(|_| Progress::default()).collect();
    let mut rng = rand::rng();
    for round in 0..=kills {
        let server = Instance::start(dir.path(), &args);
        let mut client = server.connect();
        for (number, progress) in progress.iter().enumerate() {
            let kept = client.ask(&format!("GET key:{number}"));
            let kept: u64 = kept[1..].parse().unwrap_or(0);
            let acknowledged = progress.acknowledged.load(Ordering::SeqCst);
            let sent = progress.sent.load(Ordering::SeqCst);
            assert!(
                (acknowledged..=sent).contains(&kept),
                "round {round}: {kept} is kept, {acknowledged} acknowledged, {sent} sent"
            );
            client.check(&format!("LLEN list:{number}"), &format!(":{kept}"));
            progress.acknowledged.store(kept, Ordering::SeqCst);
        }
        if round == kills {
            break;
        }
        // Now and then the files are being exchanged.
        if rng.random_ratio(1, 2) {
            client.ask("BGREWRITEAOF");
        }
        let port = server.port;
        std::thread::scope(|scope| {
            for (number, progress) in progress.iter().enumerate() {
                scope.spawn(move || write_on(port, number, progress));
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(5..120)));
            server.kill();
        });
    }
    let written: u64 = progress
        .iter()
        .map(|p| p.acknowledged.load(Ordering::SeqCst))
        .sum();
    println!("{kills} kills, {written} transactions kept");
    assert!(written > 0);
}
