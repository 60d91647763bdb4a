// The operator's page.
import { tollway } from "./command_line";
import { buyCredits, expect, signUp, test } from "./site";

test("an administrator sees people, and the proof that the books balance @no-script", async ({ page }) => {
  const { email } = await signUp(page);
  await buyCredits(page);
  tollway("user", "create-admin", "--email", email);
  await page.goto("/admin");
  await expect(page.getByTestId("user-row").filter({ hasText: email })).toBeVisible();
  await expect(page.getByTestId("books-proof")).toBeVisible();
  await expect(page.getByTestId("books-difference")).toHaveCount(0);
});

test.describe("people without the right", () => {
  test.use({ tolerated: [/Failed to load resource: .* 403 /] });

  test("are refused @no-script", async ({ page }) => {
    // Whoever signs up first is an administrator.
    await signUp(page);
    await page.goto("/sign-out");
    await page.getByRole("main").getByTestId("sign-out").click();
    await signUp(page);
    const response = await page.goto("/admin");
    expect(response?.status()).toBe(403);
    await expect(page.getByTestId("page-error")).toBeVisible();
    await expect(page.getByTestId("user-row")).toHaveCount(0);
  });
});
