//! The slow log: <https://redis.io/docs/latest/commands/slowlog/>.

use std::collections::VecDeque;

/// Most arguments kept of a slow command.
const ARGS_MAX: usize = 32;
/// Most bytes kept of one argument.
const ARG_BYTES_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Its number.
    pub id: i64,
    /// When it ran, Unix seconds.
    pub time_s: i64,
    /// How long, microseconds.
    pub duration_us: i64,
    /// Its arguments, shortened.
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub addr: String,
    /// And that client's name.
    pub name: Vec<u8>,
}

/// The last slow commands, newest first.
#[derive(Default, Debug)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: i64,
}

impl SlowLog {
    /// Notes a command; the oldest beyond `max` are forgotten.
    pub fn push(
        &mut self,
        argv: &[&[u8]],
        (time_s, duration_us): (i64, i64),
        (addr, name): (&str, &[u8]),
        max: usize,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        let (addr, name) = (addr.to_owned(), name.to_vec());
        let args = shortened(argv);
        self.entries.push_front(SlowEntry {
            id,
            time_s,
            duration_us,
            args,
            addr,
            name,
        });
        self.entries.truncate(max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all entries.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

/// At most 32 arguments of at most 128 bytes, with a word about what is missing.
fn shortened(argv: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = argv.len().min(ARGS_MAX);
    let mut args: Vec<Vec<u8>> = argv[..kept].iter().map(|arg| shortened_arg(arg)).collect();
    if argv.len() > ARGS_MAX
        && let Some(last) = args.last_mut()
    {
        *last = format!("... ({} more arguments)", argv.len() - ARGS_MAX + 1).into_bytes();
    }
    args
}

fn shortened_arg(arg: &[u8]) -> Vec<u8> {
    let mut kept = arg[..arg.len().min(ARG_BYTES_MAX)].to_vec();
    if arg.len() > ARG_BYTES_MAX {
        kept.extend(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).bytes());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_shortened() {
        let mut log = SlowLog::default();
        let big = vec![b'x'; 200];
        let argv: Vec<&[u8]> = std::iter::repeat_n(big.as_slice(), 40).collect();
        log.push(&argv, (1, 2), ("a", b"n"), 1);
        log.push(&[b"PING"], (3, 4), ("a", b"n"), 1);
        assert_eq!(log.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1]);
        let args = shortened(&argv);
        assert_eq!(args.len(), 32);
        assert_eq!(args[31], b"... (9 more arguments)");
        assert!(args[0].ends_with(b"x... (72 more bytes)"));
    }
}
