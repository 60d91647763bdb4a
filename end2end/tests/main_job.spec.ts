// The main job: from nothing to a streamed, exactly charged answer.
import OpenAI from "openai";
import { tollway } from "./command_line";
import { MODEL, buyCredits, createKey, dollars, expect, keyRow, signUp, test } from "./site";

test("sign up, buy credits, create a key, stream an answer, see the charge @no-script", async ({ page, baseURL }) => {
  await signUp(page);
  await buyCredits(page);
  await page.goto("/account");
  await expect(page.getByTestId("balance")).toHaveText("$10.00");

  const key = await createKey(page, "Laptop");
  const answer = await stream(`${baseURL}/api/v1`, key);
  expect(answer.text.trim()).not.toBe("");
  expect(answer.cost).toBeGreaterThan(0);

  const row = page.locator(`[data-testid="activity-row"][data-id="${answer.id}"]`);
  await expect(async () => {
    await page.goto("/account/activity");
    await expect(row).toBeVisible({ timeout: 500 });
  }).toPass();
  expect(dollars(await row.getByTestId("activity-cost").innerText())).toBe(answer.cost);
  await expect(row).toContainText("Laptop");
  await expect(row.getByTestId("activity-completion")).toHaveText(String(answer.completionTokens));

  await row.getByRole("link").first().click();
  await expect(page).toHaveURL(new RegExp(`/account/activity/${answer.id}$`));
  expect(dollars(await page.getByTestId("generation-cost").innerText())).toBe(answer.cost);
  await expect(page.getByTestId("cost-check")).toBeVisible();

  await page.goto("/account/credits");
  expect(dollars(await page.getByTestId("used").innerText())).toBe(answer.cost);
  await page.goto("/account/keys");
  expect(dollars(await keyRow(page, "Laptop").getByTestId("key-used").innerText())).toBe(answer.cost);
  await expect(page.getByTestId("key-secret")).toHaveCount(0);

  await page.goto("/rankings");
  const rank = page.locator(`[data-testid="rank-row"][data-slug="${MODEL}"]`);
  const tokens = Number((await rank.getByTestId("rank-tokens").innerText()).replace(/\D/g, ""));
  expect(tokens).toBeGreaterThanOrEqual(answer.totalTokens);

  // Fails unless all balances agree with their entries and every charge with its generation.
  tollway("ledger", "verify");
});

interface Answer {
  id: string;
  text: string;
  cost: number;
  completionTokens: number;
  totalTokens: number;
}

/** OpenAI's own client, unchanged. */
async function stream(baseURL: string, apiKey: string): Promise<Answer> {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const chunks = await client.chat.completions.create({
    model: MODEL,
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    max_tokens: 30,
    messages: [{ role: "user", content: "What is the capital of France?" }],
  });
  const answer: Answer = { id: "", text: "", cost: 0, completionTokens: 0, totalTokens: 0 };
  let count = 0;
  for await (const chunk of chunks) {
    count += 1;
    answer.id = chunk.id;
    answer.text += chunk.choices[0]?.delta.content ?? "";
    if (chunk.usage) {
      answer.completionTokens = chunk.usage.completion_tokens;
      answer.totalTokens = chunk.usage.total_tokens;
      answer.cost = (chunk.usage as { cost?: number }).cost ?? 0;
    }
  }
  expect(count, "the answer came in pieces").toBeGreaterThan(3);
  return answer;
}

test("a checkout that is cancelled charges and credits nothing @no-script", async ({ page }) => {
  await signUp(page);
  await page.goto("/account/credits");
  await page.getByTestId("buy-other").check();
  await page.getByTestId("buy-amount").fill("12.34");
  await page.getByTestId("buy-submit").click();
  await expect(page.getByRole("heading", { name: "$12.34" })).toBeVisible();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByTestId("purchase-outcome")).toContainText("nothing was charged");
  await expect(page.getByTestId("balance")).toHaveText("$0.00");
});

test("an amount that cannot be bought is refused with the reason @no-script", async ({ page }) => {
  await signUp(page);
  for (const [amount, reason] of [
    ["1", "Between"],
    ["20.001", "Whole cents"],
    ["lots", "dollars"],
  ]) {
    await page.goto("/account/credits");
    await page.getByTestId("buy-other").check();
    await page.getByTestId("buy-amount").fill(amount);
    await page.getByTestId("buy-submit").click();
    await expect(page.getByTestId("form-error")).toContainText(reason);
  }
});
