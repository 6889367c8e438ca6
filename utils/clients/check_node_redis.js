// SPDX-License-Identifier: MIT
// node-redis against a cordwood-server on CORDWOOD_PORT, in RESP2 and RESP3.
const assert = require("assert");
const { createClient } = require("redis");

const url = `redis://127.0.0.1:${process.env.CORDWOOD_PORT}`;

async function check(protocol) {
  const client = createClient({ url, RESP: protocol, name: "check" });
  client.on("error", (error) => { throw error; });
  await client.connect();
  const other = await client.duplicate().connect();

  await client.flushAll();
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.clientGetName(), "check");
  assert.equal(await client.set("key", "zürich\r\n"), "OK");
  assert.equal(await client.get("key"), "zürich\r\n");
  assert.equal(await client.get("missing"), null);
  await assert.rejects(client.lPush("key", "x"), /WRONGTYPE/);

  const ids = await Promise.all(Array.from({ length: 1000 }, (_, n) =>
    client.xAdd("stream", `${n + 1}-0`, { message: `line ${n}` })));
  assert.equal(ids[999], "1000-0");
  const entries = await client.xRange("stream", "-", "+");
  assert.equal(entries.length, 1000);
  assert.equal(entries[999].message.message, "line 999");
  assert.equal((await client.xInfoStream("stream")).length, 1000);
  assert.equal(await client.xTrim("stream", "MAXLEN", 10), 990);

  const waiting = other.xRead({ key: "stream", id: "$" }, { BLOCK: 10000 });
  while (!(await client.info("clients")).includes("blocked_clients:1\r")) { /* ask again */ }
  await client.xAdd("stream", "2000-0", { message: "wake" });
  const woken = await waiting;
  assert.ok(JSON.stringify(woken).includes("2000-0"), JSON.stringify(woken));

  assert.equal(await client.rPush("list", ["a", "b", "c"]), 3);
  assert.deepEqual(await client.lRange("list", 0, -1), ["a", "b", "c"]);
  assert.equal(await client.sendCommand(["LOG.WRITE", "log", "TS", "1000", "--", "hello"]), "1000-0");
  assert.deepEqual(await client.sendCommand(["LOG.RANGE", "log", "-", "+"]),
    [["1000-0", ["message", "hello"]]]);
  const keys = [];
  for await (const batch of client.scanIterator()) keys.push(...[].concat(batch));
  assert.deepEqual(keys.sort(), ["key", "list", "log", "stream"]);
  await other.close();
  await client.close();
}

check(2).then(() => check(3)).then(
  () => console.log(`node-redis ${require("redis/package.json").version}: fine`),
  (error) => { console.error(error); process.exit(1); });
