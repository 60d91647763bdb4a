// The life of an API key.
import type { APIRequestContext } from "@playwright/test";
import { MODEL, buyCredits, createKey, expect, keyRow, signUp, test } from "./site";

async function call(request: APIRequestContext, key: string): Promise<{ status: number; message: string }> {
  const response = await request.post("/api/v1/chat/completions", {
    headers: { authorization: `Bearer ${key}` },
    data: { model: MODEL, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] },
  });
  const body = (await response.json()) as { error?: { message: string } };
  return { status: response.status(), message: body.error?.message ?? "" };
}

test("a disabled key is refused at once, and works again when enabled @no-script", async ({ page, request }) => {
  await signUp(page);
  await buyCredits(page);
  const key = await createKey(page, "Server");
  expect(await call(request, key)).toEqual({ status: 200, message: "" });

  const row = keyRow(page, "Server");
  await row.getByTestId("key-toggle").click();
  await expect(row.getByTestId("key-toggle")).toHaveText("Enable");
  await expect(async () => {
    const refused = await call(request, key);
    expect(refused.status).toBe(401);
    expect(refused.message).toContain("disabled");
  }).toPass();

  await row.getByTestId("key-toggle").click();
  await expect(row.getByTestId("key-toggle")).toHaveText("Disable");
  await expect(async () => expect((await call(request, key)).status).toBe(200)).toPass();
});

test("a deleted key is gone from the list and unknown to the API @no-script", async ({ page, request }) => {
  await signUp(page);
  await buyCredits(page);
  const key = await createKey(page, "Old");
  const row = keyRow(page, "Old");
  await row.getByTestId("key-delete").click();
  await row.getByTestId("key-delete-confirm").click();
  await expect(row).toHaveCount(0);
  await expect(async () => expect((await call(request, key)).status).toBe(401)).toPass();
});

test("a key is renamed and given a limit that holds @no-script", async ({ page, request }) => {
  await signUp(page);
  await buyCredits(page);
  const key = await createKey(page, "Draft");
  const row = keyRow(page, "Draft");
  await row.getByTestId("key-edit").click();
  await row.getByTestId("key-change-name").fill("Final");
  await row.getByTestId("key-change-limit").fill("0.00001");
  await row.getByTestId("key-save").click();
  const renamed = keyRow(page, "Final");
  await expect(renamed).toContainText("0.00001");
  await expect(async () => {
    const refused = await call(request, key);
    expect(refused.status).toBe(402);
    expect(refused.message).toContain("limit");
  }).toPass();
});

test("without credits a call is refused with 402, with them it works @no-script", async ({ page, request }) => {
  await signUp(page);
  const key = await createKey(page, "Eager");
  expect((await call(request, key)).status).toBe(402);
  await buyCredits(page);
  await expect(async () => expect((await call(request, key)).status).toBe(200)).toPass();
});

test("a spending limit of the account holds for all its keys, until it is lifted @no-script", async ({ page, request }) => {
  await signUp(page);
  await buyCredits(page);
  const keys = [await createKey(page, "One"), await createKey(page, "Two")];
  for (const [limit, status] of [
    ["0.00000001", 402],
    ["", 200],
  ] as const) {
    await page.goto("/account/credits");
    await page.getByTestId("budget-limit").fill(limit);
    await page.getByTestId("budget-save").click();
    await expect(page.getByTestId("form-done")).toContainText("limit is saved");
    for (const key of keys) await expect(async () => expect((await call(request, key)).status).toBe(status)).toPass();
  }
});
