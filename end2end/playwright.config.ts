// Journeys through a real server in a real browser. `cargo xtask test e2e` builds what they need and sets the environment
// that server.ts reads.
import { defineConfig, devices } from "@playwright/test";

// A test tagged with this also runs in a browser without JavaScript, where every page has to work too.
const WITHOUT_SCRIPT = /@no-script/;

export default defineConfig({
  testDir: ".",
  testMatch: "**/*.spec.ts",
  outputDir: "test-results/artifacts",
  globalSetup: "./server.ts",
  // The tests share one server with a small model behind it.
  workers: 2,
  forbidOnly: !!process.env.CI,
  // A machine with two cores runs the server, the model and the browsers at once: what passes only the second time is
  // reported as flaky, and does not fail the run.
  retries: process.env.CI ? 1 : 0,
  timeout: 120_000,
  expect: { timeout: 20_000 },
  reporter: [[process.env.CI ? "list" : "line"], ["json", { outputFile: "test-results/report.json" }]],
  use: {
    ...devices["Desktop Chrome"],
    baseURL: process.env.TOLLWAY_BASE_URL,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
      // The first two for containers; the others keep the browser from calling home.
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
  projects: [
    { name: "script" },
    { name: "no-script", grep: WITHOUT_SCRIPT, use: { javaScriptEnabled: false } },
  ],
});
