"""One client of one running network: accounts with money and tokens, and its nonces."""

from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import to_checksum_address

from tests.bench import workload
from tests.bench.client import RawClient, RpcError
from tests.bench.contestants import Contestant
from tests.bench.workload import CallKey
from tests.support.networks import FIRST_KEY

GAS = 120_000
ENCRYPTED_GAS = 130_000
FUNDING_WEI = 2 * 10**18


class Session:
    """What the measurements share on one network."""

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self.owner: LocalAccount = Account.from_key(FIRST_KEY)
        self.token = self.work = ""
        self._nonces: dict[str, int] = {}

    async def client(self) -> RawClient:
        return await RawClient(self.contestant.http_port).connect()

    async def clients(self, count: int) -> list[RawClient]:
        return [await self.client() for _ in range(count)]

    async def deploy_first(self) -> None:
        """Deploy the token: the network's first transaction."""
        self.token = await self.deploy(workload.token_code())

    async def prepare(self) -> None:
        """Deploy what else the measures need."""
        self.work = await self.deploy(workload.work_code())

    async def deploy(self, code: bytes) -> str:
        receipt = await self.execute(self.owner, None, code, 2_000_000)
        return to_checksum_address(receipt["contractAddress"])

    def sign(
        self, account: LocalAccount, to: str | None, data: bytes, gas: int, value: int = 0
    ) -> str:
        """Sign an account's next transaction."""
        nonce = self._nonces.get(account.address, 0)
        self._nonces[account.address] = nonce + 1
        return workload.sign(account, self.contestant.chain_id, nonce, to, data, gas, value)

    async def recover(self) -> None:
        """Count the owner's nonces from the chain again, after a measure that failed half-way."""
        client = await self.client()
        count = await client.rpc("eth_getTransactionCount", self.owner.address, "latest")
        self.resume_nonce(self.owner, int(count, 16))
        client.close()

    def resume_nonce(self, account: LocalAccount, nonce: int) -> None:
        """Count on from a nonce, after the chain went back."""
        self._nonces[account.address] = nonce

    def nonce(self, account: LocalAccount) -> int:
        return self._nonces.get(account.address, 0)

    async def execute(
        self, account: LocalAccount, to: str | None, data: bytes, gas: int, value: int = 0
    ) -> dict[str, Any]:
        """Send a transaction and wait for its receipt, which must say that it succeeded."""
        client = await self.client()
        raw = self.sign(account, to, data, gas, value)
        receipt = await client.receipt(await client.rpc("eth_sendRawTransaction", raw))
        client.close()
        if receipt["status"] != "0x1":
            raise RpcError(f"a transaction of the set-up failed: {receipt}")
        return receipt

    async def funded_accounts(
        self, count: int, funding_wei: int = FUNDING_WEI
    ) -> list[LocalAccount]:
        """Fresh accounts with money for gas, and tokens."""
        accounts = workload.fresh_accounts(count)
        for account in accounts:
            await self.execute(self.owner, account.address, b"", 30_000, funding_wei)
            data = workload.transfer_data(account.address, 10**6)
            await self.execute(self.owner, self.token, data, GAS)
        return accounts

    async def call_key(self) -> CallKey:
        client = await self.client()
        answer = await client.rpc("oasis_callDataPublicKey")
        client.close()
        return CallKey(bytes.fromhex(answer["key"][2:]), answer["epoch"])

    async def transfers(
        self, accounts: list[LocalAccount], each: int, *, encrypted: bool
    ) -> list[list[str]]:
        """Signed ERC-20 transfers of every account, in the order of their nonces."""
        key = await self.call_key() if encrypted else None
        receiver = Account.create().address
        signed = []
        for account in accounts:
            raws = []
            for _ in range(each):
                data = workload.transfer_data(receiver, 1)
                if key is not None:
                    data = workload.encrypt(data, key)
                gas = GAS if key is None else ENCRYPTED_GAS
                raws.append(self.sign(account, self.token, data, gas))
            signed.append(raws)
        return signed
