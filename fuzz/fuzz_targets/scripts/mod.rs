//! A server in this process that runs scripts.
#![allow(dead_code)] // Each target uses a part of it.

use redstart::command::registry::Registry;
use redstart::config::Config;
use redstart::engine::{ClientId, RawClient, Server};
use redstart::exec::{dispatch, scripting};

/// Milliseconds after which a script is ended: most of those that would run for
/// ever show all that they do by then.
const SCRIPT_MS: i64 = 2;
/// The same of one in 16.
const LONG_SCRIPT_MS: i64 = 10;
/// Scripts until the interpreter and the keys are new.
const RENEWED_AFTER: u32 = 200;

/// Stacks are left by long jumps; what the keyspace holds, it holds by pointers
/// with tags, which no search for leaks finds.
#[unsafe(no_mangle)]
pub extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
    c"detect_stack_use_after_return=0:detect_leaks=0".as_ptr()
}

pub struct Engine {
    server: Server,
    client: ClientId,
    scripts: u32,
    /// A script that takes long gets a second turn before it is ended.
    has_second_turn: bool,
}

impl Engine {
    pub fn new() -> Engine {
        let registry = Registry::new(redstart::commands::FAMILIES).expect("the table is sound");
        let mut server = Server::new(Config::default(), registry, 1);
        redstart::script::install(&mut server);
        let client = server.add_client(RawClient::default());
        Engine { server, client, scripts: 0, has_second_turn: false }
    }

    /// Chooses how long a script may run, by what is the same whenever this
    /// input runs.
    fn choose_times(&mut self, script: &[u8]) {
        let choice = script.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
        let is_long = choice % 16 == 0;
        self.server.config.busy_reply_threshold_ms = if is_long { LONG_SCRIPT_MS } else { SCRIPT_MS };
        self.has_second_turn = choice % 4 == 0;
    }

    /// Runs a command to its end; a script that takes long is ended.
    pub fn run(&mut self, argv: &[&[u8]]) -> Vec<u8> {
        let server = &mut self.server;
        server.now_ns = server.clock.now_ns();
        let lookup = server.registry.resolve(argv);
        dispatch::run(server, self.client, lookup, argv, &[]);
        for turn in 0.. {
            if !server.is_busy() {
                break;
            }
            assert!(turn < 100, "a kill ends a script");
            server.scripts.kill = turn > 0 || !self.has_second_turn;
            scripting::proceed(server);
        }
        let output = &mut server.client(self.client).output;
        let reply = output.contiguous().to_vec();
        output.clear();
        let mut rest = &reply[..];
        skip(&mut rest).unwrap_or_else(|| panic!("no reply: {}", reply.escape_ascii()));
        assert!(rest.is_empty(), "more than a reply: {}", reply.escape_ascii());
        reply
    }

    pub fn eval(&mut self, script: &[u8], args: &[&[u8]]) -> Vec<u8> {
        self.scripts += 1;
        self.choose_times(script);
        if self.scripts % RENEWED_AFTER == 0 {
            assert_eq!(self.run(&[b"SCRIPT", b"FLUSH"]), b"+OK\r\n");
            assert_eq!(self.run(&[b"FLUSHALL"]), b"+OK\r\n");
        }
        let mut argv = vec![&b"EVAL"[..], script, b"0"];
        argv.extend(args);
        let reply = self.run(&argv);
        assert_eq!(self.run(&[b"EVAL", b"return 7", b"0"]), b":7\r\n");
        reply
    }
}

/// Takes one reply off.
fn skip(rest: &mut &[u8]) -> Option<()> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let (line, after) = rest.split_at(end);
    *rest = &after[2..];
    assert!(!line.contains(&b'\n'), "a line is one line");
    let (kind, text) = line.split_first()?;
    let len = || std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let values = match kind {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => 0,
        b'$' | b'=' => {
            if let Ok(len) = usize::try_from(len()?) {
                let after = rest.get(len..)?.strip_prefix(b"\r\n")?;
                *rest = after;
            }
            0
        }
        b'*' | b'~' | b'>' => len()?.max(0),
        b'%' => 2 * len()?,
        _ => return None,
    };
    (0..values).try_for_each(|_| skip(rest))
}
