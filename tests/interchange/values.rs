//! Random values, as commands that make them.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

fn text(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..10) {
        0..3 => rng.random_range(-200..200).to_string().into_bytes(),
        3 => (rng.random::<i64>() >> rng.random_range(0..64))
            .to_string()
            .into_bytes(),
        4 => {
            let edge = *[7, 8, 13, 15, 16, 23, 31, 32, 63].choose(rng).expect("one");
            let number = (1i128 << edge) + rng.random_range(-2..2);
            (if rng.random() { number } else { -number })
                .to_string()
                .into_bytes()
        }
        5 => rng.random_range(-1e5..1e5f64).to_string().into_bytes(),
        6 => format!("field:{}", rng.random_range(0..1000)).into_bytes(),
        7 => (0..rng.random_range(0..70)).map(|_| rng.random()).collect(),
        8 => b"ab".repeat(rng.random_range(0..60)),
        _ => {
            // Around the limits of forms of lengths, and of encodings.
            let lengths = [
                0, 1, 20, 21, 63, 64, 65, 127, 128, 250, 254, 300, 4095, 4096, 16_384,
            ];
            vec![rng.random(); *lengths.choose(rng).expect("one")]
        }
    }
}

fn score(rng: &mut SmallRng) -> Vec<u8> {
    match rng.random_range(0..5) {
        0 => rng.random_range(-5..5).to_string(),
        1 => rng.random_range(-1e3..1e3f64).to_string(),
        2 => format!("{:e}", f64::from_bits(rng.random::<u64>() & !(1 << 62))),
        _ => {
            let edges = [
                "inf",
                "-inf",
                "-0",
                "9007199254740993",
                "1e300",
                "4.9e-324",
                "0.1",
            ];
            (*edges.choose(rng).expect("one")).to_owned()
        }
    }
    .into_bytes()
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// The commands that make a stream at the key `k`, with groups and pending
/// entries whose times are given, so that they are the same everywhere.
fn stream(rng: &mut SmallRng, size: usize) -> Vec<Vec<Vec<u8>>> {
    let (mut commands, mut ids) = (Vec::new(), Vec::new());
    let (mut ms, mut seq) = (rng.random_range(0..1u64 << 40), 1);
    let fields: Vec<Vec<u8>> = (0..3).map(|_| text(rng)).collect();
    for _ in 0..size {
        match rng.random_range(0..3) {
            0 => seq += rng.random_range(1..300),
            1 => (ms, seq) = (ms + rng.random_range(1..1 << 20), rng.random_range(0..3)),
            _ => (ms, seq) = (ms + 1, 0),
        }
        let id = format!("{ms}-{seq}").into_bytes();
        let mut add = words(&[b"XADD", b"k", &id]);
        let count = rng.random_range(1..=fields.len());
        for field in &fields[..count] {
            add.extend([field.clone(), text(rng)]);
        }
        if rng.random_ratio(1, 8) {
            add.extend([text(rng), text(rng)]);
        }
        commands.push(add);
        ids.push(id);
    }
    for _ in 0..rng.random_range(0..=size / 3) {
        let id = ids.choose(rng).expect("one");
        commands.push(words(&[b"XDEL", b"k", id]));
    }
    for group in 0..rng.random_range(0..3u8) {
        let group = [b'g', group];
        let last = ids.choose(rng).expect("one");
        let mut create = words(&[b"XGROUP", b"CREATE", b"k", &group, last]);
        if rng.random() {
            create.extend(words(&[b"ENTRIESREAD", b"7"]));
        }
        commands.push(create);
        for _ in 0..rng.random_range(0..6) {
            let consumer = [b'c', rng.random_range(0..3u8)];
            let (id, count) = (ids.choose(rng).expect("one"), rng.random_range(0..300));
            let count = count.to_string();
            let claim: [&[u8]; 11] = [
                b"XCLAIM",
                b"k",
                &group,
                &consumer,
                b"0",
                id,
                b"TIME",
                b"1700000000000",
                b"RETRYCOUNT",
                count.as_bytes(),
                b"FORCE",
            ];
            commands.push(words(&claim));
        }
    }
    if rng.random_ratio(1, 4) {
        let len = rng.random_range(0..=size).to_string();
        commands.push(words(&[b"XTRIM", b"k", b"MAXLEN", len.as_bytes()]));
    }
    commands
}

/// The commands that make a value at the key `k`.
pub fn commands(rng: &mut SmallRng) -> Vec<Vec<Vec<u8>>> {
    let size = *[1, 1, 2, 3, 10, 60, 130, 200, 600]
        .choose(rng)
        .expect("one");
    let kind = rng.random_range(0..7);
    if kind == 6 {
        return stream(rng, size);
    }
    let (side, width) = (rng.random::<bool>(), rng.random_range(1..63));
    let words = |name: &str, rest: Vec<Vec<u8>>| {
        let mut words = vec![name.into(), b"k".to_vec()];
        words.extend(rest);
        words
    };
    let mut one = || match kind {
        0 => words("SET", vec![text(rng)]),
        1 => words(if side { "LPUSH" } else { "RPUSH" }, vec![text(rng)]),
        2 => words("SADD", vec![text(rng)]),
        3 => {
            let number = rng.random_range(-(1i64 << width)..1 << width);
            words("SADD", vec![number.to_string().into_bytes()])
        }
        4 => words("ZADD", vec![score(rng), text(rng)]),
        _ => words("HSET", vec![text(rng), text(rng)]),
    };
    match kind {
        0 => vec![one()],
        _ => (0..size).map(|_| one()).collect(),
    }
}
