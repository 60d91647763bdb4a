// The stand-in of Stripe, met by Stripe's own client: what the journeys and the API's tests buy from is shaped like the
// real one.
import { expect, test } from "@playwright/test";
import type { AddressInfo } from "node:net";
import * as http from "node:http";
import Stripe from "stripe";
import { startStripe, STRIPE_KEY, type StandIn } from "../server";

const SECRETS = ["whsec_the_older_of_two_secrets", "whsec_the_newer_of_two_secrets"];

let standIn: StandIn;
let stripe: Stripe;
let receiver: Receiver;

test.beforeAll(async () => {
  receiver = await Receiver.start();
  standIn = await startStripe(receiver.url, SECRETS);
  const { hostname, port } = new URL(standIn.url);
  stripe = new Stripe(STRIPE_KEY, { host: hostname, port, protocol: "http", maxNetworkRetries: 0 });
});

test.afterAll(async () => {
  await standIn.stop();
  receiver.stop();
});

test("a checkout is paid on its page, told by signed webhooks and in the list of events", async ({ page }) => {
  const session = await stripe.checkout.sessions.create(checkout("pur_paid"), { idempotencyKey: "pur_paid" });
  expect(session).toMatchObject({ status: "open", payment_status: "unpaid", amount_total: 2100, livemode: false });

  await page.goto(session.url!);
  await expect(page.getByRole("heading", { name: "$21.00" })).toBeVisible();
  await page.getByRole("button", { name: "Decline" }).click();
  await expect(page.getByRole("alert")).toContainText("declined");
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await expect(page.locator("body")).toContainText(`thanks ${session.id}`);

  const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ["payment_intent.payment_method"] });
  expect(paid).toMatchObject({ status: "complete", payment_status: "paid", client_reference_id: "pur_paid" });
  const intent = paid.payment_intent as Stripe.PaymentIntent;
  expect(intent).toMatchObject({ status: "succeeded", amount_received: 2100, metadata: { purchase: "pur_paid" } });
  expect((intent.payment_method as Stripe.PaymentMethod).card?.last4).toBe("4242");

  const told = await receiver.event("checkout.session.completed", session.id);
  for (const secret of SECRETS) {
    const event = stripe.webhooks.constructEvent(told.body, told.signature, secret);
    expect(event.data.object).toMatchObject({ id: session.id, payment_status: "paid" });
  }
  expect(() => stripe.webhooks.constructEvent(told.body, told.signature, "whsec_of_somebody_else")).toThrow(
    Stripe.errors.StripeSignatureVerificationError,
  );

  const events: Stripe.Event[] = [];
  for await (const event of stripe.events.list({ limit: 1, types: ["checkout.session.completed", "payment_intent.*"] as never })) {
    events.push(event);
  }
  expect(events.map((event) => event.type)).toEqual([
    "checkout.session.completed",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.created",
  ]);
  expect(await stripe.events.retrieve(events[0]!.id)).toMatchObject({ id: events[0]!.id, type: events[0]!.type });
});

test("more than was paid is not given back", async () => {
  const { intent } = await bought("pur_refund");
  const refund = await stripe.refunds.create({ payment_intent: intent, amount: 1000, metadata: { refund: "ref_1" } });
  expect(refund).toMatchObject({ status: "succeeded", amount: 1000, payment_intent: intent });
  await expect(stripe.refunds.create({ payment_intent: intent, amount: 1101 })).rejects.toMatchObject({
    type: "StripeInvalidRequestError",
    statusCode: 400,
    param: "amount",
  });
  await stripe.refunds.create({ payment_intent: intent });
  await expect(stripe.refunds.create({ payment_intent: intent })).rejects.toMatchObject({
    code: "charge_already_refunded",
  });
  const listed = await stripe.refunds.list({ payment_intent: intent });
  expect(listed.data.map((one) => one.amount)).toEqual([1100, 1000]);
  await receiver.event("refund.created", refund.id);
});

test("an idempotency key stands for one request", async () => {
  const first = await stripe.checkout.sessions.create(checkout("pur_twice"), { idempotencyKey: "pur_twice" });
  const again = await stripe.checkout.sessions.create(checkout("pur_twice"), { idempotencyKey: "pur_twice" });
  expect(again.id).toBe(first.id);
  await expect(
    stripe.checkout.sessions.create(checkout("pur_other"), { idempotencyKey: "pur_twice" }),
  ).rejects.toMatchObject({ type: "StripeIdempotencyError", statusCode: 400 });
});

