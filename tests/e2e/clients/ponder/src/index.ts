import { ponder } from "ponder:registry";
import { account } from "ponder:schema";

ponder.on("Token:Transfer", async ({ event, context }) => {
  const { from, to, value } = event.args;
  for (const [address, change] of [[from, -value], [to, value]] as const) {
    await context.db
      .insert(account)
      .values({ address, balance: change })
      .onConflictDoUpdate((row) => ({ balance: row.balance + change }));
  }
});
