// Money with a payment processor: a server of its own, and a stand-in of Stripe whose webhooks all come twice.
import type { APIRequestContext, Page } from "@playwright/test";
import { STRIPE_KEY, startServer, startStripe, type Server, type StandIn } from "../server";
import { tollwayOn } from "./command_line";
import { MODEL, createKey, dollars, expect, signIn, signOut, signUp, test as base } from "./site";

const SECRET = "whsec_of_the_browser_journeys_0123";

interface House {
  stripe: StandIn;
  server: Server;
}

const test = base.extend<object, { house: House }>({
  house: [
    async ({}, use) => {
      const stripe = await startStripe("http://127.0.0.1:9/", [SECRET]);
      try {
        const server = await startServer("money", {
          TOLLWAY_STRIPE_SECRET_KEY: STRIPE_KEY,
          TOLLWAY_STRIPE_WEBHOOK_SECRETS: SECRET,
          TOLLWAY_STRIPE_API_URL: stripe.url,
          TOLLWAY_STRIPE_METHODS: "card,crypto",
          TOLLWAY_PURCHASE_FEE_BASIS_POINTS: "550",
          TOLLWAY_PURCHASE_FEE_MIN_CENTS: "80",
        });
        try {
          const url = `${server.baseUrl}/webhooks/stripe`;
          await stripe.control("webhooks", { url, secrets: [SECRET], copies: 2, retries: 3, jitter_ms: 50 });
          await use({ stripe, server });
          tollwayOn(server.dataDir, "ledger", "verify");
        } finally {
          await server.stop();
        }
      } finally {
        await stripe.stop();
      }
    },
    { scope: "worker" },
  ],
  baseURL: async ({ house }, use) => use(house.server.baseUrl),
});

// The stand-in is another company's site, and has no icon.
test.use({ tolerated: [/\/favicon\.ico: Failed to load resource/] });

interface Choice {
  /** `buy-10` and so on. */
  amount?: string;
  /** `method-crypto`, say. */
  method?: string;
  /** What to press on the stand-in's page. */
  press?: string;
  /** As the stand-in's page names it. */
  card?: string;
  keep?: boolean;
}

/** Buys at the stand-in's page; gives the id of the purchase. */
async function buy(page: Page, { amount = "buy-10", method, press = "Pay", card, keep = false }: Choice = {}): Promise<string> {
  await page.goto("/account/credits");
  await page.getByTestId(amount).check();
  if (method) await page.getByTestId(method).check();
  if (keep) await page.getByTestId("buy-save").check();
  await page.getByTestId("buy-submit").click();
  await expect(page.getByText("no real money")).toBeVisible();
  if (card) await page.getByRole("combobox").selectOption({ label: card });
  await page.getByRole("button", { name: press, exact: true }).click();
  await expect(page.getByTestId("purchase-outcome")).toBeVisible();
  return new URL(page.url()).searchParams.get("purchase")!;
}

async function balance(page: Page): Promise<number> {
  return dollars((await page.getByTestId("balance").getAttribute("title"))!);
}

/** Loads the credits anew until they are as expected. */
async function creditsBecome(page: Page, expectation: () => Promise<void>): Promise<void> {
  await expect(async () => {
    await page.goto("/account/credits");
    await expectation();
  }).toPass({ timeout: 60_000 });
}

async function chat(request: APIRequestContext, key: string): Promise<number> {
  const response = await request.post("/api/v1/chat/completions", {
    headers: { authorization: `Bearer ${key}` },
    data: { model: MODEL, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] },
  });
  return response.status();
}

/** The payment that the receipt of a purchase names. */
async function paymentOf(page: Page, purchase: string): Promise<string> {
  await page.goto(`/account/credits/receipts/${purchase}`);
  return page.getByTestId("receipt-reference").innerText();
}

