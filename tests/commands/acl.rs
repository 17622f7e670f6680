//! ACL and what it lets through; every transcript is checked against
//! redis-server too, where there is one.

use super::support::{Client, PATIENCE, Server, wait};

fn on_both(transcript: impl Fn(&Server)) {
    transcript(&Server::start(&[]));
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&oracle);
    }
}

fn logged_in(server: &Server, name: &str) -> Client {
    let mut client = server.connect();
    client.check(&format!("AUTH {name} pw"), "+OK");
    client
}

const HASH: &str = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
const NO_KEYS: &str =
    "-NOPERM this user has no permissions to access one of the keys used as arguments";
const NO_CHANNELS: &str =
    "-NOPERM this user has no permissions to access one of the channels used as arguments";

fn no_command(name: &str) -> String {
    format!("-NOPERM this user has no permissions to run the '{name}' command")
}

#[test]
fn users_are_made_shown_and_deleted() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("ACL WHOAMI", "$default");
        c.check("ACL LIST", "*1 $user default on nopass ~* &* +@all");
        c.check("ACL SETUSER bob", "+OK");
        c.check("ACL GETUSER nobody", "$-1");
        c.check(
            "ACL SETUSER alice on >pw >pw ~a:* %R~b:* %W~b:* %r~c &ch* +get +select|0 +CONFIG|Get",
            "+OK",
        );
        let rules = commands_of(&mut c, "alice");
        c.check(
            "ACL GETUSER alice",
            &format!(
                "*12 $flags *1 $on $passwords *1 ${} $commands $-@all {rules} $keys $~a:* ~b:* \
                 %R~c $channels $&ch* $selectors *0",
                &HASH[1..]
            ),
        );
        c.check("ACL USERS", "*3 $alice $bob $default");
        c.check("ACL DELUSER alice nobody bob", ":2");
        c.check(
            "ACL DELUSER default",
            "-ERR The 'default' user cannot be removed",
        );
        c.check("ACL LIST", "*1 $user default on nopass ~* &* +@all");
        c.check("ACL SETUSER sel (~x +get) on (&* +@all -@all)", "+OK");
        c.check(
            "ACL LIST",
            "*2 $user default on nopass ~* &* +@all $user sel on resetchannels -@all \
             (~x resetchannels -@all +get) (&* -@all)",
        );
        let mut three = server.connect();
        three.command(&["HELLO", "3"]);
        three.reply();
        three.check(
            "ACL GETUSER sel",
            "%6 $flags ~1 $on $passwords *0 $commands $-@all $keys $ $channels $ $selectors *2 \
             %3 $commands $-@all +get $keys $~x $channels $ \
             %3 $commands $-@all $keys $ $channels $&*",
        );
        three.check("ACL GETUSER nobody", "_");
    });
}

/// The single commands of a user in the order in which this server tells
/// them: in Redis it is another one in each process.
fn commands_of(c: &mut Client, user: &str) -> String {
    let reply = c.ask(&format!("ACL GETUSER {user}"));
    let start = reply.find("$-@all ").unwrap() + 7;
    let end = reply.find(" $keys").unwrap();
    let mut words: Vec<&str> = reply[start..end].split(' ').collect();
    words.sort_unstable();
    assert_eq!(words, ["+config|get", "+get", "+select|0"]);
    reply[start..end].to_owned()
}

