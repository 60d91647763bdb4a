// Coming and going: sign-in, passwords, mailed links, sessions.
import { PASSWORD, expect, mailedLink, signIn, signOut, signUp, test } from "./site";

test("sign out and in again @no-script", async ({ page }) => {
  const person = await signUp(page);
  await expect(page.getByTestId("email-shown")).toHaveText(person.email);
  await signOut(page);
  await page.goto("/account");
  await expect(page).toHaveURL(/\/sign-in/);
  await signIn(page, person);
  await expect(page).toHaveURL(/\/account$/);
});

test("whoever is sent to sign in comes back to where they wanted to go @no-script", async ({ page }) => {
  const person = await signUp(page);
  await signOut(page);
  await page.goto("/account/keys");
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByTestId("email").fill(person.email);
  await page.getByTestId("password").fill(person.password);
  await page.getByTestId("submit").click();
  await expect(page).toHaveURL(/\/account\/keys$/);
});

test("a wrong password and an unknown address are refused alike @no-script", async ({ page }) => {
  const person = await signUp(page);
  await signOut(page);
  const refusals = [];
  for (const email of [person.email, "nobody@example.org"]) {
    await signIn(page, { email, password: "not the password" });
    refusals.push(await page.getByTestId("form-error").innerText());
  }
  expect(refusals[0]).toBe(refusals[1]);
});

test("a password that everybody uses is refused in words @no-script", async ({ page }) => {
  await page.goto("/sign-up");
  await page.getByTestId("email").fill("somebody@example.org");
  await page.getByTestId("password").fill("password12");
  await page.getByTestId("submit").click();
  await expect(page.getByTestId("form-error")).toContainText("most used");
});

test("the address is confirmed by the mailed link, once @no-script", async ({ page }) => {
  const { email } = await signUp(page);
  await expect(page.getByText("not confirmed yet")).toBeVisible();
  const link = await mailedLink(page, email, "Confirm your address");
  await page.goto(link);
  await page.getByTestId("submit").click();
  await page.goto("/account");
  await expect(page.getByText("(confirmed)")).toBeVisible();
  await page.goto(link);
  await page.getByTestId("submit").click();
  await expect(page.getByTestId("form-error")).toBeVisible();
});

test("a forgotten password is replaced by the mailed link, which signs out everybody else @no-script", async ({ page, browser }) => {
  const person = await signUp(page);
  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await other.goto(new URL("/sign-in", page.url()).href);
  await other.getByTestId("email").fill(person.email);
  await other.getByTestId("password").fill(person.password);
  await other.getByTestId("submit").click();
  await expect(other).toHaveURL(/\/account$/);

  await signOut(page);
  await page.goto("/forgot");
  await page.getByTestId("email").fill(person.email);
  await page.getByTestId("submit").click();
  await expect(page.getByTestId("mail-sent")).toBeVisible();
  await page.goto(await mailedLink(page, person.email, "Set a new password"));
  await page.getByTestId("password").fill("another nine herons");
  await page.getByTestId("submit").click();
  await expect(page.getByTestId("done-password")).toBeVisible();

  await other.reload();
  await expect(other).toHaveURL(/\/sign-in/);
  await signOut(page);
  await signIn(page, person);
  await expect(page.getByTestId("form-error")).toBeVisible();
  await signIn(page, { ...person, password: "another nine herons" });
  await expect(page).toHaveURL(/\/account$/);
  await elsewhere.close();
});

test("asking for a new password tells nobody whether the address is known @no-script", async ({ page }) => {
  await page.goto("/forgot");
  await page.getByTestId("email").fill("nobody-at-all@example.org");
  await page.getByTestId("submit").click();
  await expect(page.getByTestId("mail-sent")).toBeVisible();
});

test("another browser's session is listed and can be ended @no-script", async ({ page, browser }) => {
  const person = await signUp(page);
  const elsewhere = await browser.newContext();
  const other = await elsewhere.newPage();
  await other.goto(new URL("/sign-in", page.url()).href);
  await other.getByTestId("email").fill(person.email);
  await other.getByTestId("password").fill(PASSWORD);
  await other.getByTestId("submit").click();
  await expect(other).toHaveURL(/\/account$/);

  await page.goto("/account/sessions");
  const rows = page.getByTestId("session-row");
  await expect(rows).toHaveCount(2);
  await rows.filter({ hasNotText: "this browser" }).getByTestId("session-revoke").click();
  await expect(rows).toHaveCount(1);
  await other.reload();
  await expect(other).toHaveURL(/\/sign-in/);
  await page.goto("/account");
  await expect(page).toHaveURL(/\/account$/);
  await elsewhere.close();
});
