// Every page, in every dress: usable by everybody, quiet on the console, no wider than the screen.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { tollway } from "./command_line";
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

const ADMIN = ["", "/purchases", "/grants", "/providers", "/costs", "/people"].map((page) => `/admin${page}`);

const DRESSES = (["light", "dark"] as const).flatMap((colorScheme) => [
  { name: `phone, ${colorScheme}`, colorScheme, viewport: { width: 390, height: 844 } },
  { name: `desk, ${colorScheme}`, colorScheme, viewport: { width: 1440, height: 900 } },
]);
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function look(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await ready(page);
  for (const { name, colorScheme, viewport } of DRESSES) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    expect(excess, `${path} is wider than the screen (${name})`).toBeLessThanOrEqual(0);
    const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
    const problems = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" · ")}`);
    expect(problems, `${path} (${name})`).toEqual([]);
  }
}

for (const path of OPEN) {
  test(`${path} is accessible to everybody`, async ({ page }) => look(page, path));
}

test("the pages of a new account are accessible to everybody", async ({ page }) => {
  test.slow();
  await signUp(page);
  for (const path of OWN) await look(page, path);
});

test("the pages of an account in use are accessible to everybody", async ({ page }) => {
  test.slow();
  const id = await useAll(page);
  await page.goto("/account/credits");
  const receipt = (await page.getByTestId("receipt-link").getAttribute("href"))!;
  for (const path of [...OWN, `/account/activity/${id}`, receipt, "/rankings"]) await look(page, path);
});

test("the operator's pages are accessible to everybody", async ({ page }) => {
  test.slow();
  const { email } = await signUp(page);
  await buyCredits(page);
  tollway("user", "create-admin", "--email", email);
  for (const path of ADMIN) await look(page, path);
});

/** Somebody new who has bought credits and used some of them; gives the id of the generation. */
async function useAll(page: Page): Promise<string> {
  await signUp(page);
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
  return id;
}
