"""Whole numbers as the fewest bytes, as RLP, DER and Oasis' quantities have them."""


def encode_quantity(number: int) -> bytes:
    """
    Write a number big-endian, without zeros before it; 0 is empty.

    Raises
    ------
    OverflowError
        It is negative.
    """
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
