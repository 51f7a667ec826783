//! Random bytes for contracts: secret, the same on every replica, different for every request.
//!
//! A chain of HMAC-SHA-512/256, one link for each thing the bytes depend on:
//!
//! ```text
//! root    = HMAC(block's secret,  "qanat/evm: rng v1" ‖ mode)
//! leaf    = HMAC(root,            "tx" ‖ transaction hash [‖ 32 bytes of the machine's randomness: simulation])
//! request = HMAC(leaf,            "request" ‖ number LE8 ‖ personalization)
//! output  = HMAC(request, 0 LE8) ‖ HMAC(request, 1 LE8) ‖ ...
//! ```
//!
//! Differs from upstream (a Merlin transcript under a VRF) in the construction, not in what it promises.

use zeroize::Zeroizing;

use crate::crypto::hmac_sha512_256;

/// What the bytes are for. One mode's bytes say nothing about another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Execution of a block.
    Execute = 0,
    /// Check of a transaction before it is pooled.
    Check = 1,
    /// A query. Mixes in randomness of the machine: otherwise it would show what the next block will draw.
    Simulate = 2,
    /// Ordering of a batch.
    PreSchedule = 3,
}

/// Randomness of one block, or of one query.
pub struct RootRng {
    key: Zeroizing<[u8; 32]>,
    mode: Mode,
}

impl RootRng {
    /// From the block's secret, which the key manager gives to enclaves only.
    pub fn new(rng_key: &[u8; 32], mode: Mode) -> Self {
        let key = hmac_sha512_256(rng_key, &[b"qanat/evm: rng v1", &[mode as u8]]);
        Self { key: Zeroizing::new(key), mode }
    }

    /// Randomness of one transaction.
    ///
    /// # Panics
    /// In simulation, if the operating system has no randomness to give.
    pub fn fork(&self, tx_hash: &[u8; 32]) -> TransactionRng {
        let mut local = [0; 32];
        let local: &[u8] = match self.mode {
            Mode::Simulate => {
                getrandom::fill(&mut local).expect("the operating system has randomness");
                &local
            }
            Mode::Execute | Mode::Check | Mode::PreSchedule => &[],
        };
        let key = hmac_sha512_256(&*self.key, &[b"tx", tx_hash, local]);
        TransactionRng { key: Zeroizing::new(key), requests: 0 }
    }
}

/// Randomness of one transaction.
pub struct TransactionRng {
    key: Zeroizing<[u8; 32]>,
    requests: u64,
}

impl TransactionRng {
    /// The next bytes.
    pub fn random_bytes(&mut self, length: usize, personalization: &[u8]) -> Vec<u8> {
        let number = self.requests.to_le_bytes();
        self.requests += 1;
        let key = Zeroizing::new(hmac_sha512_256(&*self.key, &[b"request", &number, personalization]));
        let blocks = (0..length.div_ceil(32) as u64).map(|block| hmac_sha512_256(&*key, &[&block.to_le_bytes()]));
        let mut bytes: Vec<u8> = blocks.flatten().collect();
        bytes.truncate(length);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(key: u8, mode: Mode, tx: u8, requests: &[(usize, &[u8])]) -> Vec<Vec<u8>> {
        let mut rng = RootRng::new(&[key; 32], mode).fork(&[tx; 32]);
        requests.iter().map(|(length, personalization)| rng.random_bytes(*length, personalization)).collect()
    }

    #[test]
    fn every_input_changes_the_bytes() {
        let base = draw(1, Mode::Execute, 1, &[(32, b"a"), (32, b"a")]);
        assert_eq!(base, draw(1, Mode::Execute, 1, &[(32, b"a"), (32, b"a")]), "replicas agree");
        assert_ne!(base[0], base[1], "a request twice");
        for other in [
            draw(2, Mode::Execute, 1, &[(32, b"a")]),
            draw(1, Mode::Check, 1, &[(32, b"a")]),
            draw(1, Mode::PreSchedule, 1, &[(32, b"a")]),
            draw(1, Mode::Execute, 2, &[(32, b"a")]),
            draw(1, Mode::Execute, 1, &[(32, b"b")]),
            draw(1, Mode::Execute, 1, &[(32, b"")]),
        ] {
            assert_ne!(base[0], other[0]);
        }
    }

    #[test]
    fn simulations_do_not_foretell_anything() {
        let draws: Vec<_> = (0..2).map(|_| draw(1, Mode::Simulate, 1, &[(32, b"a")])).collect();
        assert_ne!(draws[0], draws[1]);
    }

    #[test]
    fn any_length_is_a_prefix_of_the_longer_one() {
        let [long] = &draw(1, Mode::Execute, 1, &[(1024, b"")])[..] else { unreachable!() };
        assert_eq!(long.len(), 1024);
        for length in [0, 1, 31, 32, 33, 1023] {
            assert_eq!(draw(1, Mode::Execute, 1, &[(length, b"")])[0], long[..length]);
        }
    }
}
