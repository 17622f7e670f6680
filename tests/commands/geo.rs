//! Geo commands; every transcript is checked against redis-server too, where
//! there is one.

use super::support::{Client, Server};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn on_both(transcript: impl Fn(&mut Client)) {
    transcript(&mut Server::start(&[]).connect());
    if let Some(oracle) = Server::start_oracle(&[]) {
        transcript(&mut oracle.connect());
    }
}

#[test]
fn places_are_added_and_read() {
    on_both(|c| {
        c.check(
            "GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            ":2",
        );
        c.check("GEOADD g 13.361389 38.115556 Palermo", ":0");
        c.check(
            "GEOADD g CH 13.4 38.1 Palermo 2.349014 48.864716 Paris",
            ":2",
        );
        c.check("GEOADD g NX 0 0 Palermo 0 0 Null", ":1");
        c.check("GEOADD g XX CH 1 1 Null 1 1 nosuch", ":1");
        c.check("GEOADD g CH XX 13.361389 38.115556 Palermo", ":1");
        c.check("GEOPOS g Palermo nosuch Catania Null", "*4 *2 $13.36138933897018433 $38.11555639549629859 *-1 *2 $15.08726745843887329 $37.50266842333162032 *2 $0.99999994039535522 $0.99999945914297683");
        c.check("GEOPOS nosuch a", "*1 *-1");
        c.check("GEOPOS g", "*0");
        c.check(
            "GEOHASH g Palermo Catania nosuch Null",
            "*4 $sqc8b49rny0 $sqdtr74hyu0 $-1 $s00twy01mt0",
        );
        c.check("GEOHASH nosuch a", "*1 $-1");
        c.check("GEODIST g Palermo Catania", "$166274.1516");
        c.check("GEODIST g Palermo Catania km", "$166.2742");
        c.check("GEODIST g Palermo Catania MI", "$103.3182");
        c.check("GEODIST g Palermo Catania ft", "$545518.8700");
        c.check("GEODIST g Palermo Palermo", "$0.0000");
        c.check("GEODIST g Palermo nosuch", "$-1");
        c.check("GEODIST nosuch a b", "$-1");
        c.check("ZSCORE g Palermo", "$3479099956230698");
        c.check("TYPE g", "+zset");
        c.ask("HELLO 3");
        c.check(
            "GEOPOS g Palermo nosuch",
            "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _",
        );
        c.check("GEODIST g Palermo Catania", "$166274.1516");
        c.check("GEODIST g Palermo nosuch", "_");
        c.check("GEOHASH g nosuch", "*1 _");
    });
}

