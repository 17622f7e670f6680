//! What goes into the append-only file: command by command the same as
//! redis-server logs for the same calls.

use std::fmt::Write;
use std::path::Path;

use redstart::aof::read::LogReader;

/// Points in time may be this far apart, milliseconds.
const CLOSE_MS: i64 = 10_000;
/// Commands shown before and after a difference.
const SHOWN: usize = 12;

/// A logged command.
type Logged = Vec<Vec<u8>>;

/// The commands in the file of changes in a server's directory.
pub fn logged(dir: &Path) -> Vec<Logged> {
    let file = std::fs::read(dir.join("appendonlydir/appendonly.aof.1.incr.aof"));
    let file = file.expect("a log");
    let mut reader = LogReader::new(&file[..], file.len() as u64, 0);
    let mut commands = Vec::new();
    while reader.advance().expect("a sound log") {
        commands.push(reader.args().map(<[u8]>::to_vec).collect());
    }
    commands
}

/// # Panics
/// When the logs are not equal.
pub fn compare(ours: &[Logged], theirs: &[Logged]) {
    let pairs = ours.iter().zip(theirs);
    let equal = pairs
        .take_while(|(ours, theirs)| are_equal(ours, theirs))
        .count();
    if equal == ours.len() && equal == theirs.len() {
        return;
    }
    if ours.len() == theirs.len() {
        let pairs = ours.iter().zip(theirs).enumerate();
        let differing = pairs.filter(|(_, (ours, theirs))| !are_equal(ours, theirs));
        for (at, _) in differing.take(SHOWN) {
            println!("{}{}", line(&ours[at]), line(&theirs[at]));
        }
    }
    panic!(
        "the logs differ after {equal} of {} and {} commands\nours:\n{}theirs:\n{}",
        ours.len(),
        theirs.len(),
        excerpt(ours, equal),
        excerpt(theirs, equal)
    );
}

fn excerpt(commands: &[Logged], at: usize) -> String {
    let range = at.saturating_sub(SHOWN)..commands.len().min(at + 4);
    let mut text = String::new();
    for (index, command) in commands[range.clone()].iter().enumerate() {
        let mark = if range.start + index == at { '>' } else { ' ' };
        let _ = write!(text, " {mark}{}", line(command));
    }
    text
}

fn line(command: &Logged) -> String {
    let mut text = String::new();
    for arg in command {
        let shown = &arg[..arg.len().min(60)];
        let _ = write!(text, " \"{}\"", shown.escape_ascii());
    }
    text + "\n"
}

fn are_equal(ours: &Logged, theirs: &Logged) -> bool {
    // Which member SPOP takes is left to chance.
    let popped = |command: &Logged| command.len() == 3 && command[0] == b"SREM";
    if popped(ours) && popped(theirs) && ours[1] == theirs[1] {
        return true;
    }
    ours.len() == theirs.len()
        && ours
            .iter()
            .zip(theirs)
            .all(|(a, b)| a == b || are_close(a, b))
}

fn are_close(a: &[u8], b: &[u8]) -> bool {
    let time = |text: &[u8]| {
        let number = std::str::from_utf8(text).ok()?.parse::<i64>().ok()?;
        (number > 1_000_000_000_000).then_some(number)
    };
    time(a)
        .zip(time(b))
        .is_some_and(|(a, b)| a.abs_diff(b) <= CLOSE_MS as u64)
}
