// The operator's side: the `tollway` command beside the running server.
import { execFileSync } from "node:child_process";

/** Runs a command on the data of the server under test and gives what it printed; throws when it failed. */
export function tollway(...args: string[]): string {
  const { PATH, HOME, TOLLWAY_BIN, TOLLWAY_DATA_DIR } = process.env;
  return execFileSync(TOLLWAY_BIN!, args, { encoding: "utf8", env: { PATH, HOME, TOLLWAY_DATA_DIR, TOLLWAY_DEV: "1" } });
}
