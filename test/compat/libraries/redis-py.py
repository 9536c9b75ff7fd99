"""What redis-py does with a server: python3 redis-py.py PORT prints what it saw, as JSON.

redis-py.test.ts runs it on ringtier and on redis-server, and looks what is in the server.
"""

import json
import sys

import redis

port = int(sys.argv[1])
client = redis.Redis(host="127.0.0.1", port=port, decode_responses=True, client_name="redis-py")
binary = redis.Redis(host="127.0.0.1", port=port)
seen = {}


def failure(act):
    try:
        return act()
    except redis.RedisError as error:
        return f"{type(error).__name__}: {error}"


every_byte = bytes(range(256))
seen["ping"] = client.ping()
seen["name"] = client.client_getname()
binary.set(every_byte, every_byte * 1000)
seen["every byte"] = binary.get(every_byte) == every_byte * 1000
seen["missing"] = client.get("missing")
seen["set"] = [client.set("k", "ä", ex=100), client.set("k", "x", nx=True), client.get("k")]
seen["old value"] = client.set("k", "new", get=True, keepttl=True)
seen["ttl"] = 90 < client.ttl("k") <= 100
seen["counters"] = [client.incr("n"), client.incrby("n", 41), client.incrbyfloat("f", 1.5)]
seen["range"] = [client.append("k", "er"), client.getrange("k", 1, -1), client.strlen("k")]

many = {f"many:{i}": str(i) for i in range(300)}
client.mset(many)
seen["mget"] = client.mget(["many:7", "many:none", "many:299"])
seen["scan"] = sorted(client.scan_iter(match="many:*", count=50)) == sorted(many)
seen["delete"] = [client.delete("many:0", "many:none"), client.unlink("many:1", "many:2")]

with client.pipeline(transaction=False) as pipeline:
    for i in range(100):
        pipeline.set(f"piped:{i}", i).get(f"piped:{i}")
    pipeline.execute_command("GET")
    replies = pipeline.execute(raise_on_error=False)
seen["pipeline"] = [len(replies), replies[199], failure(lambda: str(replies[200]))]

with client.pipeline() as transaction:
    seen["transaction"] = transaction.set("t", 1).incr("t").get("t").execute()
with client.pipeline() as transaction:
    transaction.watch("t")
    client.set("t", "changed meanwhile")
    transaction.multi()
    seen["watch"] = failure(lambda: transaction.set("t", "lost").execute())
seen["optimistic"] = client.transaction(lambda pipe: pipe.multi() or pipe.incr("u"), "u")

channel = client.pubsub()
channel.subscribe("news")
channel.psubscribe("wea*")
heard = [channel.get_message(timeout=20) for _ in range(2)]
seen["receivers"] = [client.publish("news", "hello"), client.publish("weather", "rain")]
heard += [channel.get_message(timeout=20) for _ in range(2)]
seen["heard"] = heard
channel.close()

seen["errors"] = [
    failure(lambda: client.execute_command("NOSUCH", "a")),
    failure(lambda: client.incr("k")),
    failure(lambda: client.set("k", "v", ex=0)),
    failure(lambda: client.execute_command("GET")),
    failure(lambda: client.execute_command("SELECT", 99)),
]
other = redis.Redis(host="127.0.0.1", port=port, db=3)
other.set("where", "three")
seen["databases"] = [client.get("where"), other.dbsize(), other.flushdb(), other.dbsize()]
other.set("where", "three")
seen["info"] = [type(client.info()[name]).__name__ for name in ("used_memory", "redis_version")]
seen["keyspace"] = client.info("keyspace")["db3"]["keys"]
seen["config"] = client.config_get("maxclients")
seen["list"] = "redis-py" in [line["name"] for line in client.client_list()]
seen["time"] = len(client.time())
seen["object"] = client.object("encoding", "n")
seen["type"] = [client.type("n"), client.type("missing"), client.exists("n", "missing")]
seen["command"] = client.command()["get"]["arity"]
print(json.dumps(seen))
