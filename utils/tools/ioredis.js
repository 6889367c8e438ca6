// SPDX-License-Identifier: MIT
// ioredis: values, pipelines, streams, transactions, blocking pops, pub/sub, a server that is started again.
const { Redis } = require("ioredis");
const { check, equal, main, port, refused, until } = require("./checks");

const client = new Redis(port, { connectionName: "check", retryStrategy: () => 20 });
const other = new Redis(port, { retryStrategy: () => 20 });
let errors = 0;
for (const connection of [client, other]) connection.on("error", () => errors++);

const isBlocked = async () => (await client.info("clients")).includes("blocked_clients:1\r");

async function values() {
  equal("CLIENT GETNAME", await client.client("GETNAME"), "check");
  const bytes = Buffer.from([0, 255, 13, 10]);
  equal("SET of bytes", await client.set("key", bytes), "OK");
  check("GET of bytes", bytes.equals(await client.getBuffer("key")));
  equal("GET of nothing", await client.get("missing"), null);
  await refused("a list command on a string", client.lpush("key", "x"), /WRONGTYPE/);
  equal("LOG.WRITE", await client.call("LOG.WRITE", "log", "TS", "1000", "--", "hello"), "1000-0");
  equal("LOG.RANGE", await client.call("LOG.RANGE", "log", "-", "+"), [["1000-0", ["message", "hello"]]]);
  const keys = [];
  for await (const batch of client.scanStream({ count: 1 })) keys.push(...batch);
  equal("SCAN", [...new Set(keys)].sort(), ["key", "log"]);
}

async function streams() {
  const pipeline = client.pipeline();
  for (let n = 0; n < 1000; n++) pipeline.xadd("stream", `${n + 1}-0`, "message", `line ${n}`);
  const results = await pipeline.exec();
  equal("a pipeline of XADD", results, Array.from({ length: 1000 }, (_, n) => [null, `${n + 1}-0`]));
  const entries = await client.xrange("stream", "-", "+");
  equal("XRANGE", entries, Array.from({ length: 1000 }, (_, n) => [`${n + 1}-0`, ["message", `line ${n}`]]));
  const waiting = other.xread("BLOCK", 10000, "STREAMS", "stream", "$");
  await until("XREAD waits", isBlocked);
  await client.xadd("stream", "2000-0", "message", "wake");
  equal("XREAD BLOCK", await waiting, [["stream", [["2000-0", ["message", "wake"]]]]]);
  equal("XTRIM", await client.xtrim("stream", "MAXLEN", 5), 996);
}

async function lists() {
  equal("RPUSH", await client.rpush("list", 1, 2, 3), 3);
  equal("LRANGE", await client.lrange("list", 0, -1), ["1", "2", "3"]);
  const popping = other.blpop("empty", "queue", 10);
  await until("BLPOP waits", isBlocked);
  await client.rpush("queue", "job");
  equal("BLPOP of what comes", await popping, ["queue", "job"]);
  const many = other.blmpop(10, 2, "empty", "many", "RIGHT", "COUNT", 5);
  await until("BLMPOP waits", isBlocked);
  await client.rpush("many", 1, 2, 3);
  equal("BLMPOP", await many, ["many", ["3", "2", "1"]]);
  equal("BLPOP in vain", await client.blpop("empty", 0.01), null);
}

async function transactions() {
  equal("MULTI", await client.multi().set("a", "1").incr("a").get("a").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  const results = await client.multi().set("a", "x").incr("a").exec();
  check("MULTI with an error", results[0][1] === "OK" && /not an integer/.test(results[1][0].message), results);
  await other.watch("a");
  await client.set("a", "between");
  equal("WATCH", await other.multi().set("a", "lost").exec(), null);
  equal("WATCH: nothing was done", await client.get("a"), "between");
  const mixed = await client.pipeline().set("p", "1").lpush("p", "x").get("p").exec();
  check("a pipeline with an error", mixed[0][1] === "OK" && /WRONGTYPE/.test(mixed[1][0].message) && mixed[2][1] === "1", mixed);
}

async function messages(subscriber, heard) {
  subscriber.on("message", (channel, message) => heard.push([channel, message]));
  subscriber.on("pmessage", (pattern, channel, message) => heard.push([pattern, channel, message]));
  equal("SUBSCRIBE", [await subscriber.subscribe("news", "others"), await subscriber.psubscribe("n*")], [2, 3]);
  equal("PUBLISH", [await client.publish("news", "one"), await client.publish("nobody", "two")], [2, 1]);
  await until("messages come", () => heard.length === 3);
  equal("messages", heard, [["news", "one"], ["n*", "news", "one"], ["n*", "nobody", "two"]]);
  equal("UNSUBSCRIBE", await subscriber.unsubscribe("others"), 2);
}

async function monitor() {
  const seen = [];
  const monitoring = await client.monitor();
  monitoring.on("monitor", (time, words) => seen.push(words));
  await client.set("seen", "1");
  await until("MONITOR shows the command", () => seen.length > 0);
  equal("MONITOR", seen[0].map((word) => word.toLowerCase()), ["set", "seen", "1"]);
  monitoring.disconnect();
}

async function run() {
  const subscriber = new Redis(port, { retryStrategy: () => 20 });
  subscriber.on("error", () => {});
  const heard = [];
  await client.flushall();
  await values();
  await streams();
  await lists();
  await transactions();
  await messages(subscriber, heard);
  await monitor();
  equal("no error of the connection so far", errors, 0);

  await client.set("kept", "1");
  const queued = other.blpop("later", 30).catch((error) => error);
  await until("BLPOP waits", isBlocked);
  const last = new Redis(port, { retryStrategy: null });
  last.on("error", () => {});
  await last.call("SHUTDOWN").catch(() => {});
  equal("after a restart: what was written is there", await client.get("kept"), "1");
  equal("after a restart: the name is given again", await client.client("GETNAME"), "check");
  await until("after a restart: who listened listens again", async () => (await client.publish("news", "again")) === 2);
  await until("its messages come", () => heard.length >= 5);
  await client.rpush("later", "job");
  equal("after a restart: who waited waits again", await queued, ["later", "job"]);
}

main("ioredis", require("ioredis/package.json").version, run);
