"""
Edits of the state, as Hardhat and Anvil name them: `hardhat_set…` and `anvil_set…`.

They are dev controls: they exist only in networks that have these, and answer only who
`rpc.callers` lets. Each is a transaction of the network's owner, and returns when its block is
shown. See ADR 0045.
"""

from services.gateway.dev_transactions import DevTransactions, EditKind
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import address, amount, count, data, slot
from shared.encoding.quantity import encode_quantity


class EditMethods:
    """Answers that change the state."""

    def __init__(self, edits: DevTransactions) -> None:
        self._edits = edits

    @also("anvil_setBalance", "evm_setAccountBalance")
    @rpc_method("hardhat_setBalance", address, amount)
    async def set_balance(self, account: bytes, balance: int) -> bool:
        """Give an account a balance [wei]."""
        await self._edits.edit(EditKind.BALANCE, account, value=encode_quantity(balance))
        return True

    @also("anvil_addBalance")
    @rpc_method("hardhat_addBalance", address, amount)
    async def add_balance(self, account: bytes, amount: int) -> bool:
        """Give an account so much more than it has [wei]."""
        return await self.set_balance(account, await self._edits.balance_of(account) + amount)

    @also("anvil_setNonce", "evm_setAccountNonce")
    @rpc_method("hardhat_setNonce", address, count)
    async def set_nonce(self, account: bytes, nonce: int) -> bool:
        """Give an account a nonce; a smaller one than it has is refused, as in Hardhat."""
        try:
            await self._edits.edit(EditKind.NONCE, account, value=encode_quantity(nonce))
        except QueryRejected as error:
            if error.message != "invalid nonce":
                raise
            raise QueryRejected(f"nonce {nonce} is smaller than the account's") from None
        return True

    @also("anvil_setCode", "evm_setAccountCode")
    @rpc_method("hardhat_setCode", address, data)
    async def set_code(self, account: bytes, code: bytes) -> bool:
        """Give an account code, `0x` for none."""
        await self._edits.edit(EditKind.CODE, account, value=code)
        return True

    @also("anvil_setStorageAt", "evm_setAccountStorageAt")
    @rpc_method("hardhat_setStorageAt", address, slot, slot)
    async def set_storage_at(self, account: bytes, slot: bytes, value: bytes) -> bool:
        """Write a slot of a contract; a confidential ParaTime does not give it back."""
        where, what = (int.from_bytes(one, "big") for one in (slot, value))
        await self._edits.edit(EditKind.STORAGE, account, slot=where, value=encode_quantity(what))
        return True

    @also("anvil_setNextBlockBaseFeePerGas")
    @rpc_method("hardhat_setNextBlockBaseFeePerGas", amount)
    async def set_next_block_base_fee_per_gas(self, price: int) -> bool:
        """Choose the least price of the next block with transactions [wei/gas]."""
        if price >= 2**64:
            raise QueryRejected("the least price has at most 64 bits")
        await self._edits.edit(EditKind.MIN_GAS_PRICE, value=encode_quantity(price))
        return True
