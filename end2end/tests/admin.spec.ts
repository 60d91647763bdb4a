// The operator's pages.
import { randomBytes } from "node:crypto";
import { tollway } from "./command_line";
import { MODEL, buyCredits, createKey, expect, signIn, signOut, signUp, test } from "./site";

const PAGES = ["", "/purchases", "/grants", "/providers", "/costs", "/people"].map((page) => `/admin${page}`);

test("an administrator sees people, and the proof that the books balance @no-script", async ({ page }) => {
  const { email } = await signUp(page);
  await buyCredits(page);
  tollway("user", "create-admin", "--email", email);
  await page.goto("/admin");
  await expect(page.getByTestId("books-proof")).toBeVisible();
  await expect(page.getByTestId("books-difference")).toHaveCount(0);
  await expect(page.getByTestId("books-sum")).toHaveText("$0.00");
  await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "People" }).click();
  await expect(page.getByTestId("user-row").filter({ hasText: email })).toBeVisible();
});

test("credits are granted, and redeemed by code, once each @no-script", async ({ page }) => {
  const person = await signUp(page);
  await signOut(page);
  const operator = await signUp(page);
  tollway("user", "create-admin", "--email", operator.email);

  await page.goto("/admin/grants");
  await page.getByTestId("grant-email").fill("nobody@example.org");
  await page.getByTestId("grant-amount").fill("3");
  await page.getByTestId("grant-note").fill("Welcome");
  await page.getByTestId("grant-submit").click();
  await expect(page.getByTestId("form-error")).toContainText("Nobody");
  await page.getByTestId("grant-email").fill(person.email);
  await page.getByTestId("grant-amount").fill("3");
  await page.getByTestId("grant-days").fill("30");
  await page.getByTestId("grant-note").fill("Welcome");
  await page.getByTestId("grant-submit").click();
  await expect(page.getByTestId("grant-row").filter({ hasText: person.email })).toContainText("$3.00");

  await page.getByTestId("code-label").fill("Meeting");
  await page.getByTestId("code-amount").fill("2");
  await page.getByTestId("code-uses").fill("1");
  await page.getByTestId("code-submit").click();
  const code = await page.getByTestId("code-secret").innerText();
  await page.reload();
  await expect(page.getByTestId("code-secret")).toHaveCount(0);

  await signOut(page);
  await signIn(page, person);
  await expect(page).not.toHaveURL(/sign-in/);
  await page.goto("/account/credits");
  await expect(page.getByTestId("promotional")).toHaveText("$3.00");
  await page.getByTestId("redeem-code").fill(code.toLowerCase());
  await page.getByTestId("redeem-submit").click();
  await expect(page.getByTestId("form-done")).toContainText("redeemed");
  await expect(page.getByTestId("balance")).toHaveText("$5.00");
  await expect(page.getByTestId("lot-row")).toHaveCount(2);
  await expect(page.getByTestId("lot-row").first()).toContainText("$3.00");
  await page.getByTestId("redeem-code").fill(code);
  await page.getByTestId("redeem-submit").click();
  await expect(page.getByTestId("form-error")).toContainText("before");
  await page.getByTestId("redeem-code").fill("NOPE");
  await page.getByTestId("redeem-submit").click();
  await expect(page.getByTestId("form-error")).toContainText("not known");
});

test("invoices are held against what was metered, and payments recorded once @no-script", async ({ page }) => {
  const { email } = await signUp(page);
  tollway("user", "create-admin", "--email", email);
  await buyCredits(page);
  const key = await createKey(page, "Metered");
  const answer = await page.request.post("/api/v1/chat/completions", {
    headers: { authorization: `Bearer ${key}` },
    data: { model: MODEL, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] },
  });
  expect(answer.status()).toBe(200);
  const provider = `acme-${randomBytes(4).toString("hex")}`;

  await page.goto("/admin/providers");
  await page.getByTestId("invoices-csv").fill(`provider,period,amount\n${provider},2026-10,12.50\n${provider},2026`);
  await page.getByTestId("invoices-import").click();
  await expect(page.getByTestId("form-error")).toContainText("provider,period,amount");
  await page.getByTestId("invoices-csv").fill(`provider,period,amount\n${provider},2026-10,12.50\n${provider},2026-09,0\n`);
  await page.getByTestId("invoices-import").click();
  await expect(page.getByTestId("form-done")).toContainText("imported");
  await expect(page.locator(`[data-id="${provider} 2026-10"]`)).toContainText("differs");
  await expect(page.locator(`[data-id="${provider} 2026-09"]`)).toContainText("agrees");
  await expect(page.getByTestId("comparison-row").filter({ hasText: "no invoice yet" }).first()).toBeVisible();

  for (const outcome of ["form-done", "form-error"]) {
    await page.getByTestId("payment-provider").fill(provider);
    await page.getByTestId("payment-amount").fill("12.50");
    await page.getByTestId("payment-reference").fill("TR-1");
    await page.getByTestId("payment-submit").click();
    await expect(page.getByTestId(outcome)).toContainText("recorded");
  }
  await expect(page.locator(`[data-id="provider_payable:${provider}"]`)).toContainText("−$12.50");
  tollway("ledger", "verify");
});

test.describe("people without the right", () => {
  test.use({ tolerated: [/Failed to load resource: .* 403 /] });

  test("are refused, every page and every form @no-script", async ({ page }) => {
    // Whoever signs up first is an administrator.
    await signUp(page);
    await signOut(page);
    await signUp(page);
    for (const path of PAGES) {
      const response = await page.goto(path);
      expect(response?.status(), path).toBe(403);
      await expect(page.getByTestId("page-error")).toBeVisible();
      await expect(page.locator("main table")).toHaveCount(0);
    }
    const forms: Record<string, Record<string, string>> = {
      admin: { part: "overview" },
      admin_refund: { purchase: "pur_1", amount: "1", confirmed: "1" },
      admin_release_warning: { processor: "stripe", reference: "issfr_1" },
      admin_write_off: { account: "acc_1", confirmed: "1" },
      admin_grant: { email: "somebody@example.org", amount: "5", note: "x" },
      admin_code: { label: "x", amount: "5", uses: "1" },
      admin_invoices: { csv: "x,2026-11,5" },
      admin_paid: { provider: "x", amount: "5", reference: "y" },
      admin_payout: { processor: "x", amount: "5", reference: "y" },
    };
    for (const [name, form] of Object.entries(forms)) {
      const response = await page.request.post(`/rpc/${name}`, { form, headers: { accept: "application/json" } });
      expect(response.status(), name).toBe(403);
    }
  });
});
