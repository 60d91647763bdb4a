// Models, endpoints, rankings, documents: open to everybody.
import { MODEL, expect, test } from "./site";

test("a model is found by name, and its page lists who runs it @no-script", async ({ page }) => {
  await page.goto("/models");
  await page.getByTestId("model-search").fill("llama 3.3 70b");
  await page.getByTestId("model-search").press("Enter");
  const row = page.locator('[data-testid="model-row"][data-slug="meta-llama/llama-3.3-70b-instruct"]');
  await expect(row).toBeVisible();
  await row.getByRole("link").first().click();
  await expect(page).toHaveURL(/meta-llama\/llama-3\.3-70b-instruct$/);
  await expect(page.getByTestId("model-slug")).toHaveText("meta-llama/llama-3.3-70b-instruct");
  expect(await page.getByTestId("endpoint-row").count()).toBeGreaterThanOrEqual(20);
});

test("the local model is listed @no-script", async ({ page }) => {
  await page.goto(`/${MODEL}`);
  await expect(page.getByTestId("model-slug")).toHaveText(MODEL);
  await expect(page.getByTestId("endpoint-row")).toHaveCount(1);
});

test("a search without a match says so @no-script", async ({ page }) => {
  await page.goto("/models?q=no-such-model-anywhere");
  await expect(page.getByTestId("model-row")).toHaveCount(0);
  await expect(page.getByTestId("model-count")).toContainText("0");
});

test("an address that is none of ours is a 404 with a way back @no-script", async ({ browser, baseURL }) => {
  // A context of its own, because the browser reports the 404 on the console.
  const context = await browser.newContext({ baseURL });
  const page = await context.newPage();
  for (const path of ["/no/such/page/at/all", "/nobody/no-such-model"]) {
    const response = await page.goto(path);
    expect(response?.status(), path).toBe(404);
    await expect(page.getByRole("main").getByRole("link").first()).toBeVisible();
  }
  await context.close();
});

test("the quickstart shows a first call with this site's address @no-script", async ({ page, baseURL }) => {
  await page.goto("/docs");
  await expect(page.getByRole("main")).toContainText(`${baseURL}/api/v1`);
  expect(await page.getByTestId("error-row").count()).toBeGreaterThan(10);
});