test("a saved card is charged without its owner, or asks for them", async () => {
  const customer = await stripe.customers.create({ email: "ada@example.org" });
  const charge = (payment_method: string) =>
    stripe.paymentIntents.create({
      amount: 2000,
      currency: "usd",
      customer: customer.id,
      payment_method,
      off_session: true,
      confirm: true,
    });
  const card = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  expect(await charge(card.id)).toMatchObject({ status: "succeeded", amount_received: 2000 });
  const cautious = await stripe.paymentMethods.attach("pm_card_authenticationRequired", { customer: customer.id });
  await expect(charge(cautious.id)).rejects.toMatchObject({
    type: "StripeCardError",
    code: "authentication_required",
    payment_intent: { status: "requires_payment_method" },
  });
  await expect(charge("pm_card_chargeCustomerFail")).rejects.toMatchObject({ code: "card_declined" });
  const stranger = new Stripe("sk_test_of_somebody_else", { ...address(), maxNetworkRetries: 0 });
  await expect(stranger.events.list()).rejects.toMatchObject({ type: "StripeAuthenticationError" });
});

test("a dispute takes the money and gives it back", async () => {
  const { intent } = await bought("pur_disputed");
  const dispute = (await standIn.control("dispute", { payment_intent: intent })) as Stripe.Dispute;
  const withdrawn = await stripe.disputes.retrieve(dispute.id);
  expect(withdrawn.balance_transactions.map(({ amount, fee }) => [amount, fee])).toEqual([[-2100, 1500]]);
  await standIn.control("dispute_step", { dispute: dispute.id, step: "win" });
  const [won] = (await stripe.disputes.list({ payment_intent: intent })).data;
  expect(won).toMatchObject({ status: "won", payment_intent: intent });
  expect(won!.balance_transactions.map(({ amount }) => amount)).toEqual([-2100, 2100]);
  const warning = (await standIn.control("early_fraud_warning", { payment_intent: intent })) as { id: string };
  expect(await stripe.radar.earlyFraudWarnings.retrieve(warning.id)).toMatchObject({ actionable: true });
});

function address() {
  const { hostname, port } = new URL(standIn.url);
  return { host: hostname, port, protocol: "http" as const };
}

async function bought(purchase: string): Promise<{ intent: string }> {
  const session = await stripe.checkout.sessions.create(checkout(purchase));
  await standIn.control("choose", { session: session.id, choice: "pay" });
  const paid = await stripe.checkout.sessions.retrieve(session.id);
  return { intent: paid.payment_intent as string };
}

function checkout(purchase: string): Stripe.Checkout.SessionCreateParams {
  const item = (name: string, unit_amount: number) => ({
    quantity: 1,
    price_data: { currency: "usd", unit_amount, product_data: { name } },
  });
  return {
    mode: "payment",
    client_reference_id: purchase,
    line_items: [item("Credits", 2000), item("Fee", 100)],
    payment_intent_data: { metadata: { purchase } },
    success_url: `${receiver.url}/thanks/{CHECKOUT_SESSION_ID}`,
    cancel_url: `${receiver.url}/cancelled`,
  };
}

interface Told {
  body: string;
  signature: string;
}

/** Takes webhooks, and shows a page to whoever comes back from paying. */
class Receiver {
  private readonly told: Told[] = [];

  private constructor(private readonly server: http.Server) {}

  static async start(): Promise<Receiver> {
    const server = http.createServer();
    const receiver = new Receiver(server);
    server.on("request", (request, response) => receiver.take(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** The webhook of this type about this object, once it is there. */
  async event(type: string, object: string): Promise<Told> {
    const found = () =>
      this.told.find(({ body }) => {
        const event = JSON.parse(body) as { type: string; data: { object: { id: string } } };
        return event.type === type && event.data.object.id === object;
      });
    await expect.poll(() => !!found()).toBe(true);
    return found()!;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private take(request: http.IncomingMessage, response: http.ServerResponse): void {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      const signature = request.headers["stripe-signature"];
      if (typeof signature === "string") this.told.push({ body, signature });
      response.setHeader("content-type", "text/plain");
      response.end(`thanks ${request.url?.split("/").pop()}`);
    });
  }
}