#[test]
fn geo_commands_refuse_what_does_not_fit() {
    on_both(|c| {
        c.check(
            "GEOADD g 1 1",
            "-ERR wrong number of arguments for 'geoadd' command",
        );
        c.check("GEOADD g 1 1 a 2", "-ERR syntax error");
        c.check("GEOADD g NX XX 1 1 a", "-ERR syntax error");
        c.check(
            "GEOADD g NX CH",
            "-ERR wrong number of arguments for 'geoadd' command",
        );
        c.check("GEOADD g GT 1 1 a", "-ERR syntax error");
        c.check("GEOADD g 1 x a", "-ERR value is not a valid float");
        c.check(
            "GEOADD g 180.1 1 a",
            "-ERR invalid longitude,latitude pair 180.100000,1.000000",
        );
        c.check(
            "GEOADD g 1 -86 a",
            "-ERR invalid longitude,latitude pair 1.000000,-86.000000",
        );
        c.check(
            "GEOADD g 1 1 a inf 1 b",
            "-ERR invalid longitude,latitude pair inf,1.000000",
        );
        c.check("EXISTS g", ":0");
        c.check(
            "GEOADD g 180 85.05112878 corner -180 -85.05112878 other 0 0 zero",
            ":3",
        );
        c.check("GEOPOS g corner other zero", "*3 *2 $180 $85.0511287799999991 *2 $-179.99999731779098511 $-85.05112751263942528 *2 $0.00000268220901489 $0.00000126736058093");
        c.check(
            "GEOHASH g corner other zero",
            "*3 $bp05b5048p0 $00bh0hbj200 $s0000000000",
        );
        c.check("GEODIST g corner other", "$18919844.5891");
        c.check(
            "GEODIST g corner zero parsecs",
            "-ERR unsupported unit provided. please use M, KM, FT, MI",
        );
        c.check(
            "GEODIST nosuch corner zero parsecs",
            "-ERR unsupported unit provided. please use M, KM, FT, MI",
        );
        c.check("GEODIST g corner zero m m", "-ERR syntax error");
        c.check("SET s v", "+OK");
        c.check("GEOADD s 1 1 a", WRONG_TYPE);
        c.check("GEOPOS s a", WRONG_TYPE);
        c.check("GEODIST s a b", WRONG_TYPE);
        c.check("GEOHASH s a", WRONG_TYPE);
        c.check("GEOSEARCH s FROMLONLAT 0 0 BYRADIUS 1 m", WRONG_TYPE);
        c.check("GEOSEARCH s NOSUCH 0 0 BYRADIUS 1 m", WRONG_TYPE);
        c.check("GEORADIUS s x 0 1 m", WRONG_TYPE);
        c.check("GEORADIUSBYMEMBER s a 1 m", WRONG_TYPE);
        c.check("GEOSEARCHSTORE t s FROMLONLAT 0 0 BYRADIUS 1 m", WRONG_TYPE);
        // Any score is some place.
        c.check("ZADD z -1 a 1e300 b inf c 0.5 d", ":4");
        c.check("GEOPOS z a b c d", "*4 *2 $180 $85.0511287799999991 *2 $-179.99999731779098511 $-85.05112751263942528 *2 $-179.99999731779098511 $-85.05112751263942528 *2 $-179.99999731779098511 $-85.05112751263942528");
        c.check("GEOHASH z a b", "*2 $bp05b5048p0 $00bh0hbj200");
    });
}

#[test]
fn searches_by_radius() {
    on_both(|c| {
        c.check("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 13.583333 37.316667 Agrigento 12.758489 38.788135 edge1 17.241510 38.788135 edge2", ":5");
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km",
            "*3 $Agrigento $Palermo $Catania",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC",
            "*3 $Catania $Agrigento $Palermo",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC WITHDIST",
            "*3 *2 $Palermo $190.4424 *2 $Agrigento $130.4235 *2 $Catania $56.4413",
        );
        c.check("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH", "*3 *4 $Catania $56.4413 :3479447370796909 *2 $15.08726745843887329 $37.50266842333162032 *4 $Agrigento $130.4235 :3479030013248308 *2 $13.5833314061164856 $37.31666804993816555 *4 $Palermo $190.4424 :3479099956230698 *2 $13.36138933897018433 $38.11555639549629859");
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 300 km COUNT 2",
            "*2 $Catania $Agrigento",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 300 km COUNT 2 DESC",
            "*2 $edge1 $edge2",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 300 km COUNT 2 ANY",
            "*2 $Agrigento $Palermo",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 300 km ANY COUNT 3 DESC",
            "*3 $edge1 $Palermo $Agrigento",
        );
        c.check(
            "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 100000 m ASC WITHDIST",
            "*3 *2 $Palermo $0.0000 *2 $Agrigento $90977.7535 *2 $edge1 $91400.6586",
        );
        c.check("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 0 m", "*1 $Palermo");
        c.check("GEOSEARCH g FROMLONLAT -100 -80 BYRADIUS 1 mi", "*0");
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS inf m ASC",
            "*5 $Catania $Agrigento $Palermo $edge2 $edge1",
        );
        c.check("GEOSEARCH nosuch FROMMEMBER a BYRADIUS 1 m", "*0");
        c.check(
            "GEORADIUS g 15 37 200 km ASC",
            "*3 $Catania $Agrigento $Palermo",
        );
        c.check(
            "GEORADIUS g 15 37 100 mi WITHDIST WITHHASH ASC",
            "*2 *3 $Catania $35.0711 :3479447370796909 *3 $Agrigento $81.0416 :3479030013248308",
        );
        c.check("GEORADIUS_RO g 15 37 200 km COUNT 1", "*1 $Catania");
        c.check(
            "GEORADIUSBYMEMBER g Agrigento 100 km",
            "*2 $Agrigento $Palermo",
        );
        c.check(
            "GEORADIUSBYMEMBER_RO g Agrigento 1e6 ft DESC",
            "*4 $edge1 $Catania $Palermo $Agrigento",
        );
        c.check(
            "GEORADIUSBYMEMBER g nosuch 100 km",
            "-ERR could not decode requested zset member",
        );
        c.check("GEORADIUSBYMEMBER nosuch x y z", "*0");
        c.check("GEORADIUSBYMEMBER nosuch x y z STORE g2", ":0");
        c.ask("HELLO 3");
        c.check("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC COUNT 1 WITHCOORD WITHDIST WITHHASH", "*1 *4 $Catania $56.4413 :3479447370796909 *2 ,15.08726745843887329 ,37.50266842333162032");
    });
}

