// The server under test. Playwright starts one for all journeys, on a free port, with a data folder of its own; tests find
// it by `baseURL` (also in TOLLWAY_BASE_URL), its data folder in TOLLWAY_DATA_DIR and its log in TOLLWAY_SERVER_LOG. A
// journey that needs a server for itself calls `startServer`.
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 15_000;

export interface Server {
  baseUrl: string;
  dataDir: string;
  log: string;
  process: ChildProcess;
  /** Ends it, gracefully if it can, and removes its data. */
  stop(): Promise<void>;
}

/** Playwright calls this before the first test, and what it returns after the last. */
export default async function globalSetup(): Promise<() => Promise<void>> {
  const server = await startServer("server");
  process.env.TOLLWAY_BASE_URL = server.baseUrl;
  process.env.TOLLWAY_DATA_DIR = server.dataDir;
  process.env.TOLLWAY_SERVER_LOG = server.log;
  return server.stop;
}

/** A server that answers. `settings` are further environment variables, `name` names its log in test-results. */
export async function startServer(name: string, settings: Record<string, string> = {}): Promise<Server> {
  const port = await freePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const dataDir = mkdtempSync(join(tmpdir(), "tollway-e2e-"));
  mkdirSync("test-results", { recursive: true });
  const log = join(process.cwd(), "test-results", `${name}.log`);
  const child = serve(log, {
    TOLLWAY_ADDR: `127.0.0.1:${port}`,
    TOLLWAY_DATA_DIR: dataDir,
    TOLLWAY_SITE_ROOT: required("TOLLWAY_SITE_ROOT"),
    TOLLWAY_DEV: "1",
    TOLLWAY_LOCAL_MODEL_URL: required("TOLLWAY_TEST_MODEL_URL"),
    ...settings,
  });
  const stop = async () => {
    await end(child);
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    await ready(child, `${baseUrl}/health`, log);
  } catch (error) {
    await stop();
    throw error;
  }
  return { baseUrl, dataDir, log, process: child, stop };
}

export const STRIPE_KEY = "sk_test_standin";

/** A stand-in of Stripe, as crates/fake-stripe describes it. */
export interface StandIn {
  /** With a slash at its end, as TOLLWAY_STRIPE_API_URL may be. */
  url: string;
  /** Makes something happen; answers with the object it happened to. */
  control(command: string, order: object): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts one that sends its events to `webhookUrl`, signed with each of `secrets`. */
export async function startStripe(webhookUrl: string, secrets: string[]): Promise<StandIn> {
  const url = `http://127.0.0.1:${await freePort()}/`;
  const signed = secrets.flatMap((secret) => ["--webhook-secret", secret]);
  const child = spawn(
    required("TOLLWAY_FAKE_STRIPE"),
    ["--addr", new URL(url).host, "--secret-key", STRIPE_KEY, "--webhook-url", webhookUrl, ...signed],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const control = async (command: string, order: object) => {
    const answer = await fetch(`${url}_control/${command}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(order),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`the stand-in refuses ${command}: ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  const stop = () => end(child);
  const deadline = Date.now() + START_LIMIT_MS;
  while (!(await fetch(`${url}_control/requests`).catch(() => undefined))?.ok) {
    if (Date.now() > deadline || hasEnded(child)) {
      await stop();
      throw new Error("the stand-in of Stripe does not start");
    }
    await sleep(50);
  }
  return { url, control, stop };
}

function serve(log: string, settings: Record<string, string>): ChildProcess {
  const output = openSync(log, "w");
  // Not the whole environment: a developer's provider keys or database must not find their way into a test.
  const { PATH, HOME, TMPDIR, RUST_LOG, RUST_BACKTRACE } = process.env;
  const child = spawn(required("TOLLWAY_BIN"), ["serve"], {
    stdio: ["ignore", output, output],
    env: { PATH, HOME, TMPDIR, RUST_LOG, RUST_BACKTRACE, ...settings },
  });
  closeSync(output);
  return child;
}

async function ready(child: ChildProcess, health: string, log: string): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS;
  let failure: Error | undefined;
  child.once("error", (error) => (failure = error));
  while (Date.now() < deadline) {
    if (failure || hasEnded(child)) {
      const reason = failure?.message ?? `ended with ${child.exitCode ?? child.signalCode}`;
      throw new Error(`the server ${reason}:\n${readFileSync(log, "utf8")}`);
    }
    const answer = await fetch(health).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(100);
  }
  throw new Error(`the server was not ready after ${START_LIMIT_MS} ms:\n${readFileSync(log, "utf8")}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
  await ended;
  clearTimeout(timer);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  return port;
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the journeys with \`cargo xtask test e2e\``);
  return value;
}
