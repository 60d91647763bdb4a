// Every page, in every dress: usable by everybody, quiet on the console, no wider than the screen.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { MODEL, buyCredits, createKey, expect, ready, signUp, test } from "./site";

const OPEN = [
  "/",
  "/models",
  "/models?q=llama",
  "/models?q=no-such-model-anywhere",
  "/meta-llama/llama-3.3-70b-instruct",
  `/${MODEL}`,
  "/rankings",
  "/chat",
  "/docs",
  "/sign-up",
  "/sign-in",
  "/sign-out",
  "/forgot",
  "/reset?token=x",
  "/verify?token=x",
  "/dev/mailbox",
];
const OWN = ["/account", "/account/credits", "/account/keys", "/account/activity", "/account/sessions", "/chat"];

const PHONE = { width: 390, height: 844 };
const DESK = { width: 1440, height: 900 };

async function look(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await ready(page);
  const width = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(width, `${path} is wider than the screen`).toBeLessThanOrEqual(0);
  const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
  const problems = found.violations.map(({ id, nodes }) => `${path}: ${id}: ${nodes.map((node) => node.html).join(" · ")}`);
  expect(problems).toEqual([]);
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const [name, viewport] of [["phone", PHONE], ["desk", DESK]] as const) {
    test.describe(`${name}, ${colorScheme}`, () => {
      test.use({ colorScheme, viewport });

      for (const path of OPEN) {
        test(`${path} is accessible to everybody`, async ({ page }) => look(page, path));
      }

      test("the pages of an account are accessible to everybody", async ({ page }) => {
        test.slow();
        await signUp(page);
        for (const path of OWN) await look(page, path);
        await buyCredits(page);
        const key = await createKey(page, "Laptop");
        const answer = await page.request.post("/api/v1/chat/completions", {
          headers: { authorization: `Bearer ${key}` },
          data: { model: MODEL, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] },
        });
        const { id } = (await answer.json()) as { id: string };
        await expect(async () => {
          await page.goto("/account/activity");
          await expect(page.locator(`[data-id="${id}"]`)).toBeVisible({ timeout: 500 });
        }).toPass();
        for (const path of [...OWN, `/account/activity/${id}`]) await look(page, path);
      });
    });
  }
}
