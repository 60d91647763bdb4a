// The chat in the browser, with the real model.
import { MODEL, buyCredits, dollars, expect, ready, shortAnswers, signUp, test } from "./site";

test("an answer streams in, with what it cost", async ({ page }) => {
  await signUp(page);
  await buyCredits(page);
  await shortAnswers(page);
  await page.goto(`/chat?model=${MODEL}`);
  await ready(page);
  await page.getByTestId("chat-input").fill("What is the capital of France?");
  await page.getByTestId("chat-input").press("Enter");
  await expect(page.getByTestId("chat-question")).toHaveText("What is the capital of France?");
  const answer = page.getByTestId("chat-answer");
  await expect(answer).toHaveAttribute("data-state", "done", { timeout: 60_000 });
  const said = (await answer.getByTestId("chat-text").innerText()).trim();
  expect(said).not.toBe("");
  const cost = dollars(await answer.getByTestId("chat-cost").innerText());
  expect(cost).toBeGreaterThan(0);

  await answer.getByRole("link", { name: "details" }).click();
  await expect(page).toHaveURL(/\/account\/activity\/gen-/);
  expect(dollars(await page.getByTestId("generation-cost").innerText())).toBe(cost);

  await page.goto("/chat");
  await expect(page.getByTestId("chat-text"), "the talk is remembered").toContainText(said.slice(0, 20));
  await page.getByTestId("chat-clear").click();
  await expect(page.getByTestId("chat-answer")).toHaveCount(0);
});

test("an answer can be stopped, and what had come is charged", async ({ page }) => {
  await signUp(page);
  await buyCredits(page);
  await page.goto(`/chat?model=${MODEL}`);
  await ready(page);
  await page.getByTestId("chat-input").fill("Write a very long story about a lighthouse and the sea.");
  await page.getByTestId("chat-send").click();
  const answer = page.getByTestId("chat-answer");
  await expect(answer.getByTestId("chat-text")).not.toBeEmpty({ timeout: 60_000 });
  await page.getByTestId("chat-stop").click();
  await expect(answer).toHaveAttribute("data-state", "stopped");
  const said = await answer.getByTestId("chat-text").innerText();
  await expect(answer.getByTestId("chat-cost")).toBeVisible();
  expect(dollars(await answer.getByTestId("chat-cost").innerText())).toBeGreaterThan(0);
  expect(await answer.getByTestId("chat-text").innerText(), "nothing comes after the stop").toBe(said);
});

test("nobody in particular is shown the way in @no-script", async ({ page }) => {
  await page.goto("/chat");
  await expect(page.getByTestId("chat-gate")).toBeVisible();
});
