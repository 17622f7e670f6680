"""What applications do with a server, through redis-py. Argument: the port."""
import sys
import time

import redis

r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)


def leaderboard():
    r.zadd("board", {"ann": 10, "bob": 30, "cid": 20})
    r.zincrby("board", 25, "ann")
    assert r.zrevrange("board", 0, 1, withscores=True) == [("ann", 35.0), ("bob", 30.0)]
    assert r.zrevrank("board", "cid") == 2
    assert r.zcount("board", 20, 30) == 2


def allowed(user, limit, window_ms):
    """One request more, if fewer than `limit` came within the window."""
    key, now_ms = f"limit:{user}", time.time_ns() // 1_000_000
    with r.pipeline(transaction=True) as pipe:
        pipe.zremrangebyscore(key, 0, now_ms - window_ms)
        pipe.zcard(key)
        pipe.pexpire(key, window_ms)
        count = pipe.execute()[1]
    if count >= limit:
        return False
    r.zadd(key, {f"{time.time_ns()}": now_ms})
    return True


def limiter():
    assert [allowed("eve", 3, 1500) for _ in range(5)] == [True] * 3 + [False] * 2
    time.sleep(1.6)
    assert allowed("eve", 3, 1500)


def queue():
    for job in range(10):
        r.lpush("jobs", job)
    done = []
    for _ in range(4):
        job = r.blmove("jobs", "working", 1, "RIGHT", "LEFT")
        done.append(job)
        r.lrem("working", 1, job)
    # A worker takes a job and dies with it; another one brings it back.
    lost = r.blmove("jobs", "working", 1, "RIGHT", "LEFT")
    assert r.lrange("working", 0, -1) == [lost]
    while r.lmove("working", "jobs", "LEFT", "RIGHT"):
        pass
    while job := r.blmove("jobs", "working", 0.1, "RIGHT", "LEFT"):
        done.append(job)
        r.lrem("working", 1, job)
    assert done == [str(job) for job in range(10)] and not r.exists("jobs", "working")


def consume(consumer, count):
    """Reads for a consumer and acknowledges; gives what was ordered."""
    orders = []
    for _, entries in r.xreadgroup("workers", consumer, {"orders": ">"}, count=count, block=50):
        for id, fields in entries:
            orders.append(int(fields["order"]))
            assert r.xack("orders", "workers", id) == 1
    return orders


def orders():
    r.xgroup_create("orders", "workers", id="$", mkstream=True)
    for order in range(20):
        r.xadd("orders", {"order": order})
    done = consume("ann", 5) + consume("bob", 5)
    # A consumer reads and dies; another one claims what it had.
    assert len(r.xreadgroup("workers", "cid", {"orders": ">"}, count=5)[0][1]) == 5
    done += consume("ann", 100)
    assert r.xpending("orders", "workers")["consumers"] == [{"name": "cid", "pending": 5}]
    _, claimed, deleted = r.xautoclaim("orders", "workers", "bob", min_idle_time=0)
    for id, fields in claimed:
        done.append(int(fields["order"]))
        assert r.xack("orders", "workers", id) == 1
    assert sorted(done) == list(range(20)) and deleted == []
    assert r.xpending("orders", "workers")["pending"] == 0
    assert [group["lag"] for group in r.xinfo_groups("orders")] == [0]


def session():
    r.hset("session:1", mapping={"user": "ann", "cart": "3"})
    r.expire("session:1", 100)
    assert r.hincrby("session:1", "cart", 2) == 5
    assert r.hgetall("session:1") == {"user": "ann", "cart": "5"} and r.ttl("session:1") > 90
    r.pexpire("session:1", 1)
    time.sleep(0.01)
    assert not r.exists("session:1")


def daily_users():
    for day, users in enumerate([[1, 5, 9], [5, 9, 100_000], [9]]):
        for user in users:
            r.setbit(f"day:{day}", user, 1)
            r.pfadd("unique", user)
    assert r.bitcount("day:1") == 3
    assert r.bitop("AND", "every", "day:0", "day:1", "day:2") == 12501
    assert (r.bitcount("every"), r.bitpos("every", 1), r.pfcount("unique")) == (1, 9, 4)


for application in (leaderboard, limiter, queue, orders, session, daily_users):
    application()
print("all went well")
