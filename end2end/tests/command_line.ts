// The operator's side: the `tollway` command beside the running server.
import { execFileSync } from "node:child_process";

/** Runs a command on the data of the server under test and gives what it printed; throws when it failed. */
export function tollway(...args: string[]): string {
  return tollwayOn(process.env.TOLLWAY_DATA_DIR!, ...args);
}

/** The same on the data of another server. */
export function tollwayOn(dataDir: string, ...args: string[]): string {
  const { PATH, HOME, TOLLWAY_BIN } = process.env;
  const env = { PATH, HOME, TOLLWAY_DATA_DIR: dataDir, TOLLWAY_DEV: "1" };
  return execFileSync(TOLLWAY_BIN!, args, { encoding: "utf8", env });
}
