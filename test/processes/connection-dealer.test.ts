import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type ConnectionDealer,
  type ConnectionTaker,
  connectionDealer,
} from "../../src/processes/connection-dealer.ts";

/** Says its name to whoever it takes; as told, it refuses, or is stuck before it can do either. */
const CHILD = `
const [, , name, manner] = process.argv;
process.on("message", ({ offered }, connection) => {
  if (manner === "hangs") {
    process.send({ hung: offered });
    for (;;);
  }
  process.send({ answered: offered, isTaken: manner === "takes" });
  if (manner === "takes") connection.on("data", (data) => connection.end(name + " got " + data));
  else connection.destroy();
});
process.send({ ready: true });
`;

let folder = "";
let dealer: ConnectionDealer;
let port = 0;
const children: ChildProcess[] = [];
const clients: Socket[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-dealer-"));
  await writeFile(join(folder, "child.cjs"), CHILD);
  dealer = connectionDealer();
  ({ port } = await dealer.listen("127.0.0.1", 0));
});
afterEach(async () => {
  dealer.close();
  for (const client of clients.splice(0)) client.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function start(
  name: string,
  manner: "takes" | "hangs" | "refuses",
): Promise<{ readonly taker: ConnectionTaker; readonly child: ChildProcess }> {
  const child = fork(join(folder, "child.cjs"), [name, manner]);
  children.push(child);
  await once(child, "message");
  const taker: ConnectionTaker = {
    offer(id, connection) {
      if (child.connected) child.send({ offered: id }, connection, { keepOpen: true }, () => {});
    },
  };
  child.on("message", (message: { answered?: number; isTaken?: boolean }) => {
    if (message.answered !== undefined) dealer.answered(message.answered, message.isTaken!);
  });
  child.once("exit", () => {
    if (child.connected) child.once("disconnect", () => dealer.gone(taker));
    else dealer.gone(taker);
  });
  return { taker, child };
}

/** What a client that sends `text` gets until its connection ends. */
async function ask(text: string): Promise<string> {
  const client = connect(port, "127.0.0.1");
  clients.push(client);
  client.setEncoding("utf8");
  let answer = "";
  client.on("data", (data) => {
    answer += data;
  });
  client.on("error", () => {});
  client.write(text);
  await new Promise((resolve) => client.once("close", resolve));
  return answer;
}

describe("a dealer of connections", () => {
  it("deals them out in turn", async () => {
    for (const name of ["a", "b"]) dealer.join((await start(name, "takes")).taker);
    const answers: string[] = [];
    for (let i = 0; i < 6; i++) answers.push((await ask("hi")).slice(0, 1));
    expect(answers.filter((name) => name === "a")).toHaveLength(3);
    expect(answers.filter((name) => name === "b")).toHaveLength(3);
    expect(dealer.waiting).toBe(0);
  });

  it("gives another process what a process did not take before it was killed, whole", async () => {
    const hanging = await start("a", "hangs");
    dealer.join(hanging.taker);
    const hung = once(hanging.child, "message");
    const answers = Array.from({ length: 5 }, (_, i) => ask(`request ${i}`));
    await hung;
    dealer.join((await start("b", "takes")).taker);
    hanging.child.kill("SIGKILL");
    expect(await Promise.all(answers)).toEqual([0, 1, 2, 3, 4].map((i) => `b got request ${i}`));
  });

  it("gives another process what a process refuses that is about to end", async () => {
    const leaving = await start("a", "refuses");
    dealer.join(leaving.taker);
    const answer = ask("hi");
    await once(leaving.child, "message");
    dealer.pause(leaving.taker);
    dealer.join((await start("b", "takes")).taker);
    expect(await answer).toBe("b got hi");
  });

  it("lets connections wait while there is no process", async () => {
    const answers = [ask("1"), ask("2")];
    while (dealer.waiting < 2) await new Promise((resolve) => setImmediate(resolve));
    dealer.join((await start("a", "takes")).taker);
    expect(await Promise.all(answers)).toEqual(["a got 1", "a got 2"]);
  });

  it("ends the connections that nobody took when it closes", async () => {
    const answer = ask("1");
    while (dealer.waiting < 1) await new Promise((resolve) => setImmediate(resolve));
    dealer.close();
    expect(await answer).toBe("");
  });
});
