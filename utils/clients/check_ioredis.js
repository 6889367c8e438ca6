// SPDX-License-Identifier: MIT
// ioredis against a cordwood-server on CORDWOOD_PORT.
const assert = require("assert");
const { Redis } = require("ioredis");

const port = Number(process.env.CORDWOOD_PORT);

async function check() {
  const client = new Redis(port, { connectionName: "check" });
  const other = new Redis(port);

  await client.flushall();
  assert.equal(await client.client("GETNAME"), "check");
  const bytes = Buffer.from([0, 255, 13, 10]);
  assert.equal(await client.set("key", bytes), "OK");
  assert.deepEqual(await client.getBuffer("key"), bytes);
  await assert.rejects(client.lpush("key", "x"), /WRONGTYPE/);

  const pipeline = client.pipeline();
  for (let n = 0; n < 1000; n++) pipeline.xadd("stream", `${n + 1}-0`, "message", `line ${n}`);
  const results = await pipeline.exec();
  assert.deepEqual(results[999], [null, "1000-0"]);
  const entries = await client.xrange("stream", "-", "+");
  assert.equal(entries.length, 1000);
  assert.deepEqual(entries[0], ["1-0", ["message", "line 0"]]);

  const waiting = other.xread("BLOCK", 10000, "STREAMS", "stream", "$");
  while (!(await client.info("clients")).includes("blocked_clients:1\r")) { /* ask again */ }
  await client.xadd("stream", "2000-0", "message", "wake");
  assert.deepEqual(await waiting, [["stream", [["2000-0", ["message", "wake"]]]]]);

  assert.equal(await client.rpush("list", 1, 2, 3), 3);
  assert.deepEqual(await client.lrange("list", 0, -1), ["1", "2", "3"]);
  assert.equal(await client.call("LOG.WRITE", "log", "TS", "1000", "--", "hello"), "1000-0");
  assert.deepEqual(await client.call("LOG.RANGE", "log", "-", "+"), [["1000-0", ["message", "hello"]]]);
  const keys = [];
  for await (const batch of client.scanStream({ count: 1 })) keys.push(...batch);
  assert.deepEqual([...new Set(keys)].sort(), ["key", "list", "log", "stream"]);
  await client.quit();
  other.disconnect();
}

check().then(
  () => console.log(`ioredis ${require("ioredis/package.json").version}: fine`),
  (error) => { console.error(error); process.exit(1); });