#[test]
fn searches_by_box() {
    on_both(|c| {
        c.check("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1 17.241510 38.788135 edge2", ":4");
        c.check("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST", "*4 *3 $Catania $56.4413 *2 $15.08726745843887329 $37.50266842333162032 *3 $Palermo $190.4424 *2 $13.36138933897018433 $38.11555639549629859 *3 $edge2 $279.7403 *2 $17.24151045083999634 $38.78813451624225195 *3 $edge1 $279.7405 *2 $12.7584877610206604 $38.78813451624225195");
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC",
            "*4 $Catania $Palermo $edge2 $edge1",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 300 4000 km DESC",
            "*2 $Palermo $Catania",
        );
        c.check(
            "GEOSEARCH g FROMMEMBER Catania BYBOX 400 100 mi ASC WITHDIST",
            "*2 *2 $Catania $0.0000 *2 $Palermo $103.3182",
        );
        c.check("GEOSEARCH g FROMMEMBER Catania BYBOX 0 0 m", "*1 $Catania");
        c.check("GEOADD s -34.5 -58.4 south -34.6 -58.5 souther", ":2");
        c.check(
            "GEOSEARCH s FROMLONLAT -34.5 -58.4 BYBOX 50 50 km ASC WITHDIST",
            "*2 *2 $south $0.0001 *2 $souther $12.5532",
        );
    });
}

#[test]
fn searches_refuse_what_does_not_fit() {
    on_both(|c| {
        c.check("GEOADD g 13.361389 38.115556 Palermo", ":1");
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km NOSUCH",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCH g BYRADIUS 1 km ASC WITHDIST COUNT 1",
            "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH",
        );
        c.check(
            "geosearch g FROMLONLAT 15 37 ASC WITHDIST COUNT 1",
            "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 FROMMEMBER Palermo BYRADIUS 1 km",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km BYBOX 1 1 km",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCH g FROMMEMBER nosuch BYRADIUS 1 km",
            "-ERR could not decode requested zset member",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT x 37 BYRADIUS 1 km",
            "-ERR value is not a valid float",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 87 BYRADIUS 1 km",
            "-ERR invalid longitude,latitude pair 15.000000,87.000000",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS x km",
            "-ERR need numeric radius",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS -1 km",
            "-ERR radius cannot be negative",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 parsec",
            "-ERR unsupported unit provided. please use M, KM, FT, MI",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX x 1 km",
            "-ERR need numeric width",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 x km",
            "-ERR need numeric height",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 -1 km",
            "-ERR height or width cannot be negative",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT 0",
            "-ERR COUNT must be > 0",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT x",
            "-ERR value is not an integer or out of range",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km ANY",
            "-ERR the ANY argument requires COUNT argument",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km STORE t",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km STOREDIST",
            "-ERR syntax error",
        );
        c.check(
            "GEOSEARCHSTORE t g FROMLONLAT 15 37 BYRADIUS 1 km WITHDIST",
            "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        c.check(
            "GEOSEARCHSTORE t g FROMLONLAT 15 37 BYRADIUS 1 km STORE t",
            "-ERR syntax error",
        );
        c.check("GEORADIUS g 15 37 1 km STORE t WITHDIST", "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
        c.check("GEORADIUS_RO g 15 37 1 km STORE t", "-ERR syntax error");
        c.check("GEORADIUS g 15 37 1 km STORE", "-ERR syntax error");
        c.check(
            "GEORADIUS g 15 37 1",
            "-ERR wrong number of arguments for 'georadius' command",
        );
        c.check(
            "GEORADIUSBYMEMBER g Palermo -1 km",
            "-ERR radius cannot be negative",
        );
    });
}

