// SPDX-License-Identifier: MIT
// node-redis in RESP2 and RESP3: values, pipelines, streams, transactions, blocking pops, pub/sub, caching, a server that
// is started again.
const { createClient, WatchError, BasicClientSideCache } = require("redis");
const { check, equal, main, port, refused, until } = require("./checks");

const url = `redis://127.0.0.1:${port}`;
let client, other, errors;

async function connect(options) {
  const made = createClient({ url, ...options });
  made.on("error", (error) => errors.push(String(error)));
  await made.connect();
  return made;
}

async function values() {
  equal("CLIENT GETNAME", await client.clientGetName(), "check");
  equal("SET", await client.set("key", "zürich\r\n"), "OK");
  equal("GET", await client.get("key"), "zürich\r\n");
  equal("GET of nothing", await client.get("missing"), null);
  equal("SET with GET and EX", await client.set("key", "new", { GET: true, EX: 100 }), "zürich\r\n");
  equal("TTL", await client.ttl("key"), 100);
  await refused("a list command on a string", client.lPush("key", "x"), /WRONGTYPE/);
  equal("CONFIG GET", { ...await client.configGet("appendfsync") }, { appendfsync: "everysec" });
  equal("LOG.WRITE", await client.sendCommand(["LOG.WRITE", "log", "TS", "1000", "--", "hello"]), "1000-0");
  equal("LOG.RANGE", await client.sendCommand(["LOG.RANGE", "log", "-", "+"]), [["1000-0", ["message", "hello"]]]);
  const keys = [];
  for await (const batch of client.scanIterator({ COUNT: 1 })) keys.push(...[].concat(batch));
  equal("SCAN", [...new Set(keys)].sort(), ["key", "log"]);
  equal("INFO", /redis_version:7\./.test(await client.info("server")), true);
}

async function streams() {
  const ids = await Promise.all(Array.from({ length: 1000 }, (_, n) =>
    client.xAdd("stream", `${n + 1}-0`, { message: `line ${n}` })));
  equal("a pipeline of XADD", ids, Array.from({ length: 1000 }, (_, n) => `${n + 1}-0`));
  const entries = await client.xRange("stream", "-", "+");
  equal("XRANGE", entries.map((entry) => entry.message.message), ids.map((_, n) => `line ${n}`));
  equal("XREVRANGE", (await client.xRevRange("stream", "+", "-", { COUNT: 1 }))[0].id, "1000-0");
  const info = await client.xInfoStream("stream");
  equal("XINFO STREAM", [info.length, info["last-generated-id"]], [1000, "1000-0"]);
  equal("XTRIM", await client.xTrim("stream", "MAXLEN", 10), 990);
  equal("XDEL", [await client.xDel("stream", "1000-0"), await client.xLen("stream")], [1, 9]);
  const waiting = other.xRead({ key: "stream", id: "$" }, { BLOCK: 10000 });
  await until("XREAD waits", async () => (await client.info("clients")).includes("blocked_clients:1\r"));
  await client.xAdd("stream", "2000-0", { message: "wake" });
  const woken = JSON.stringify(await waiting);
  check("XREAD BLOCK", woken.includes('"2000-0"') && woken.includes('"wake"'), woken);
  equal("XREAD BLOCK without an entry", await client.xRead({ key: "stream", id: "$" }, { BLOCK: 1 }), null);
}

async function lists() {
  equal("RPUSH", await client.rPush("list", ["a", "b", "c"]), 3);
  equal("LRANGE", await client.lRange("list", 0, -1), ["a", "b", "c"]);
  equal("BLPOP of what is there", { ...await client.blPop("list", 1) }, { key: "list", element: "a" });
  const popping = other.brPop(["empty", "queue"], 10);
  await until("BRPOP waits", async () => (await client.info("clients")).includes("blocked_clients:1\r"));
  await client.lPush("queue", "job");
  equal("BRPOP of what comes", { ...await popping }, { key: "queue", element: "job" });
  const moving = other.blMove("from", "to", "LEFT", "RIGHT", 10);
  await until("BLMOVE waits", async () => (await client.info("clients")).includes("blocked_clients:1\r"));
  await client.rPush("from", "moved");
  equal("BLMOVE", [await moving, await client.lRange("to", 0, -1)], ["moved", ["moved"]]);
  equal("BLPOP in vain", await client.blPop("empty", 0.01), null);
}