#[test]
fn wrong_rules_change_nothing() {
    on_both(|server| {
        let mut c = server.connect();
        let all_keys = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid \
                        and does not have any effect. Try 'resetkeys' to start with an empty list \
                        of patterns";
        let all_channels = "Adding a pattern after the * pattern (or the 'allchannels' flag) is \
                            not valid and does not have any effect. Try 'resetchannels' to start \
                            with an empty list of channels";
        let hash = "The password hash must be exactly 64 characters and contain only lowercase \
                    hexadecimal characters";
        let unknown = "Unknown command or category name in ACL";
        for (rules, wrong, reason) in [
            ("on bogus off", "bogus", "Syntax error"),
            ("+nosuch", "+nosuch", unknown),
            ("-@nosuch", "-@nosuch", unknown),
            ("-config|nosuch", "-config|nosuch", unknown),
            ("-select|0", "-select|0", unknown),
            ("+select|", "+select|", "Syntax error"),
            (
                "+config|get|x",
                "+config|get|x",
                "Allowing first-arg of a subcommand is not supported",
            ),
            ("~* ~a", "~a", all_keys),
            ("&* &a", "&a", all_channels),
            ("%RX~a", "%RX~a", "Syntax error"),
            ("%RR~a", "%RR~a", "Syntax error"),
            ("%~a", "%~a", "Syntax error"),
            ("'~a b'", "~a b", "Syntax error"),
            ("#123", "#123", hash),
            ("!123", "!123", hash),
            (
                "<pw",
                "<pw",
                "The password you are trying to remove from the user does not exist",
            ),
            ("(+get on)", "(+get on)", "Syntax error"),
            ("( +get bogus )", "( +get bogus )", "Syntax error"),
        ] {
            c.check(
                &format!("ACL SETUSER new {rules}"),
                &format!("-ERR Error in ACL SETUSER modifier '{wrong}': {reason}"),
            );
        }
        c.check(
            "ACL SETUSER new on (+get",
            "-ERR Unmatched parenthesis in acl selector starting at '(+get'.",
        );
        c.check(
            "ACL SETUSER 'a b'",
            "-ERR Usernames can't contain spaces or null characters",
        );
        c.check("ACL USERS", "*1 $default");
        c.check("ACL CAT nosuch", "-ERR Unknown category 'nosuch'");
        for call in ["CAT a b", "GENPASS 1 2", "LOG 1 2"] {
            let name = call.split(' ').next().unwrap();
            c.check(
                &format!("ACL {call}"),
                &format!(
                    "-ERR unknown subcommand or wrong number of arguments for '{name}'. Try ACL \
                     HELP."
                ),
            );
        }
        c.check(
            "ACL GENPASS x",
            "-ERR value is not an integer or out of range",
        );
        c.check(
            "ACL GENPASS 4097",
            "-ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        );
        for (bits, digits) in [("", 64), ("1", 1), ("5", 2), ("4096", 1024)] {
            assert_eq!(c.ask(&format!("ACL GENPASS {bits}")).len(), digits + 1);
        }
        let no_file = "-ERR This Redis instance is not configured to use an ACL file. You may \
                       want to specify users via the ACL SETUSER command and then issue a CONFIG \
                       REWRITE (assuming you have a Redis configuration file set) in order to \
                       store users in the Redis configuration.";
        c.check("ACL LOAD", no_file);
        c.check("ACL SAVE", no_file);
    });
}

#[test]
fn calls_are_let_through_or_refused() {
    on_both(|server| {
        let mut root = server.connect();
        root.check(
            "ACL SETUSER u on >pw ~w* %R~r* %W~o* &news +@all -@dangerous +sort -select +select|0 \
             -config +config|get",
            "+OK",
        );
        let mut c = logged_in(server, "u");
        c.check(
            "AUTH u wrong",
            "-WRONGPASS invalid username-password pair or user is disabled.",
        );
        c.check("ACL WHOAMI", "$u");
        c.check("SET w1 a", "+OK");
        c.check("GET r1", "$-1");
        c.check("SET r1 a", NO_KEYS);
        c.check("SET o1 a", "+OK");
        c.check("SET o1 a GET", NO_KEYS);
        c.check("GET o1", NO_KEYS);
        c.check("TYPE o1", "+string");
        c.check("TYPE x1", NO_KEYS);
        c.check("COPY r1 w2", ":0");
        c.check("COPY w1 r2", NO_KEYS);
        c.check("RENAME o1 w3", NO_KEYS);
        c.check("MGET w1 x", NO_KEYS);
        c.check("SELECT 0", "+OK");
        c.check("SELECT 1", &no_command("select"));
        c.check("CONFIG GET maxclients", "*2 $maxclients $10000");
        c.check("CONFIG SET maxclients 9", &no_command("config|set"));
        c.check("FLUSHALL", &no_command("flushall"));
        c.check("PUBLISH news x", ":0");
        c.check("PUBLISH other x", NO_CHANNELS);
        c.check("SUBSCRIBE news other", NO_CHANNELS);
        c.check("PSUBSCRIBE new*", NO_CHANNELS);
        c.check("PSUBSCRIBE news", "*3 $psubscribe $news :1");
        c.check("PUNSUBSCRIBE", "*3 $punsubscribe $news :0");
        c.check("PUNSUBSCRIBE other", "*3 $punsubscribe $other :0");
        c.check("RPUSH w4 1 2", ":2");
        c.check("SORT w4 BY nosort", "*2 $1 $2");
        let denied = |option: &str| {
            format!("-ERR {option} option of SORT denied due to insufficient ACL permissions.")
        };
        c.check("SORT w4 BY w_*", &denied("BY"));
        c.check("SORT w4 GET #", &denied("GET"));
        root.check("ACL SETUSER u %R~*", "+OK");
        c.check("SORT w4 BY w_* GET #", "*2 $1 $2");
        // As part of one selector, or not at all.
        root.check("ACL SETUSER u resetkeys ~w* (%R~* +@all)", "+OK");
        c.check("SORT w4 BY w_* GET #", "*2 $1 $2");
        c.check("SORT w4 BY w_* STORE w5", &denied("BY"));
    });
}

#[test]
fn a_list_of_keys_may_be_empty() {
    // Redis 7.0 lets this through.
    let server = Server::start(&[]);
    let mut root = server.connect();
    root.check("ACL SETUSER u on >pw ~a +@all", "+OK");
    let mut c = logged_in(&server, "u");
    c.check("PFMERGE a", "+OK");
    c.check("PFMERGE b", NO_KEYS);
    root.check("EXISTS a b", ":1");
}

#[test]
fn dry_runs_tell_what_would_be_refused() {
    on_both(|server| {
        let mut c = server.connect();
        c.check("ACL SETUSER u +@all -get ~a (+get %R~b)", "+OK");
        c.check("ACL DRYRUN nobody GET a", "-ERR User 'nobody' not found");
        c.check("ACL DRYRUN u NOSUCH a", "-ERR Command 'NOSUCH' not found");
        c.check(
            "ACL DRYRUN u GET",
            "-ERR wrong number of arguments for 'get' command",
        );
        c.check("ACL DRYRUN u SET a 1", "+OK");
        c.check("ACL DRYRUN u GET b", "+OK");
        c.check(
            "ACL DRYRUN u GET a",
            "$This user has no permissions to access the 'a' key",
        );
        c.check(
            "ACL DRYRUN u MSET a 1 z 1",
            "$This user has no permissions to access the 'z' key",
        );
        c.check(
            "ACL DRYRUN u PUBLISH c m",
            "$This user has no permissions to access the 'c' channel",
        );
        c.check("ACL SETUSER v", "+OK");
        c.check(
            "ACL DRYRUN v CONFIG GET x",
            "$This user has no permissions to run the 'config|get' command",
        );
        c.check("ACL DRYRUN v QUIT", "+OK");
    });
}

/// The entries of ACL LOG without age and client.
fn log(c: &mut Client, call: &str) -> Vec<String> {
    let reply = c.ask(call);
    let entries = reply.split("*14 ").skip(1);
    entries
        .map(|entry| entry[..entry.find(" $age-seconds").unwrap()].to_owned())
        .collect()
}

#[test]
fn refusals_are_logged() {
    on_both(|server| {
        let mut root = server.connect();
        root.check("ACL SETUSER u on >pw ~a +@all -set &c", "+OK");
        let mut c = logged_in(server, "u");
        c.ask("SET a 1");
        c.ask("GET b");
        c.ask("GET b");
        c.ask("PUBLISH d m");
        c.ask("auth u no");
        c.ask("MULTI");
        c.ask("GET b");
        c.ask("EXEC");
        let entry = |count: u32, reason: &str, context: &str, object: &str| {
            format!(
                "$count :{count} $reason ${reason} $context ${context} $object ${object} \
                 $username $u"
            )
        };
        let expected = [
            entry(1, "key", "multi", "b"),
            entry(1, "auth", "toplevel", "auth"),
            entry(1, "channel", "toplevel", "d"),
            entry(2, "key", "toplevel", "b"),
            entry(1, "command", "toplevel", "set"),
        ];
        assert_eq!(log(&mut root, "ACL LOG"), expected);
        assert_eq!(log(&mut root, "ACL LOG 2"), expected[..2]);
        assert_eq!(log(&mut root, "ACL LOG -1"), [""; 0]);
        let reply = root.ask("ACL LOG 1");
        for part in [" cmd=get ", " user=u ", " db=0 "] {
            assert!(reply.contains(part), "{reply}");
        }
        root.check("CONFIG SET acllog-max-len 2", "+OK");
        c.ask("SET other 1");
        assert_eq!(log(&mut root, "ACL LOG 100").len(), 5);
        c.ask("GETDEL other");
        assert_eq!(log(&mut root, "ACL LOG 100").len(), 2);
        root.check("ACL LOG reset", "+OK");
        root.check("ACL LOG", "*0");
        // Nothing of a password.
        assert!(root.ask("SLOWLOG GET").starts_with('*'));
    });
}

#[test]
fn changes_reach_those_who_are_connected() {
    on_both(|server| {
        let mut root = server.connect();
        root.check("ACL SETUSER u on >pw ~* +@all &*", "+OK");
        let mut c = logged_in(server, "u");
        c.check("SET k v", "+OK");
        c.check("MULTI", "+OK");
        c.check("GET k", "+QUEUED");
        c.check("SET j v", "+QUEUED");
        c.check("PUBLISH x m", "+QUEUED");
        c.check("INCR k1", "+QUEUED");
        root.check("ACL SETUSER u -get resetkeys ~k* resetchannels", "+OK");
        let changed = "-NOPERM ACLs rules changed between the moment the transaction was \
                       accumulated and the EXEC call. This command is no longer allowed for the \
                       following reason: ";
        c.check(
            "EXEC",
            &format!(
                "*4 {changed}no permission to execute the command or subcommand {changed}no \
                 permission to touch the specified keys {changed}no permission to access one of \
                 the channels used as arguments :1"
            ),
        );
        assert!(root.ask("ACL LOG 1").contains(" cmd=exec "));
        // Turned off: who is in stays in.
        root.check("ACL SETUSER u off", "+OK");
        c.check("INCR k1", ":2");
        c.check(
            "AUTH u pw",
            "-WRONGPASS invalid username-password pair or user is disabled.",
        );
        root.check("CLIENT KILL USER nobody", "-ERR No such user 'nobody'");
        root.check("CLIENT KILL USER u", ":1");
        assert!(c.is_closed_within(PATIENCE));

        root.check("ACL SETUSER u on", "+OK");
        let (mut c, mut other) = (logged_in(server, "u"), logged_in(server, "u"));
        assert!(root.ask("CLIENT LIST").contains(" user=u "));
        c.check("ACL DELUSER u", ":1");
        assert!(c.is_closed_within(PATIENCE) && other.is_closed_within(PATIENCE));
        root.check("ACL WHOAMI", "$default");
    });
}

#[test]
fn a_transaction_ends_without_permission() {
    on_both(|server| {
        let mut root = server.connect();
        root.check("ACL SETUSER u on >pw ~* +@all -incr", "+OK");
        let mut c = logged_in(server, "u");
        c.check("MULTI", "+OK");
        c.check("SET k v", "+QUEUED");
        c.check("INCR k", &no_command("incr"));
        c.check(
            "EXEC",
            "-EXECABORT Transaction discarded because of previous errors.",
        );
        c.check("MULTI", "+OK");
        c.check("SET k v", "+QUEUED");
        root.check("ACL SETUSER u -exec", "+OK");
        let reason = no_command("exec");
        c.check(
            "EXEC",
            &format!(
                "-EXECABORT Transaction discarded because of: {}",
                &reason[1..]
            ),
        );
        c.check("DISCARD", "-ERR DISCARD without MULTI");
        root.check("EXISTS k", ":0");
    });
}

#[test]
fn payloads_are_checked_as_the_user_says() {
    on_both(|server| {
        let mut root = server.connect();
        let payload = "\\x11\\x14\\x14\\x00\\x00\\x00\\x04\\x00\\x81\\x61\\x02\\x01\\x01\\x81\\x62\\x02\\x83\\x32\
                       \\x2e\\x35\\x04\\xff\\x0a\\x00\\xd4\\x4c\\x6e\\xa4\\xf6\\x44\\xd9\\xd7";
        root.check("CONFIG SET sanitize-dump-payload clients", "+OK");
        root.check("ACL SETUSER u on >pw ~* +@all skip-sanitize-payload", "+OK");
        let mut c = logged_in(server, "u");
        for (rule, count) in [("skip-sanitize-payload", 0), ("sanitize-payload", 1)] {
            root.check(&format!("ACL SETUSER u {rule}"), "+OK");
            c.check(&format!("RESTORE k 0 \"{payload}\" REPLACE"), "+OK");
            let counted = format!("dump_payload_sanitizations:{count}\r\n");
            assert!(root.ask("INFO stats").contains(&counted), "{rule}");
        }
    });
}

#[test]
fn subscribers_go_with_their_permission() {
    on_both(|server| {
        let mut root = server.connect();
        root.check("ACL SETUSER u on >pw +@all &a* &b", "+OK");
        let subscriber = |call: &str| {
            let mut c = logged_in(server, "u");
            c.ask(call);
            c
        };
        let mut channel = subscriber("SUBSCRIBE ab");
        let mut pattern = subscriber("PSUBSCRIBE a*");
        let mut shard = subscriber("SSUBSCRIBE b");
        let mut none = subscriber("PING");
        root.check("ACL SETUSER u &c", "+OK");
        root.check("ACL SETUSER u resetchannels &a* &b", "+OK");
        root.check("PUBLISH ab x", ":2");
        root.check("ACL SETUSER u resetchannels &a* &c", "+OK");
        assert!(shard.is_closed_within(PATIENCE));
        root.check("ACL SETUSER u resetchannels &a?", "+OK");
        pattern.reply();
        assert!(pattern.is_closed_within(PATIENCE));
        channel.reply();
        root.check("PUBLISH ab y", ":1");
        assert_eq!(channel.reply(), "*3 $message $ab $y");
        root.check("ACL SETUSER u allchannels", "+OK");
        root.check("ACL SETUSER u resetchannels", "+OK");
        assert!(channel.is_closed_within(PATIENCE));
        none.check("PING", "+PONG");
    });
}

#[test]
fn who_waits_is_asked_again() {
    // Redis does so since 7.2.
    let server = Server::start(&[]);
    let (mut root, mut helper) = (server.connect(), server.connect());
    root.check("ACL SETUSER u on >pw ~* +@all", "+OK");
    let mut c = logged_in(&server, "u");
    c.command(&["BLPOP", "list", "0"]);
    wait("a blocked client", || {
        root.ask("INFO clients")
            .contains("blocked_clients:1")
            .then_some(())
    });
    root.check("ACL SETUSER u -blpop", "+OK");
    helper.check("RPUSH list a", ":1");
    assert_eq!(c.reply(), no_command("blpop"));
    helper.check("LRANGE list 0 -1", "*1 $a");
    assert!(root.ask("ACL LOG").contains("$object $blpop"));
    root.check("ACL SETUSER u +blpop", "+OK");
    c.check("BLPOP list 0", "*2 $list $a");
}

#[test]
fn the_default_user_is_one_among_others() {
    on_both(|server| {
        let mut root = server.connect();
        root.check("CONFIG SET requirepass secret", "+OK");
        root.check("ACL SETUSER admin on >pw ~* &* +@all", "+OK");
        let mut c = server.connect();
        c.check("GET k", "-NOAUTH Authentication required.");
        c.check("ACL WHOAMI", "-NOAUTH Authentication required.");
        c.check(
            "AUTH wrong",
            "-WRONGPASS invalid username-password pair or user is disabled.",
        );
        c.check("AUTH secret", "+OK");
        c.check("GET k", "$-1");
        let mut c = logged_in(server, "admin");
        c.check("ACL SETUSER default off nopass", "+OK");
        let mut stranger = server.connect();
        stranger.check("PING", "-NOAUTH Authentication required.");
        let hello = stranger.ask("HELLO 3");
        assert!(hello.starts_with("-NOAUTH HELLO must be called"), "{hello}");
        stranger.command(&["HELLO", "3", "AUTH", "admin", "pw"]);
        assert!(stranger.reply().starts_with('%'));
        // Who was in stays in.
        root.check("GET k", "$-1");
        c.check("ACL SETUSER default on -@all", "+OK");
        let mut stranger = server.connect();
        stranger.check("PING", &no_command("ping"));
        stranger.check("AUTH admin pw", "+OK");
        stranger.check("PING", "+PONG");
        stranger.check("RESET", "+RESET");
        stranger.check("ACL WHOAMI", &no_command("acl|whoami"));
    });
}

#[test]
fn monitors_see_no_passwords() {
    on_both(|server| {
        let (mut root, mut monitor) = (server.connect(), server.connect());
        root.check("ACL SETUSER u on >pw +@all", "+OK");
        monitor.check("MONITOR", "+OK");
        root.check("ACL SETUSER v >hidden", "+OK");
        root.check("AUTH u pw", "+OK");
        root.command(&["HELLO", "2", "AUTH", "u", "pw"]);
        root.reply();
        root.check("ECHO end", "$end");
        let mut seen = String::new();
        while !seen.contains("ECHO") {
            seen.push_str(&monitor.reply());
        }
        assert!(!seen.contains("hidden") && !seen.contains("pw"), "{seen}");
        assert!(
            seen.contains("\"AUTH\" \"(redacted)\" \"(redacted)\""),
            "{seen}"
        );
    });
}

#[test]
fn files_keep_users() {
    let run = |start: fn(&[&str]) -> Option<Server>| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.acl");
        std::fs::write(&file, "user alice on nopass +@all ~*\n\nuser bob on >pw\n").unwrap();
        let Some(server) = start(&["--aclfile", file.to_str().unwrap()]) else {
            return;
        };
        let mut c = server.connect();
        c.check("ACL USERS", "*3 $alice $bob $default");
        let mut alice = logged_in(&server, "alice");
        c.check("ACL SETUSER carol", "+OK");
        c.check("ACL SAVE", "+OK");
        let saved = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            saved,
            format!(
                "user alice on nopass ~* resetchannels +@all\n\
                 user bob on {HASH} resetchannels -@all\n\
                 user carol off resetchannels -@all\n\
                 user default on nopass ~* &* +@all\n"
            )
        );
        std::fs::write(&file, "user dave on +nosuch\nuse x\n").unwrap();
        let path = file.to_str().unwrap();
        c.check(
            "ACL LOAD",
            &format!(
                "-ERR {path}:1: Error in applying operation '+nosuch': Unknown command or \
                 category name in ACL. {path}:2 should start with user keyword followed by the \
                 username. WARNING: ACL errors detected, no change to the previously active ACL \
                 rules was performed"
            ),
        );
        alice.check("PING", "+PONG");
        std::fs::write(
            &file,
            "user alice on nopass +@all\nuser default on >x +@all\n",
        )
        .unwrap();
        c.check("ACL LOAD", "+OK");
        assert!(alice.is_closed_within(PATIENCE));
        c.check("ACL USERS", "*2 $alice $default");
        c.check("GET k", NO_KEYS);
        server
            .connect()
            .check("PING", "-NOAUTH Authentication required.");
        std::fs::remove_file(&file).unwrap();
        c.check(
            "ACL LOAD",
            &format!("-ERR Error loading ACLs, opening file '{path}': No such file or directory"),
        );
    };
    run(|args| Some(Server::start(args)));
    run(Server::start_oracle);
}

#[test]
fn the_configuration_keeps_users() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("redis.conf");
    std::fs::write(
        &file,
        "user default on nopass ~* +@all -flushdb\nuser alice on >pw +get\n",
    )
    .unwrap();
    let path = file.to_str().unwrap().to_owned();
    let first = Server::start_with_file(&path);
    let mut c = first.connect();
    c.check("FLUSHDB", &no_command("flushdb"));
    c.check("ACL SETUSER bob on nopass", "+OK");
    c.command(&["ACL", "SETUSER", "o'hara", "on", "~a\"b", "(~\u{e9} +get)"]);
    assert_eq!(c.reply(), "+OK");
    let users = c.ask("ACL LIST");
    c.check("CONFIG REWRITE", "+OK");
    let rewritten = std::fs::read_to_string(&file).unwrap();
    for line in [
        "user default on nopass sanitize-payload ~* resetchannels +@all -flushdb\n",
        &format!("user alice on {HASH} resetchannels -@all +get\n"),
        "user bob on nopass resetchannels -@all\n",
    ] {
        assert!(rewritten.contains(line), "{line}{rewritten}");
    }
    let server = Server::start_with_file(&path);
    server.connect().check("ACL LIST", &users);
}