#[test]
fn places_are_stored() {
    on_both(|c| {
        c.check("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.758489 38.788135 edge1", ":3");
        c.check("GEOSEARCHSTORE t g FROMLONLAT 15 37 BYRADIUS 200 km", ":2");
        c.check(
            "ZRANGE t 0 -1 WITHSCORES",
            "*4 $Palermo $3479099956230698 $Catania $3479447370796909",
        );
        c.check(
            "GEOSEARCHSTORE t g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST",
            ":2",
        );
        c.check(
            "ZRANGE t 0 -1 WITHSCORES",
            "*4 $Catania $56.441257870158204 $Palermo $190.44242984775784",
        );
        c.check("GEORADIUS g 15 37 300 km STORE t COUNT 2", ":2");
        c.check(
            "ZRANGE t 0 -1 WITHSCORES",
            "*4 $Palermo $3479099956230698 $Catania $3479447370796909",
        );
        c.check("GEORADIUSBYMEMBER g Palermo 100 km STOREDIST t", ":2");
        c.check(
            "ZRANGE t 0 -1 WITHSCORES",
            "*4 $Palermo $0 $edge1 $91.400658605814272",
        );
        c.check("GEORADIUS g 15 37 300 km STORE u STOREDIST t", ":3");
        c.check("EXISTS u", ":0");
        c.check("GEOSEARCHSTORE t g FROMLONLAT 0 0 BYRADIUS 1 m", ":0");
        c.check("EXISTS t", ":0");
        c.check("SET t v", "+OK");
        c.check("GEOSEARCHSTORE t g FROMMEMBER Palermo BYRADIUS 1 m", ":1");
        c.check("TYPE t", "+zset");
        c.check(
            "GEOSEARCHSTORE t nosuch FROMMEMBER Palermo BYRADIUS 1 m",
            ":0",
        );
        c.check("TYPE t", "+none");
        c.check("GEOSEARCHSTORE g g FROMMEMBER Palermo BYBOX 1 1 m", ":1");
        c.check("ZRANGE g 0 -1", "*1 $Palermo");
    });
}

#[test]
fn places_at_one_distance_come_in_the_order_of_redis() {
    on_both(|c| {
        for number in 0..60 {
            let (east, north) = [(0.1, 0.0), (-0.1, 0.0), (0.05, 0.0), (0.0, 0.0)][number % 4];
            let add = format!("GEOADD g {east} {north} place:{}", number * 7 % 60);
            c.check(&add, ":1");
        }
        let search = "GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 100 km";
        c.check(
            &format!("{search} COUNT 8"),
            "*8 $place:13 $place:17 $place:21 $place:25 $place:29 $place:33 $place:37 $place:41",
        );
        c.check(
            &format!("{search} COUNT 20 DESC"),
            "*20 $place:7 $place:0 $place:12 $place:16 $place:20 $place:24 $place:28 $place:32 $place:36 $place:4 $place:40 $place:44 $place:48 $place:52 $place:56 $place:8 $place:11 $place:15 $place:19 $place:23",
        );
    });
}
