// What people do on the site, in one step each; and a `test` that fails when a page complains in the console.
import { test as base, expect, type BrowserContext, type Page } from "@playwright/test";
import { randomBytes } from "node:crypto";

export { expect };

export const PASSWORD = "seven otters swim";
export const MODEL = "local/smollm2-135m-instruct";

export interface Person {
  email: string;
  password: string;
}

export const test = base.extend<{
  /** What pages may say on the console; everything else of level error fails the test. */
  tolerated: RegExp[];
  complaints: string[];
}>({
  tolerated: [[], { option: true }],
  complaints: [
    async ({ context, tolerated }, use) => {
      const complaints: string[] = [];
      listen(context, complaints);
      await use(complaints);
      const real = complaints.filter((text) => !tolerated.some((pattern) => pattern.test(text)));
      expect(real, "errors on the console").toEqual([]);
    },
    { auto: true },
  ],
});

/** A refused form answers 422 with its page; Chromium notes the status on the console, which is no fault of the page. */
const REFUSED_FORM = /\/rpc\/\w+: Failed to load resource: .* status of 422/;

function listen(context: BrowserContext, complaints: string[]): void {
  context.on("console", (message) => {
    const text = `${message.location().url}: ${message.text()}`;
    if (message.type() === "error" && !REFUSED_FORM.test(text)) complaints.push(text);
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
}

/** Somebody new, signed in. */
export async function signUp(page: Page): Promise<Person> {
  const person = { email: `${randomBytes(6).toString("hex")}@example.org`, password: PASSWORD };
  await page.goto("/sign-up");
  await page.getByTestId("email").fill(person.email);
  await page.getByTestId("password").fill(person.password);
  await page.getByTestId("submit").click();
  await expect(page).toHaveURL(/\/account$/);
  return person;
}

export async function signIn(page: Page, { email, password }: Person): Promise<void> {
  await page.goto("/sign-in");
  await page.getByTestId("email").fill(email);
  await page.getByTestId("password").fill(password);
  await page.getByTestId("submit").click();
}

export async function signOut(page: Page): Promise<void> {
  await page.goto("/account");
  await page.getByRole("main").getByTestId("sign-out").click();
  await expect(page).toHaveURL(/\/$/);
}

/** Buys $10 of credits at the development checkout. */
export async function buyCredits(page: Page): Promise<void> {
  await page.goto("/account/credits");
  await page.getByTestId("buy-10").check();
  await page.getByTestId("buy-submit").click();
  await expect(page.getByText("no real money")).toBeVisible();
  await page.getByRole("button", { name: "Pay $10" }).click();
  await expect(page.getByTestId("purchase-outcome")).toContainText("is in your balance");
}

/** Makes a key and gives it as shown, once. */
export async function createKey(page: Page, name: string): Promise<string> {
  await page.goto("/account/keys");
  await page.getByTestId("key-name").fill(name);
  await page.getByTestId("key-create").click();
  const secret = page.getByTestId("key-secret");
  await expect(secret).toHaveText(/^sk-tw-v1-[0-9a-f]{72}$/);
  await expect(keyRow(page, name)).toBeVisible();
  return secret.innerText();
}

export function keyRow(page: Page, name: string) {
  return page.locator(`[data-testid="key-row"][data-name="${name}"]`);
}

/** Bounds the answers the chat asks for: the small model may talk on until its context is full. */
export async function shortAnswers(page: Page): Promise<void> {
  await page.route("**/playground/chat/completions", async (route) => {
    const asked = route.request().postDataJSON();
    await route.continue({ postData: JSON.stringify({ ...asked, max_tokens: 48 }) });
  });
}

/** The link in the newest mail to somebody, from the development mailbox. */
export async function mailedLink(page: Page, to: string, subject: string): Promise<string> {
  const mail = page.locator(`[data-testid="mail"][data-to="${to}"][data-subject="${subject}"]`).first();
  await expect(async () => {
    await page.goto("/dev/mailbox");
    await expect(mail).toBeVisible({ timeout: 500 });
  }).toPass({ timeout: 10_000 });
  return (await mail.getByTestId("mail-link").first().getAttribute("href"))!;
}

/** `$0.00123` as a number. */
export function dollars(text: string): number {
  const number = Number(text.replace(/[$,\s]/g, ""));
  expect(number, text).not.toBeNaN();
  return number;
}

/** Waits until the page's script runs, where there is one. */
export async function ready(page: Page): Promise<void> {
  await page.waitForLoadState("networkidle");
}
