import { db } from "ponder:api";
import schema from "ponder:schema";
import { Hono } from "hono";

const app = new Hono();
app.get("/balances", async (c) => {
  const rows = await db.select().from(schema.account);
  return c.json(Object.fromEntries(rows.map((one) => [one.address, String(one.balance)])));
});
export default app;
