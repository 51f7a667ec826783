"""Answers paid from credit on a network, and a receipt that the chain knows."""

import asyncio
import json

from eth_account import Account

from apps.inference.metering.chain import ChainMeter, service_account
from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices
from apps.inference.serve.service import serving
from shared.crypto.hashes import sha256
from tests.support.inference import HASHES, KEY, MODELS, Scripted, a_client, daemon, real_now
from tests.support.networks import FIRST_KEY, ProcessNetwork

CREDIT_WEI = 10**15
PRICES = Prices(10**9, 10**10)
MOST_TOKENS = 100


def test_answers_are_paid_and_receipts_are_on_the_chain(
    process_network: ProcessNetwork, tmp_path
) -> None:
    url, key_hash = process_network.url, sha256(KEY.encode())
    payer = Account.from_key(FIRST_KEY)
    path = tmp_path / "appd.sock"

    async def story() -> None:
        async with daemon(path, began_s=real_now()):
            account = await service_account(path)
            paying = await asyncio.to_thread(ChainMeter.deploy, url, payer, account.address)
            chain = ChainMeter(url, account, paying.address)
            await asyncio.to_thread(paying.send_wei, account.address, 10**18)
            await asyncio.to_thread(paying.deposit, key_hash, CREDIT_WEI)
            meter = Meter(chain, PRICES, MOST_TOKENS)
            async with (
                serving(path, HASHES, load=Scripted().models, meter=meter) as app,
                a_client(app) as client,
            ):
                messages = [{"role": "user", "content": "hi"}]
                asked = {"model": next(iter(MODELS)), "messages": messages}
                paid = await client.post("/v1/chat/completions", json=asked)
                assert paid.status_code == 200
                receipt_id = paid.headers["x-receipt-id"]
                place = f"/v1/qanat/receipts/{receipt_id}/proof"
                assert (await client.get(place)).status_code == 404
                epoch = await meter.commit()
                assert epoch is not None
                shown = (await client.get(place)).json()
                assert bytes.fromhex(shown["root"]) == epoch.root
                async with a_client(app, "sk-ben") as unpaid:
                    refused = await unpaid.post("/v1/chat/completions", json=asked)
                    assert json.loads(refused.content)["error"]["type"] == "insufficient_quota"
            cost = PRICES.cost(5, 3)
            assert await asyncio.to_thread(paying.is_committed, epoch, 0)
            assert await asyncio.to_thread(paying.credit_wei, key_hash) == CREDIT_WEI - cost
            assert await asyncio.to_thread(chain.earned_wei) == cost
            await asyncio.to_thread(paying.give_notice, key_hash)
            assert await asyncio.to_thread(chain.credit_wei, key_hash) == 0

    asyncio.run(story())
