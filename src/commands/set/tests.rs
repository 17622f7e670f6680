//! What set commands tell AOF, replicas, WATCH and subscribers.

use crate::commands::generic::tests::World;

#[test]
fn changes_are_told_once() {
    let mut world = World::new();
    world.check("SADD s 1 2 2", "0~s 0:new=s 0:sadd=s", "verbatim", 2);
    world.check("SADD s 1 2", "", "verbatim", 0);
    world.check("SADD s x", "0~s 0:sadd=s", "verbatim", 1);
    world.check("SREM s nosuch", "", "verbatim", 0);
    world.check("SREM s 1 2 9", "0~s 0:srem=s", "verbatim", 2);
    world.check("SREM s x y", "0~s 0:srem=s 0:del=s", "verbatim", 1);
    world.check("SREM s x", "", "verbatim", 0);
}

#[test]
fn moves_are_told_of_both_sets() {
    let mut world = World::new();
    world.run("SADD a 1 2");
    world.check(
        "SMOVE a b 1",
        "0~a 0:srem=a 0~b 0:new=b 0:sadd=b",
        "verbatim",
        2,
    );
    world.run("SADD b 2");
    world.check("SMOVE a b 2", "0~a 0:srem=a 0:del=a", "verbatim", 1);
    world.check("SMOVE b b 2", "", "verbatim", 0);
    world.check("SMOVE b c 3", "", "verbatim", 0);
}

#[test]
fn what_chance_took_is_propagated() {
    let mut world = World::new();
    world.run("SADD s x");
    world.check("SPOP s", "0~s 0:spop=s 0:del=s", "SREM s x", 1);
    world.check("SPOP s", "", "verbatim", 0);
    world.run("SADD s 7 8");
    let (effects, propagation, dirty) = world.run("SPOP s 1");
    assert_eq!((effects.as_str(), dirty), ("0~s 0:spop=s", 1));
    assert!(["SREM s 7", "SREM s 8"].contains(&propagation.as_str()));
    world.run("SADD s 7 8 9");
    world.check("SPOP s 3", "0:spop=s 0~s 0:del=s", "DEL s", 3);
    world.check("SPOP s 3", "", "verbatim", 0);

    let members: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    world.run(&format!("SADD s {}", members.join(" ")));
    let (effects, propagation, dirty) = world.run("SPOP s 38");
    assert_eq!((effects.as_str(), dirty), ("0~s 0:spop=s", 38));
    assert_eq!(propagation.split("; ").count(), 38);
    assert!(
        propagation
            .split("; ")
            .all(|one| one.starts_with("SREM s "))
    );
}

#[test]
fn stored_results_are_told_as_one_change() {
    let mut world = World::new();
    world.run("SADD a 1 2 3");
    world.check(
        "SUNIONSTORE d a nosuch",
        "0:keymiss=nosuch 0~d 0:new=d 0:sunionstore=d",
        "verbatim",
        1,
    );
    world.check("SINTERSTORE d a d", "0~d 0:sinterstore=d", "verbatim", 1);
    world.run("SADD b 1");
    world.check("SDIFFSTORE d a b", "0~d 0:sdiffstore=d", "verbatim", 1);
    world.check("SDIFFSTORE d a a", "0~d 0:del=d", "verbatim", 1);
    world.check("SDIFFSTORE d a a", "", "verbatim", 0);
}