test("buying at the processor's page: the fee is shown before, the receipt after @no-script", async ({ page }) => {
  const { email } = await signUp(page);
  await page.goto("/account/credits");
  await expect(page.getByTestId("buy-10-total")).toHaveText("$10.00 + $0.80 fee = $10.80");
  await expect(page.getByTestId("buy-100-total")).toHaveText("$100.00 + $5.50 fee = $105.50");
  await expect(page.getByTestId("method-card")).toBeChecked();
  await page.getByTestId("buy-save").check();
  await page.getByTestId("buy-submit").click();
  await expect(page.getByRole("heading", { name: "$10.80" })).toBeVisible();
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await expect(page.getByTestId("purchase-outcome")).toContainText("$10.00 is in your balance");
  await expect(page.getByTestId("balance")).toHaveText("$10.00");
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("top-up-card")).toContainText("Visa ending in 4242", { timeout: 500 });
  });

  await page.getByTestId("receipt-link").click();
  await expect(page.getByTestId("receipt-fee")).toHaveText("$0.80");
  await expect(page.getByTestId("receipt-total")).toHaveText("$10.80");
  await expect(page.getByTestId("receipt-buyer")).toHaveText(email);
  await expect(page.getByTestId("receipt-reference")).toHaveText(/^pi_/);
});

test("an amount of one's own is shown with its total, and a checkout that is left charges nothing @no-script", async ({ page }) => {
  await signUp(page);
  await page.goto("/account/credits");
  await page.getByTestId("buy-other").check();
  await page.getByTestId("buy-amount").fill("12.34");
  await page.getByTestId("buy-submit").click();
  await expect(page.getByTestId("buy-other-total")).toHaveText("$12.34 + $0.80 fee = $13.14");
  await page.getByTestId("buy-submit").click();
  await expect(page.getByRole("heading", { name: "$13.14" })).toBeVisible();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByTestId("purchase-outcome")).toContainText("nothing was charged");
  await expect(page.getByTestId("balance")).toHaveText("$0.00");
});

test("a stablecoin payment that takes a while is pending, then paid or failed @no-script", async ({ page }) => {
  await signUp(page);
  await buy(page, { press: "Pay later succeeds", method: "method-crypto" });
  await expect(page.getByTestId("purchase-outcome")).toContainText(/on its way|is in your balance/);
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("balance")).toHaveText("$10.00", { timeout: 500 });
  });
  const failing = await buy(page, { amount: "buy-25", press: "Pay later fails", method: "method-crypto" });
  await creditsBecome(page, async () => {
    await expect(page.locator(`[data-id="${failing}"]`)).toContainText("failed", { timeout: 500 });
  });
  await expect(page.getByTestId("balance")).toHaveText("$10.00");
});

test("real usage fires the automatic top-up @no-script", async ({ page, request }) => {
  await signUp(page);
  await buy(page, { keep: true });
  const key = await createKey(page, "Busy");
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("top-up-card")).toBeVisible({ timeout: 500 });
  });
  await page.getByTestId("top-up-threshold").fill("10");
  await page.getByTestId("top-up-amount").fill("5");
  await page.getByTestId("top-up-daily_cap").fill("5");
  await page.getByTestId("top-up-enabled").check();
  await page.getByTestId("top-up-save").click();
  await expect(page.getByTestId("form-done")).toContainText("saved");
  expect(await balance(page)).toBe(10);

  expect(await chat(request, key)).toBe(200);
  const automatic = page.getByTestId("purchase-row").filter({ hasText: "automatic" });
  await creditsBecome(page, async () => {
    await expect(automatic.filter({ hasText: "paid" })).toHaveCount(1, { timeout: 500 });
  });
  expect(await balance(page)).toBeGreaterThan(14.9);
  expect(await balance(page)).toBeLessThan(15);
  await page.getByTestId("top-up-forget").click();
  await expect(page.getByTestId("top-up-none")).toBeVisible();
});

test("a top-up that the bank refuses is told, and says why it was switched off", async ({ page, request }) => {
  await signUp(page);
  await buy(page, { keep: true, card: "Visa, can be kept but declines later •••• 0341" });
  const key = await createKey(page, "Busy");
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("top-up-card")).toContainText("0341", { timeout: 500 });
  });
  await page.getByTestId("top-up-threshold").fill("10");
  await page.getByTestId("top-up-enabled").check();
  await page.getByTestId("top-up-save").click();
  expect(await chat(request, key)).toBe(200);
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("top-up-failure")).toContainText("failed", { timeout: 500 });
  });
  expect(await balance(page)).toBeLessThan(10);
});

