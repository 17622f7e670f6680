//! Requests of equal length whose digits are rewritten in place.

use rand::Rng;
use rand::rngs::SmallRng;

use super::scan::Expected;

/// Digits of a key number.
const KEY_DIGITS: usize = 12;

/// One kind of request, as bytes, and the reply it must get.
pub struct Request {
    bytes: Vec<u8>,
    /// Where numbers stand, and what is added to the number of the key.
    numbers: Vec<(usize, u64)>,
    /// What every reply must look like.
    pub expected: Expected,
}

impl Request {
    /// `GET key:N`, whose value must be `value_bytes` long.
    pub fn get(value_bytes: usize) -> Request {
        let expected = Expected::bulk(value_bytes);
        Request::new(&[b"GET", &key("key:")], expected)
    }

    /// `SET key:N value` with a value of `value_bytes`.
    pub fn set(value_bytes: usize) -> Request {
        let parts: [&[u8]; 3] = [b"SET", &key("key:"), &value(value_bytes)];
        Request::new(&parts, Expected::Ok)
    }

    /// `SET key:N value EX seconds`.
    pub fn set_expiring(value_bytes: usize, seconds: u64) -> Request {
        let seconds = seconds.to_string();
        let parts: [&[u8]; 5] = [
            b"SET",
            &key("key:"),
            &value(value_bytes),
            b"EX",
            seconds.as_bytes(),
        ];
        Request::new(&parts, Expected::Ok)
    }

    /// `INCR counter:N`.
    pub fn incr() -> Request {
        Request::new(&[b"INCR", &key("counter:")], Expected::Integer)
    }

    /// Any command: every run of twelve digits in `words` becomes the number of the key plus the
    /// number that it is there.
    pub fn of(words: &str, expected: Expected) -> Request {
        let parts: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        Request::new(&parts, expected)
    }

    /// As [`Request::of`], of words with spaces in them.
    pub fn new(parts: &[&[u8]], expected: Expected) -> Request {
        let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
        let mut numbers = Vec::new();
        for part in parts {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            let mut at = 0;
            while let Some(digits) = part.get(at..at + KEY_DIGITS) {
                match std::str::from_utf8(digits)
                    .ok()
                    .and_then(|text| text.parse().ok())
                {
                    Some(added) => {
                        numbers.push((bytes.len() + at, added));
                        at += KEY_DIGITS;
                    }
                    None => at += 1,
                }
            }
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        Request {
            bytes,
            numbers,
            expected,
        }
    }

    /// A batch of `pipeline` requests, all for key 0.
    pub fn batch(&self, pipeline: usize) -> Vec<u8> {
        self.bytes.repeat(pipeline)
    }

    /// Gives every request in `batch` the next key of `keys`.
    pub fn renew(&self, batch: &mut [u8], keys: &mut Keys) {
        for request in batch.chunks_exact_mut(self.bytes.len()) {
            let key = keys.next();
            for (at, added) in &self.numbers {
                write_digits(&mut request[*at..*at + KEY_DIGITS], key + added);
            }
        }
    }
}

/// Which keys follow one another.
pub enum Keys {
    /// Every number below `count`, independently and evenly distributed.
    Random {
        /// Where the numbers come from; seeded by the bench, the same for every server.
        rng: SmallRng,
        /// Number of keys, at most 2^32.
        count: u64,
    },
    /// 0, 1, 2 … up to `count`, then again from 0.
    Sequential {
        /// The next number.
        next: u64,
        /// Number of keys.
        count: u64,
    },
}

impl Keys {
    /// All keys once, in order.
    pub fn in_order(count: u64) -> Keys {
        Keys::Sequential { next: 0, count }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        match self {
            // Multiply and shift instead of a division: its bias is below 2^-10 for 4 M keys.
            Keys::Random { rng, count } => (u64::from(rng.random::<u32>()) * *count) >> 32,
            Keys::Sequential { next, count } => {
                let number = *next;
                *next = if number + 1 == *count { 0 } else { number + 1 };
                number
            }
        }
    }
}

fn key(prefix: &str) -> Vec<u8> {
    format!("{prefix}{:0KEY_DIGITS$}", 0).into_bytes()
}

/// Letters that are no integer and no repetition of one byte.
fn value(bytes: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(bytes).collect()
}

/// Three digits at a time from a table of 3 KB that stays in the first-level cache.
#[inline]
fn write_digits(digits: &mut [u8], mut number: u64) {
    for three in digits.rchunks_exact_mut(3) {
        three.copy_from_slice(&TRIPLES[(number % 1000) as usize]);
        number /= 1000;
    }
}

static TRIPLES: [[u8; 3]; 1000] = {
    let mut table = [[b'0'; 3]; 1000];
    let mut number = 0;
    while number < 1000 {
        table[number] = [
            b'0' + (number / 100) as u8,
            b'0' + (number / 10 % 10) as u8,
            b'0' + (number % 10) as u8,
        ];
        number += 1;
    }
    table
};
