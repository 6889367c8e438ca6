// SPDX-License-Identifier: MIT
// redis-commander's page at COMMANDER_URL, in Debian's Chromium without a window: what a person sees and does there. The last
// view of the stream is kept as SCREENSHOT; PROFILE is an empty folder for the browser.
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");
const { createClient } = require("redis");
const { check, equal, main, port, until } = require("./checks");

// Without them Chromium looks up hosts of its maker at every start.
const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--disable-gpu", "--no-sandbox", "--disable-dev-shm-usage"];

let page, client;

const text = (selector) => page.locator(selector).innerText();
const rows = () => page.locator("#itemData tbody tr").evaluateAll((all) =>
  all.map((row) => [...row.children].slice(0, 4).map((cell) => cell.innerText.trim())));

// Clicks a key in the tree, where what stands before a colon is a folder.
async function open(key) {
  const node = (path) => page.locator(`[id="R:127.0.0.1:${port}:0:${path}"]`);
  const folder = key.includes(":") && node(key.replace(/[^:]*$/, ""));
  if (folder) await folder.waitFor();
  if (folder && (await folder.getAttribute("class")).includes("jstree-closed")) await folder.locator("> i.jstree-ocl").click();
  await node(key).locator("> a").click();
}

async function stream() {
  await open("logs:web");
  await page.locator("#itemData", { hasText: "Type: Stream" }).waitFor();
  check("a stream: its key and length", /Key: logs:web\b[^]*Type: Stream \(12 Entries\)/.test(await text("#itemData")), await text("#itemData"));
  equal("a stream: a row for each entry, with its ID and first field", await rows(), Array.from({ length: 12 }, (_, n) =>
    [`${n + 1}`, `${1001 + n}-0`, "message", `line ${n + 1} of the log`]));
}

async function addEntry() {
  await client.xAdd("logs:web", "2000-0", { message: "written while the page is open <b>&amp;</b>" });
  await open("queue");
  await page.locator("#itemData", { hasText: "Type: List" }).waitFor();
  await open("logs:web");
  await page.locator("#itemData", { hasText: "(13 Entries)" }).waitFor();
  const shown = await rows();
  check("a stream: an entry that came meanwhile", shown.some((row) => row[1] === "2000-0" && row[3] === "written while the page is open <b>&amp;</b>"), shown.slice(0, 2));
  await page.screenshot({ path: process.env.SCREENSHOT });
  check(`a screenshot is kept: ${path.relative(".", process.env.SCREENSHOT)}`, fs.statSync(process.env.SCREENSHOT).size > 10000);
}

async function deleteEntry() {
  page.once("dialog", (dialog) => dialog.accept());
  await page.locator("#itemData tbody tr", { hasText: "1003-0" }).first().locator("button.btn-remove").click();
  await until("XDEL", async () => (await client.xLen("logs:web")) === 12);
  equal("a stream: an entry deleted in the page is gone", await client.xRange("logs:web", "1003-0", "1003-0"), []);
}

async function others() {
  await open("queue");
  await page.locator("#itemData", { hasText: "Type: List" }).waitFor();
  equal("a list: its elements", (await rows()).map((row) => row.slice(0, 2)), [["0", "first"], ["1", "second"], ["2", "third"]]);
  await open("greeting");
  await page.locator("#stringValue").waitFor();
  equal("a string: its value", await page.locator("#stringValue").inputValue(), "hello");
  await page.locator("#stringValue").fill("changed in the page");
  await page.locator("#editStringForm button.btn-primary, #saveKeyButton").first().click();
  await until("SET", async () => (await client.get("greeting")) === "changed in the page");
  equal("a string: saved from the page", await client.get("greeting"), "changed in the page");
}

async function server() {
  await page.locator("#keyTree li.jstree-node > a").first().click();
  await page.locator("#body", { hasText: "Redis version" }).waitFor();
  const shown = await page.locator("#body tbody tr").evaluateAll((all) =>
    Object.fromEntries(all.map((row) => [...row.children].map((cell) => cell.innerText.trim()))));
  const info = Object.fromEntries((await client.info("all")).split("\r\n").map((line) => line.split(":")));
  for (const [name, field] of [["Redis version", "redis_version"], ["Maxclients", "maxclients"], ["Role", "role"], ["Aof enabled", "aof_enabled"]])
    equal(`the server's page: ${name}`, shown[name], info[field]);
  for (const name of ["Uptime in seconds", "Connected clients", "Used memory human", "Total commands processed"])
    check(`the server's page: ${name}`, /^[\d.]+M?$/.test(shown[name] ?? ""), shown);
}

async function commandLine() {
  await page.locator("#commandLine").click();
  await page.keyboard.type("XRANGE logs:web 1001-0 1001-0\n");
  await page.locator("#commandLineOutput", { hasText: "line 1 of the log" }).waitFor();
  const shown = (await text("#commandLineOutput")).replaceAll("\u00a0", " ");
  check("its command line: XRANGE", shown.includes('{"id":"1001-0","data":{"message":"line 1 of the log","level":"info"}}'), shown);
}

async function run() {
  client = await createClient({ socket: { port } }).connect();
  await client.flushAll();
  for (let n = 1; n <= 12; n++) await client.xAdd("logs:web", `${1000 + n}-0`, { message: `line ${n} of the log`, level: "info" });
  await client.rPush("queue", ["first", "second", "third"]);
  await client.set("greeting", "hello");

  const browser = await chromium.launchPersistentContext(process.env.PROFILE, { executablePath: "/usr/bin/chromium", headless: true, args: QUIET });
  try {
    page = await browser.newPage();
    page.setDefaultTimeout(15000);
    await page.setViewportSize({ width: 1200, height: 800 });
    const broken = [];
    page.on("pageerror", (error) => broken.push(String(error)));
    await page.goto(process.env.COMMANDER_URL);
    await page.locator("#keyTree li.jstree-node").first().waitFor(); // it signs in and loads itself once more before that
    equal("the page's title", await page.title(), "Redis Commander: Home");
    await stream();
    await addEntry();
    await deleteEntry();
    await others();
    await server();
    await commandLine();
    equal("no error of the page's scripts", broken, []);
  } catch (error) {
    await page?.screenshot({ path: process.env.SCREENSHOT.replace(".png", "-failed.png") }).catch(() => {});
    throw error;
  } finally {
    await browser.close();
  }
}

main("redis-commander", require("redis-commander/package.json").version, run);
