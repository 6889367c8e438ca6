// SPDX-License-Identifier: MIT
// What the checks of npm packages share. The server is on CORDWOOD_PORT; whoever started the check starts it again
// when it has ended (supervised.py).
const assert = require("assert");

let count = 0;

function passed(what) {
  count++;
  console.log(`  ${what}`);
}

exports.port = Number(process.env.CORDWOOD_PORT);

exports.check = (what, holds, detail) => {
  assert.ok(holds, `${what}: ${JSON.stringify(detail)}`);
  passed(what);
};

exports.equal = (what, got, want) => {
  const plain = (value) => JSON.stringify([value]);
  assert.equal(plain(got), plain(want), `${what}\n  got  ${plain(got)}\n  want ${plain(want)}`);
  passed(what);
};

exports.refused = async (what, promise, pattern) => {
  await assert.rejects(promise, pattern, what);
  passed(what);
};

exports.until = async (what, condition) => {
  for (const end = Date.now() + 20000; !(await condition());) {
    assert.ok(Date.now() < end, `not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

exports.main = (name, version, run) => run().then(
  () => { console.log(`${name} ${version}: ${count} checks`); process.exit(0); },
  (error) => { console.log("  FAILED:", error); process.exit(1); });
