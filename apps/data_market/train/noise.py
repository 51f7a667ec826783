"""
Noise that nobody can foretell: normal numbers from a cipher's key stream.

The stream of AES-256 in counter mode is cut into 52-bit fractions, which the inverse of the normal
distribution turns into normal numbers. The same key gives the same numbers, so that a job that is
run again after a crash tells nothing new; the key is sealed with the job.
"""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy.special import ndtri

from apps.data_market.arrays import Floats
from shared.crypto.hashes import kmac256
from shared.crypto.secret import SecretBytes

KEY_BYTES = 32
NOISE_CONTEXT = b"qanat/data-market: noise"


class NormalStream:
    """Normal numbers of one key, each drawn once."""

    def __init__(self, key: SecretBytes, label: str = "") -> None:
        """
        Begin a stream.

        Parameters
        ----------
        key : `SecretBytes`
            32 bytes, of which streams under different labels are independent.
        label : `str`
            What the numbers are for.
        """
        own = kmac256(key.reveal(), label.encode(), NOISE_CONTEXT, KEY_BYTES)
        self._stream = Cipher(algorithms.AES(own), modes.CTR(bytes(16))).encryptor()

    def uniform(self, *shape: int) -> Floats:
        """Numbers strictly between 0 and 1, odd multiples of 2^-53."""
        count = int(np.prod(shape))
        words = np.frombuffer(self._stream.update(bytes(8 * count)), dtype="<u8")
        return (((words >> 12).astype(np.float64) + 0.5) * 2.0**-52).reshape(shape)

    def normal(self, *shape: int) -> Floats:
        """Numbers with mean 0 and standard deviation 1."""
        numbers: Floats = ndtri(self.uniform(*shape))
        return numbers