test("unused credits are refunded, and no more than those @no-script", async ({ page }) => {
  await signUp(page);
  const purchase = await buy(page);
  await page.goto("/account/credits");
  await page.getByTestId("refund-link").click();
  await expect(page.getByTestId("refundable")).toHaveText("$10.00");
  await page.getByTestId("refund-amount").fill("10.01");
  await page.getByTestId("refund-confirm").check();
  await page.getByTestId("refund-submit").click();
  await expect(page.getByTestId("form-error")).toContainText("More than can be refunded");

  await page.getByTestId("refund-amount").fill("4");
  await page.getByTestId("refund-confirm").check();
  await page.getByTestId("refund-submit").click();
  await expect(page.getByTestId("form-done")).toContainText("refund");
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("refund-row")).toContainText("paid back", { timeout: 500 });
  });
  await expect(page.getByTestId("refund-row")).toContainText("$4.00");
  await expect(page.getByTestId("balance")).toHaveText("$6.00");
  await expect(page.locator(`[data-id="${purchase}"]`)).toContainText("$4.00 refunded");
  await page.goto(`/account/credits/receipts/${purchase}`);
  await expect(page.getByTestId("receipt-refund")).toContainText("−$4.00");
});

test("a dispute freezes the credits and says so; won, they come back", async ({ page, house: { stripe } }) => {
  await signUp(page);
  const purchase = await buy(page);
  const payment = await paymentOf(page, purchase);
  const dispute = (await stripe.control("dispute", { payment_intent: payment, amount: 1080 })) as { id: string };
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("dispute-row")).toContainText("open", { timeout: 500 });
  });
  await expect(page.getByTestId("frozen-reasons")).toContainText("disputes a payment");
  expect(await balance(page)).toBeLessThanOrEqual(0);
  await expect(page.locator(`[data-id="${purchase}"]`)).toContainText("disputed");

  await stripe.control("dispute_step", { dispute: dispute.id, step: "win" });
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("dispute-row")).toContainText("won", { timeout: 500 });
    await expect(page.getByTestId("balance")).toHaveText("$10.00", { timeout: 500 });
  });
  await expect(page.getByTestId("frozen-reasons")).toHaveCount(0);
});

test("the operator sees it all, gives back, and lets go of a warning @no-script", async ({ page, house: { stripe, server } }) => {
  const buyer = await signUp(page);
  const purchase = await buy(page);
  const payment = await paymentOf(page, purchase);
  await signOut(page);
  const operator = await signUp(page);
  tollwayOn(server.dataDir, "user", "create-admin", "--email", operator.email);

  await page.goto(`/admin/purchases?email=${encodeURIComponent(buyer.email)}`);
  await page.getByTestId("admin-purchase-open").click();
  await expect(page.getByTestId("admin-purchase")).toContainText(payment);
  await page.getByTestId("admin-refund-amount").fill("1");
  await page.getByTestId("admin-refund-confirm").check();
  await page.getByTestId("admin-refund-submit").click();
  await expect(page.getByTestId("form-done")).toContainText("refund");
  await expect(page.getByTestId("admin-refund-row").filter({ hasText: buyer.email })).toContainText("the operator");

  await stripe.control("early_fraud_warning", { payment_intent: payment });
  const warning = page.getByTestId("admin-warning-row").filter({ hasText: buyer.email });
  await expect(async () => {
    await page.goto("/admin/purchases");
    await expect(warning).toContainText("held", { timeout: 500 });
  }).toPass();
  await page.goto("/admin");
  await expect(page.getByTestId("unsettled-row").filter({ hasText: buyer.email })).toContainText("Fraud warning");
  await expect(page.getByTestId("books-proof")).toBeVisible();
  await expect(page.getByTestId("books-sum")).toHaveText("$0.00");
  await expect(page.locator('[data-id="processor_clearing:stripe"]')).toBeVisible();
  await expect(page.locator('[data-id="fees"]')).toBeVisible();
  await page.goto("/admin/purchases");
  await warning.getByTestId("warning-release").click();
  await expect(page.getByTestId("form-done")).toContainText("released");

  await page.goto("/admin/providers");
  await page.getByTestId("payout-processor").fill("stripe");
  await page.getByTestId("payout-amount").fill("9.50");
  await page.getByTestId("payout-costs").fill("0.25");
  await page.getByTestId("payout-reference").fill(`po_${purchase}`);
  await page.getByTestId("payout-submit").click();
  await expect(page.getByTestId("form-done")).toContainText("payout");
  await page.goto("/admin");
  await expect(page.getByTestId("books-sum")).toHaveText("$0.00");

  await signOut(page);
  await signIn(page, buyer);
  await expect(page).not.toHaveURL(/sign-in/);
  await creditsBecome(page, async () => {
    await expect(page.getByTestId("balance")).toHaveText("$9.00", { timeout: 500 });
  });
});
