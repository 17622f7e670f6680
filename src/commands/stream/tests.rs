//! What the commands tell AOF, replicas, WATCH and subscribers.

use crate::commands::generic::tests::World;

#[test]
fn what_is_added_is_repeated_with_its_id() {
    let mut world = World::new();
    world.check(
        "XADD s * f v",
        "0~s 0:new=s 0:xadd=s",
        "XADD s 1000000-0 f v",
        1,
    );
    world.check(
        "XADD s 1000000-* f v",
        "0~s 0:xadd=s",
        "XADD s 1000000-1 f v",
        1,
    );
    world.check("XADD s 1000000-2 f v", "0~s 0:xadd=s", "verbatim", 1);
    world.check(
        "XADD s MAXLEN ~ 1 LIMIT 9 1000000-3 f v",
        "0~s 0:xadd=s",
        "XADD s MAXLEN = 4 LIMIT 9 1000000-3 f v",
        1,
    );
    world.check(
        "XADD s MINID ~ 1000000-2 * f v",
        "0~s 0:xadd=s",
        "XADD s MINID = 1000000-0 1000000-4 f v",
        1,
    );
    world.check(
        "XADD s MAXLEN 4 * f v",
        "0~s 0:xadd=s 0:xtrim=s",
        "XADD s MAXLEN 4 1000000-5 f v",
        1,
    );
    world.check("XTRIM s MAXLEN 2", "0~s 0:xtrim=s", "verbatim", 2);
    world.check("XTRIM s MAXLEN ~ 2", "", "verbatim", 0);
    world.check("XDEL s 1000000-5 9", "0~s 0:xdel=s", "verbatim", 1);
    world.check("XSETID s 2000000", "0:xsetid=s", "verbatim", 1);
}

#[test]
fn what_a_group_was_given_is_repeated_as_claims() {
    let mut world = World::new();
    let created = "0~s 0:new=s 0:xgroup-create=s";
    world.check("XGROUP CREATE s g 0 MKSTREAM", created, "verbatim", 1);
    world.run("XADD s 1-0 f v");
    world.run("XADD s 2-0 f v");
    world.check(
        "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
        "0:xgroup-createconsumer=s",
        "XCLAIM s g c 0 1-0 TIME 1000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
        2,
    );
    world.check("XREADGROUP GROUP g c STREAMS s 0", "", "", 1);
    world.check(
        "XREADGROUP GROUP g d NOACK STREAMS s >",
        "0:xgroup-createconsumer=s",
        "XGROUP CREATECONSUMER s g d; XGROUP SETID s g 2-0 ENTRIESREAD 2",
        2,
    );
    world.check("XREADGROUP GROUP g d STREAMS s >", "", "", 0);
    world.check(
        "XCLAIM s g d 0 1 RETRYCOUNT 7",
        "",
        "XCLAIM s g d 0 1 TIME 1000000 RETRYCOUNT 7 FORCE JUSTID LASTID 2-0",
        1,
    );
    world.check(
        "XCLAIM s g d 0 9-0 LASTID 5-0",
        "",
        "XGROUP SETID s g 5-0 ENTRIESREAD 2",
        1,
    );
    world.run("XDEL s 1-0");
    world.check(
        "XAUTOCLAIM s g c 0 0",
        "",
        "XCLAIM s g d 0 1-0 TIME 1000000 RETRYCOUNT 7 FORCE JUSTID LASTID 5-0",
        1,
    );
    world.check("XACK s g 1-0", "", "verbatim", 0);
    world.check(
        "XGROUP DELCONSUMER s g c",
        "0:xgroup-delconsumer=s",
        "verbatim",
        1,
    );
    world.check("XGROUP DESTROY s g", "0:xgroup-destroy=s", "verbatim", 1);
}