async function transactions() {
  equal("MULTI", await client.multi().set("a", "1").incr("a").get("a").exec(), ["OK", 2, "2"]);
  await refused("MULTI with an error", client.multi().set("a", "x").incr("a").exec(), /1 commands failed|not an integer/);
  equal("MULTI with an error: the others are done", await client.get("a"), "x");
  await other.watch("a");
  await client.set("a", "between");
  await refused("WATCH", other.multi().set("a", "lost").exec(), (error) => error instanceof WatchError);
  equal("WATCH: nothing was done", await client.get("a"), "between");
}

async function messages() {
  const subscriber = await client.duplicate().connect();
  const heard = [];
  await subscriber.subscribe("news", (message, channel) => heard.push([channel, message]));
  await subscriber.pSubscribe("n*", (message, channel) => heard.push(["n*", channel, message]));
  await subscriber.sSubscribe("shard", (message, channel) => heard.push([channel, message]));
  equal("PUBLISH", [await client.publish("news", "one"), await client.sPublish("shard", "two")], [2, 1]);
  await until("messages come", () => heard.length === 3);
  equal("SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE", heard, [["news", "one"], ["n*", "news", "one"], ["shard", "two"]]);
  equal("PUBSUB", [await client.pubSubChannels(), await client.pubSubNumPat()], [["news"], 1]);
  await subscriber.unsubscribe("news");
  await subscriber.pUnsubscribe();
  await subscriber.sUnsubscribe();
  equal("nobody listens", await client.publish("news", "unheard"), 0);
  equal("commands after that", String(await subscriber.get("a")), "between");
  await subscriber.close();
}

async function caching() {
  const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0 });
  const caching = await connect({ RESP: 3, clientSideCache: cache });
  await client.set("cached", "1");
  equal("client-side cache: a miss and a hit", [await caching.get("cached"), await caching.get("cached")], ["1", "1"]);
  equal("client-side cache: as it counts", [cache.stats().missCount, cache.stats().hitCount], [1, 1]);
  await client.set("cached", "2");
  await until("client-side cache: the old value goes", async () => (await caching.get("cached")) === "2");
  await client.flushAll();
  await until("client-side cache: all go with FLUSHALL", async () => (await caching.get("cached")) === null);
  await caching.close();
}

async function restart() {
  const subscriber = await client.duplicate().connect();
  const heard = [];
  subscriber.on("error", () => {});
  await subscriber.subscribe("after", (message) => heard.push(message));
  await client.set("kept", "1");
  await other.sendCommand(["SHUTDOWN"]).catch(() => {});
  // It does not send again what was on its way when the connection broke.
  const get = () => client.get("kept").catch(() => undefined);
  await until("the server answers again", async () => errors.length > 0 && (await get()) !== undefined);
  equal("after a restart: what was written is there", await get(), "1");
  await until("after a restart: who listened listens again", async () => (await client.publish("after", "again").catch(() => 0)) > 0);
  await until("its message comes", () => heard.includes("again"));
  equal("after a restart: the name is given again", await client.clientGetName(), "check");
  check("the end of the connection was told", errors.length > 0, errors);
  await subscriber.close();
}

async function run() {
  for (const RESP of [2, 3]) {
    console.log(`  -- RESP${RESP}`);
    errors = [];
    client = await connect({ RESP, name: "check" });
    other = await connect({ RESP });
    await client.flushAll();
    await values();
    await streams();
    await lists();
    await transactions();
    await messages();
    if (RESP === 3) await caching();
    equal("no error of the connection so far", errors, []);
    await restart();
    await other.close();
    await client.close();
  }
}

main("node-redis", require("redis/package.json").version, run);
