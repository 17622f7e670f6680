"""What applications do with a server, by redis-py: a leaderboard, a limit on
requests, a queue of jobs, sessions, and the users of a day.

tests/examples.rs runs it with the port of a server.
"""

import sys
import threading
import time

import redis

PORT = int(sys.argv[1])


def leaderboard(r):
    scores = {f"player:{i}": i * 10 for i in range(1, 101)}
    assert r.zadd("board", scores) == 100
    assert r.zincrby("board", 995, "player:1") == 1005.0
    top = r.zrevrange("board", 0, 2, withscores=True)
    # Redis-py has pairs as tuples or as lists, by protocol.
    assert [tuple(pair) for pair in top] == [
        ("player:1", 1005.0),
        ("player:100", 1000.0),
        ("player:99", 990.0),
    ], top
    assert r.zrevrank("board", "player:1") == 0
    assert r.zrevrank("board", "player:2") == 99
    assert r.zrevrank("board", "nobody") is None
    # A score counts only when it is better.
    assert r.zadd("board", {"player:1": 5}, gt=True, ch=True) == 0
    assert r.zadd("board", {"player:1": 2000}, gt=True, ch=True) == 1
    # Those around one player.
    rank = r.zrevrank("board", "player:50")
    around = r.zrange("board", rank - 1, rank + 1, desc=True)
    assert around == ["player:51", "player:50", "player:49"], around
    assert r.zcount("board", 500, "(600") == 10
    # Two seasons together.
    r.zadd("board:2", {"player:100": 5000, "newcomer": 1})
    assert r.zunionstore("board:all", ["board", "board:2"]) == 101
    assert r.zscore("board:all", "player:100") == 6000.0
    assert r.zremrangebyrank("board", 0, -11) == 90
    assert r.zcard("board") == 10


def limiter(r):
    """At most 5 requests in any 1,000 ms."""

    def allowed(user, now_ms):
        key = f"limit:{user}"
        pipe = r.pipeline()
        pipe.zremrangebyscore(key, "-inf", now_ms - 1000)
        pipe.zcard(key)
        pipe.pexpire(key, 60_000)
        _, used, _ = pipe.execute()
        if used >= 5:
            return False
        assert r.zadd(key, {f"request:{now_ms}": now_ms}) == 1
        return True

    start = 1_700_000_000_000
    assert [allowed("ann", start + i * 100) for i in range(7)] == [True] * 5 + [False] * 2
    assert allowed("bob", start)
    # The first one leaves the window after 1,000 ms, the next 100 ms later.
    assert not allowed("ann", start + 999)
    assert allowed("ann", start + 1000)
    assert not allowed("ann", start + 1001)
    assert allowed("ann", start + 1100)
    assert 0 < r.pttl("limit:ann") <= 60_000


def queue(r):
    """Workers take jobs; one dies with a job in its hands, one while it waits."""
    jobs = [f"job:{i}" for i in range(200)]

    # This one waits when there is nothing yet, and is gone before there is.
    waiting = redis.Redis(port=PORT, decode_responses=True)
    waiting.client_setname("gone")
    connection = waiting.connection_pool.get_connection("BLMOVE")
    connection.send_command("BLMOVE", "jobs", "working:gone", "RIGHT", "LEFT", "0")
    while not any(c["cmd"] == "blmove" for c in r.client_list()):
        time.sleep(0.005)
    connection.disconnect()
    while any(c["cmd"] == "blmove" for c in r.client_list()):
        time.sleep(0.005)

    # This one takes three and never finishes any.
    dead = redis.Redis(port=PORT, decode_responses=True)
    r.lpush("jobs", *jobs[:3])
    taken = [dead.blmove("jobs", "working:dead", 5, "RIGHT", "LEFT") for _ in range(3)]
    assert taken == jobs[:3], taken
    dead.close()

    def work(name):
        mine = redis.Redis(port=PORT, decode_responses=True)
        while (job := mine.blmove("jobs", f"working:{name}", 5, "RIGHT", "LEFT")) != "stop":
            pipe = mine.pipeline()
            pipe.hincrby("done", job, 1)
            pipe.lrem(f"working:{name}", 1, job)
            assert pipe.execute()[1] == 1
        mine.delete(f"working:{name}")

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for job in jobs[3:]:
        r.lpush("jobs", job)
    # What the dead one had goes to the head of the queue, as it came.
    for _ in range(3):
        assert r.lmove("working:dead", "jobs", "LEFT", "RIGHT") is not None
    assert r.lmove("working:dead", "jobs", "LEFT", "RIGHT") is None
    r.lpush("jobs", *["stop"] * 4)
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    assert r.hgetall("done") == {job: "1" for job in jobs}
    assert r.llen("jobs") == 0 and not r.keys("working:*")


def session(r):
    key = "session:5e5510"
    assert r.hset(key, mapping={"user": "ann", "cart": "2", "theme": "dark"}) == 3
    assert r.expire(key, 1800) is True and 1795 <= r.ttl(key) <= 1800
    assert r.hincrby(key, "cart", 3) == 5
    assert r.hget(key, "cart") == "5" and r.hget(key, "nothing") is None
    assert r.hmget(key, "user", "nothing", "theme") == ["ann", None, "dark"]
    # Changing it keeps its time.
    assert r.hdel(key, "theme") == 1 and 1795 <= r.ttl(key) <= 1800
    assert r.hgetall(key) == {"user": "ann", "cart": "5"}
    assert not r.hsetnx(key, "user", "eve")
    assert r.pexpire(key, 50) is True
    deadline = time.time() + 10
    while r.exists(key):
        assert time.time() < deadline, "the session does not end"
        time.sleep(0.01)
    assert r.hgetall(key) == {} and r.ttl(key) == -2


def daily_users(r):
    days = {"mon": range(0, 6000), "tue": range(3000, 9000), "wed": range(0, 12_000, 2)}
    for day, users in days.items():
        pipe = r.pipeline(transaction=False)
        for user in users:
            pipe.setbit(f"dau:{day}", user, 1)
        assert not any(pipe.execute()), "nobody was there before"
        r.pfadd(f"seen:{day}", *[f"user:{user}" for user in users])
        assert r.bitcount(f"dau:{day}") == 6000
        assert abs(r.pfcount(f"seen:{day}") - 6000) < 6000 * 0.04
    assert r.getbit("dau:mon", 5999) == 1 and r.getbit("dau:mon", 6000) == 0
    names = [f"dau:{day}" for day in days]
    everybody = set().union(*days.values())
    assert r.bitop("OR", "dau:any", *names) == 1500
    assert r.bitcount("dau:any") == len(everybody)
    both = set(days["mon"]) & set(days["tue"])
    r.bitop("AND", "dau:stayed", "dau:mon", "dau:tue")
    assert r.bitcount("dau:stayed") == len(both) == 3000
    assert r.bitpos("dau:tue", 1) == 3000
    estimate = r.pfcount(*[f"seen:{day}" for day in days])
    assert abs(estimate - len(everybody)) < len(everybody) * 0.04, estimate
    assert r.pfmerge("seen:any", *[f"seen:{day}" for day in days]) is True
    assert r.pfcount("seen:any") == estimate


for protocol in (2, 3):
    client = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
    client.flushall()
    for example in (leaderboard, limiter, queue, session, daily_users):
        example(client)
print("all went well")
