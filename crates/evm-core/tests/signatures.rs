//! The nine algorithms: round trips, and what happens to arguments that are wrong.

use evm_core::crypto::{Algorithm, SignatureError, keypair, sign, verify};
use proptest::prelude::*;

fn algorithms() -> impl Iterator<Item = Algorithm> {
    (0..9).map(|id| Algorithm::from_id(id).unwrap())
}

/// A usable seed and a context, or hash, of the right length.
fn arguments(algorithm: Algorithm, byte: u8) -> (Vec<u8>, Vec<u8>) {
    let (seed, hash) = match algorithm {
        Algorithm::Secp384r1PrehashedSha384 => (48, 48),
        Algorithm::Ed25519PrehashedSha512 => (32, 64),
        _ => (32, 32),
    };
    (vec![byte; seed], vec![byte; hash])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        byte in 2u8..0xfe,
        message in proptest::collection::vec(any::<u8>(), 1..100),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        for algorithm in algorithms() {
            let (seed, context) = arguments(algorithm, byte);
            let (public, secret) = keypair(algorithm, &seed).unwrap();
            let signature = sign(algorithm, &secret, &context, &message).unwrap();
            prop_assert_eq!(&sign(algorithm, &secret, &context, &message).unwrap(), &signature, "deterministic");
            prop_assert_eq!(verify(algorithm, &public, &context, &message, &signature), Ok(true));

            let mut damaged = signature.clone();
            damaged[at.index(signature.len())] ^= 1 << bit;
            prop_assert_eq!(verify(algorithm, &public, &context, &message, &damaged), Ok(false));
            prop_assert_eq!(verify(algorithm, &public, &context, &message, &signature[1..]), Ok(false));
            let (other, _) = keypair(algorithm, &arguments(algorithm, byte ^ 1).0).unwrap();
            prop_assert_eq!(verify(algorithm, &other, &context, &message, &signature), Ok(false));
            let mut context = context;
            context[0] ^= 1;
            let ignored = algorithm == Algorithm::Ed25519Pure;
            prop_assert_eq!(verify(algorithm, &public, &context, &message, &signature), Ok(ignored));
            let ignored = algorithm.is_prehashed();
            context[0] ^= 1;
            prop_assert_eq!(verify(algorithm, &public, &context, b"other message", &signature), Ok(ignored));
        }
    }

    #[test]
    fn any_bytes_may_come_as_arguments(
        id in 0u64..9,
        key in proptest::collection::vec(any::<u8>(), 0..100),
        context in proptest::collection::vec(any::<u8>(), 0..70),
        signature in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let algorithm = Algorithm::from_id(id).unwrap();
        prop_assert_ne!(verify(algorithm, &key, &context, b"message", &signature), Ok(true));
        let _ = sign(algorithm, &key, &context, b"message");
        let _ = keypair(algorithm, &key);
    }
}

#[test]
fn there_are_nine_algorithms() {
    assert_eq!(Algorithm::from_id(9), None);
    assert_eq!(Algorithm::from_id(u64::MAX), None);
}

#[test]
fn a_hash_of_another_length_cannot_be_signed_and_verifies_nothing() {
    for algorithm in algorithms().filter(|algorithm| algorithm.is_prehashed()) {
        let (seed, hash) = arguments(algorithm, 5);
        let (public, secret) = keypair(algorithm, &seed).unwrap();
        let signature = sign(algorithm, &secret, &hash, &[]).unwrap();
        let error = SignatureError("error signing message: invalid argument");
        assert_eq!(sign(algorithm, &secret, &hash[1..], &[]), Err(error));
        assert_eq!(verify(algorithm, &public, &hash[1..], &[], &signature), Ok(false));
    }
}

#[test]
fn unusable_keys_are_errors() {
    for algorithm in algorithms() {
        let (seed, context) = arguments(algorithm, 5);
        let (public, secret) = keypair(algorithm, &seed).unwrap();
        assert!(keypair(algorithm, &seed[1..]).is_err());
        assert!(keypair(algorithm, &[&seed[..], &[1]].concat()).is_err());
        assert!(sign(algorithm, &secret[1..], &context, &[]).is_err());
        let unreadable = Err(SignatureError("error reading public key"));
        assert_eq!(verify(algorithm, &public[1..], &context, &[], &[0; 64]), unreadable);
    }
    for algorithm in [Algorithm::Secp256k1Oasis, Algorithm::Secp256r1PrehashedSha256] {
        assert!(keypair(algorithm, &[0; 32]).is_err(), "zero is no private key");
        assert!(keypair(algorithm, &[0xff; 32]).is_err(), "nor what is above the order");
    }
}

#[test]
fn a_point_off_the_curve_is_readable_on_ecdsa_and_not_on_edwards_curves() {
    let off_k1 = [&[2][..], &[0; 31], &[5]].concat();
    assert_eq!(verify(Algorithm::Secp256k1Oasis, &off_k1, b"", b"", &[]), Ok(false));
    let off_edwards = [&[2][..], &[0; 31]].concat();
    let unreadable = Err(SignatureError("error reading public key"));
    assert_eq!(verify(Algorithm::Ed25519Pure, &off_edwards, b"", b"", &[0; 64]), unreadable);
    assert_eq!(verify(Algorithm::Sr25519Pure, &[0xff; 32], b"", b"", &[0; 64]), unreadable);
}

#[test]
fn old_expanded_ed25519_keys_sign_the_same() {
    let seed = [42; 32];
    let expanded = <sha2::Sha512 as sha2::Digest>::digest(seed);
    for algorithm in algorithms().take(3) {
        let (_, hash) = arguments(algorithm, 1);
        assert_eq!(sign(algorithm, &expanded, &hash, b"message"), sign(algorithm, &seed, &hash, b"message"));
    }
}

#[test]
fn small_order_keys_sign_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let signature = [identity, [0; 32]].concat();
    assert_eq!(verify(Algorithm::Ed25519Pure, &identity, b"", b"anything", &signature), Ok(false));
    assert_eq!(verify(Algorithm::Ed25519Oasis, &identity, b"", b"anything", &signature), Ok(false));
}
