//! Vectors of others, in `tests/vectors/*.json`, where Python reads them too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, U256};
use evm_core::config::ChainConfig;
use evm_core::crypto::{self, Algorithm, deoxysii_open, deoxysii_seal, mrae_key, sha512_256, x25519_public};
use evm_core::envelope::{self, Envelope};
use evm_core::errors::ModuleError;
use evm_core::signed_query::{self, Chain, Leash, Query, QueryError, SignedPack};
use evm_core::transaction::Transaction;
use serde_json::Value;
use state_core::cbor;
use state_core::errors::StateError;
use state_core::tree::root_of;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

fn vectors(name: &str) -> Value {
    read(&repository().join("tests/vectors").join(name)).unwrap()
}

/// Large files of Project Wycheproof, not part of the repository.
fn wycheproof(name: &str) -> Option<Value> {
    let data = std::env::var_os("QANAT_TEST_DATA").map_or(repository().join("../shared/data"), PathBuf::from);
    let file = data.join("vectors").join(format!("wycheproof-{name}.json"));
    let value = read(&file);
    if value.is_none() {
        eprintln!("skipped: no {} (set QANAT_TEST_DATA)", file.display());
    }
    value
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

#[test]
fn roots_are_those_of_oasis_core() {
    for tree in list(&vectors("tree.json")["trees"]) {
        let items: BTreeMap<Vec<u8>, Vec<u8>> = match text(&tree["kind"]) {
            "numbered" => {
                (0..number(&tree["count"])).map(|i| (format!("key {i}").into(), format!("value {i}").into())).collect()
            }
            _ => {
                let text_bytes = text(&tree["text"]).as_bytes();
                (1..=text_bytes.len()).map(|end| (text_bytes[..end].to_vec(), text(&tree["value"]).into())).collect()
            }
        };
        assert_eq!(hex::encode(root_of(&items).unwrap()), text(&tree["root"]));
    }
}

#[test]
fn cbor_is_canonical_or_refused() {
    let vectors = vectors("cbor.json");
    for valid in list(&vectors["valid"]) {
        let value = cbor::decode(&bytes(valid)).unwrap_or_else(|error| panic!("{valid}: {error}"));
        assert_eq!(cbor::encode(&value), bytes(valid));
    }
    for invalid in list(&vectors["invalid"]) {
        assert!(cbor::decode(&bytes(&invalid[0])).is_err(), "{invalid}");
    }
}

#[test]
fn deoxysii_agrees_with_its_designers_and_with_the_clients() {
    let deoxysii = vectors("deoxysii.json");
    let primitives = vectors("primitives.json");
    for vector in list(&deoxysii["official"]).iter().chain(list(&primitives["deoxysii"])) {
        let (key, nonce) = (array(&vector["key"]), array(&vector["nonce"]));
        check_seal(&key, &nonce, &bytes(&vector["message"]), &bytes(&vector["associated"]), &bytes(&vector["sealed"]));
    }
    let lengths = &deoxysii["lengths"];
    let (key, nonce) = (array(&lengths["key"]), array(&lengths["nonce"]));
    let (message, associated) = (bytes(&lengths["message"]), bytes(&lengths["associated"]));
    for (length, sealed) in list(&lengths["sealed"]).iter().enumerate() {
        check_seal(&key, &nonce, &message[..length], &associated[..length], &bytes(sealed));
    }
}

fn check_seal(key: &[u8; 32], nonce: &[u8; 15], message: &[u8], associated: &[u8], sealed: &[u8]) {
    assert_eq!(deoxysii_seal(key, nonce, message, associated), sealed);
    assert_eq!(deoxysii_open(key, nonce, sealed, associated).as_deref(), Ok(message));
    for index in [0, sealed.len() / 2, sealed.len() - 1] {
        let mut damaged = sealed.to_vec();
        damaged[index] ^= 1;
        assert!(deoxysii_open(key, nonce, &damaged, associated).is_err());
    }
    assert!(deoxysii_open(key, nonce, &sealed[..sealed.len() - 1], associated).is_err());
    assert!(deoxysii_open(key, nonce, sealed, &[associated, b"x"].concat()).is_err());
    assert!(deoxysii_open(key, nonce, &sealed[..sealed.len().min(15)], associated).is_err());
}

#[test]
fn hashes_and_keys_agree_with_the_precompiles() {
    let primitives = vectors("primitives.json");
    for vector in list(&primitives["sha512_256"]) {
        assert_eq!(sha512_256(&[&bytes(&vector["message"])]), array(&vector["hash"]));
    }
    for vector in list(&primitives["x25519_public"]) {
        assert_eq!(x25519_public(&array(&vector["secret"])), array(&vector["public"]));
    }
    for vector in list(&vectors("keymanager-kdf.json")["vectors"]) {
        assert_eq!(x25519_public(&array(&vector["long_term_sk"])), array(&vector["long_term_pk"]));
    }
}

#[test]
fn envelopes_are_those_of_the_clients() {
    let vector = vectors("envelope.json");
    let (runtime, client) = (array(&vector["runtime_secret"]), array(&vector["client_secret"]));
    assert_eq!(x25519_public(&runtime), array(&vector["runtime_public"]));
    let client_public = x25519_public(&client);
    assert_eq!(client_public, array(&vector["client_public"]));
    let key: [u8; 32] = array(&vector["key"]);
    assert_eq!(mrae_key(&runtime, &client_public), key);
    assert_eq!(mrae_key(&client, &array(&vector["runtime_public"])), key);
    assert_eq!(mrae_key(&client, &client_public), array(&vector["key_of_client_with_itself"]));

    let Envelope::Encrypted(sealed) = envelope::parse(&bytes(&vector["envelope"])).unwrap() else { panic!() };
    assert_eq!(sealed.public_key, client_public);
    assert_eq!(sealed.nonce, array(&vector["nonce"]));
    assert_eq!(sealed.data, deoxysii_seal(&key, &sealed.nonce, &bytes(&vector["inner"]), &[]));
    let epoch = number(&vector["epoch"]);
    let opened = envelope::open(&sealed, epoch, &|asked| (asked == epoch).then_some(runtime)).unwrap();
    assert_eq!(opened.data, bytes(&vector["calldata"]));
    assert_eq!(opened.key, key);

    let nonce = array(&vector["result_nonce"]);
    assert_eq!(envelope::seal_ok(&key, &nonce, &bytes(&vector["output"])), bytes(&vector["ok"]));
    let failure = ModuleError { module: "evm", code: 8, message: text(&vector["failure"]["message"]).into() };
    assert_eq!(envelope::seal_fail(&key, &nonce, &failure), bytes(&vector["fail"]));
}

struct FixedChain {
    nonce: u64,
    current: u64,
    number: u64,
    hash: [u8; 32],
}

impl Chain for FixedChain {
    fn nonce(&self, _: Address) -> Result<u64, StateError> {
        Ok(self.nonce)
    }

    fn block_hash(&self, number: u64) -> Result<Option<[u8; 32]>, StateError> {
        Ok((number == self.number).then_some(self.hash))
    }

    fn current(&self) -> u64 {
        self.current
    }
}

fn leash(value: &Value) -> Leash {
    Leash {
        nonce: number(&value["nonce"]),
        block_number: number(&value["block_number"]),
        block_hash: array(&value["block_hash"]),
        block_range: number(&value["block_range"]),
    }
}

fn query<'a>(value: &Value, from: Address, data: &'a [u8]) -> Query<'a> {
    Query {
        chain_id: number(&value["chain_id"]),
        from,
        to: Address::from(array(&value["to"])),
        gas_limit: number(&value["gas_limit"]),
        gas_price: U256::from(number(&value["gas_price"])),
        value: U256::from(number(&value["value"])),
        data,
    }
}

#[test]
fn signed_queries_of_the_sdk_are_accepted_until_anything_is_wrong() {
    let vectors = vectors("signed-query.json");
    let vector = &list(&vectors["queries"])[0];
    let pack = signed_query::parse(&bytes(&vector["pack"])).unwrap();
    let expected = leash(&vector["leash"]);
    assert_eq!(pack.leash, expected);
    let Envelope::Format0 { data, .. } = envelope::parse(&pack.data).unwrap() else { panic!() };
    assert_eq!(data, bytes(&vector["data"]));
    let from = Address::from(array(&vector["from"]));
    let query = query(vector, from, &data);
    assert_eq!(signed_query::digest(&query, &pack.leash), array(&vector["digest"]));

    let chain = || FixedChain { nonce: 999, current: 45, number: 42, hash: expected.block_hash };
    let refusal = |pack: &SignedPack, query: &Query<'_>, chain: &FixedChain| {
        let Err(QueryError::Rejected(error)) = signed_query::verify(pack, query, chain) else { panic!() };
        assert_eq!((error.module, error.code), ("evm", 10));
        error.message.strip_prefix("invalid signed simulate call query: ").unwrap().to_owned()
    };
    assert_eq!(signed_query::verify(&pack, &query, &chain()), Ok(()));
    assert_eq!(signed_query::verify(&pack, &query, &FixedChain { current: 39, ..chain() }), Ok(()));
    assert_eq!(refusal(&pack, &query, &FixedChain { nonce: 1000, ..chain() }), "stale nonce");
    assert_eq!(refusal(&pack, &query, &FixedChain { number: 41, ..chain() }), "base block not found");
    assert_eq!(refusal(&pack, &query, &FixedChain { hash: [0; 32], ..chain() }), "unexpected base block");
    assert_eq!(refusal(&pack, &query, &FixedChain { current: 46, ..chain() }), "current block out of range");
    assert_eq!(refusal(&pack, &query, &FixedChain { current: 38, ..chain() }), "current block out of range");
    let other = Query { gas_limit: 11, ..query.clone() };
    assert_eq!(refusal(&pack, &other, &chain()), "signer != caller");

    let with_signature = |change: fn(&mut [u8; 65])| {
        let mut pack = pack.clone();
        change(&mut pack.signature);
        pack
    };
    let low_v = with_signature(|signature| signature[64] -= 27);
    assert_eq!(signed_query::verify(&low_v, &query, &chain()), Ok(()));
    assert_eq!(refusal(&with_signature(|signature| signature[64] = 4), &query, &chain()), "invalid signature");
    assert_eq!(refusal(&with_signature(|signature| signature[..32].fill(0)), &query, &chain()), "invalid signature");
    assert_eq!(
        refusal(&with_signature(|signature| signature[32..64].fill(0xff)), &query, &chain()),
        "invalid signature"
    );
    let high_s = with_signature(|signature| {
        let order =
            U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
        let s = order - U256::from_be_slice(&signature[32..64]);
        signature[32..64].copy_from_slice(&s.to_be_bytes::<32>());
        signature[64] ^= 27 ^ 28;
    });
    assert_eq!(refusal(&high_s, &query, &chain()), "signature recovery failed");
}

#[test]
fn a_signature_of_somebody_else_is_not_the_callers() {
    let vectors = vectors("signed-query.json");
    let vector = &list(&vectors["queries"])[1];
    let signer = Address::from(array(&vector["signer"]));
    let data = bytes(&vector["data"]);
    let pack = SignedPack { data: vec![], leash: leash(&vector["leash"]), signature: array(&vector["signature"]) };
    let chain = FixedChain { nonce: 0, current: 0x1235, number: 0x1234, hash: pack.leash.block_hash };
    let error = signed_query::verify(&pack, &query(vector, signer, &data), &chain).unwrap_err();
    assert!(error.to_string().ends_with("signer != caller"), "the digest covers the caller");
}

fn algorithm(value: &Value) -> Algorithm {
    Algorithm::from_id(number(&value["algorithm"])).unwrap()
}

#[test]
fn keys_and_signatures_are_those_of_the_precompiles() {
    let vectors = vectors("signatures.json");
    for vector in list(&vectors["keys"]) {
        let pair = crypto::keypair(algorithm(vector), &bytes(&vector["seed"])).unwrap();
        assert_eq!(pair, (bytes(&vector["public"]), bytes(&vector["secret"])));
    }
    for vector in list(&vectors["signatures"]) {
        let (algorithm, context, message) = (algorithm(vector), bytes(&vector["context"]), bytes(&vector["message"]));
        let (public, secret) = crypto::keypair(algorithm, &bytes(&vector["seed"])).unwrap();
        let signature = crypto::sign(algorithm, &secret, &context, &message).unwrap();
        assert_eq!(hex::encode(&signature), text(&vector["signature"]), "{algorithm:?}");
        assert_eq!(crypto::verify(algorithm, &public, &context, &message, &signature), Ok(true));
    }
    for vector in list(&vectors["verifications"]) {
        let (public, context) = (bytes(&vector["public"]), bytes(&vector["context"]));
        let (message, signature) = (bytes(&vector["message"]), bytes(&vector["signature"]));
        let valid = crypto::verify(algorithm(vector), &public, &context, &message, &signature);
        assert_eq!(valid, Ok(vector["valid"].as_bool().unwrap()));
    }
}

#[test]
fn transactions_of_upstreams_client_are_read() {
    let vectors = vectors("sdk-transactions.json");
    let domain = sha512_256(&[&bytes(&vectors["runtime_id"]), text(&vectors["chain_context"]).as_bytes()]);
    let context = format!("oasis-runtime-sdk/tx: v0 for chain {}", hex::encode(domain));
    let config = ChainConfig { sdk_context: Some(context.into_bytes()), ..ChainConfig::new(0x5afd) };
    for vector in list(&vectors["transactions"]) {
        let raw = bytes(&vector["raw"]);
        let read = Transaction::decode(&raw, &config).unwrap();
        assert_eq!((read.nonce, read.gas_limit, read.max_fee), (0, 50_000, 100_000_000_000));
        assert_eq!(read.account().as_slice(), bech32_bytes(text(&vector["sender"])));
        let mut damaged = raw.clone();
        *damaged.iter_mut().rev().nth(10).unwrap() ^= 1;
        let error = Transaction::decode(&damaged, &config).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (1, "malformed transaction: signature verification failed"));
        let other = ChainConfig { sdk_context: Some(b"another network".to_vec()), ..config.clone() };
        assert_eq!(Transaction::decode(&raw, &other).unwrap_err(), error);
        let none = ChainConfig { sdk_context: None, ..config.clone() };
        assert_eq!(Transaction::decode(&raw, &none).unwrap_err().message, "malformed transaction");
    }
    let (single, several) = (&vectors["transactions"][0], &vectors["transactions"][1]);
    let size = |vector: &Value| bytes(&vector["raw"]).len() as u64;
    let prepaid = |vector: &Value| Transaction::decode(&bytes(&vector["raw"]), &config).unwrap().prepaid_gas(&config);
    assert_eq!(prepaid(single), size(single) + 1_000, "a scheme costs no more than another");
    assert_eq!(prepaid(several), size(several) + 3 * 1_000);
}

/// What bech32 text says, without a look at its checksum.
fn bech32_bytes(text: &str) -> Vec<u8> {
    let words = text[6..text.len() - 6].bytes();
    let bits: String = words
        .map(|letter| "qpzry9x8gf2tvdw0s3jn54khce6mua7l".bytes().position(|other| other == letter).unwrap())
        .map(|value| format!("{value:05b}"))
        .collect();
    (0..bits.len() / 8).map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).unwrap()).collect()
}

#[test]
fn x25519_agrees_with_wycheproof() {
    let Some(file) = wycheproof("x25519_test") else { return };
    for vector in list(&file["testGroups"]).iter().flat_map(|group| list(&group["tests"])) {
        let (secret, public) = (array(&vector["private"]), array(&vector["public"]));
        let shared: [u8; 32] = array(&vector["shared"]);
        let expected = crypto::hmac_sha512_256(b"MRAE_Box_Deoxys-II-256-128", &[&shared]);
        assert_eq!(mrae_key(&secret, &public), expected, "{}", vector["tcId"]);
    }
}

#[test]
fn ecdsa_agrees_with_wycheproof() {
    for (name, id) in
        [("ecdsa_secp256k1_sha256_test", 5), ("ecdsa_secp256r1_sha256_test", 7), ("ecdsa_secp384r1_sha384_test", 8)]
    {
        let Some(file) = wycheproof(name) else { continue };
        for group in list(&file["testGroups"]) {
            let public = bytes(&group["publicKey"]["uncompressed"]);
            for vector in list(&group["tests"]) {
                let (message, signature) = (bytes(&vector["msg"]), bytes(&vector["sig"]));
                let hash = match id {
                    8 => <sha2::Sha384 as sha2::Digest>::digest(&message).to_vec(),
                    _ => <sha2::Sha256 as sha2::Digest>::digest(&message).to_vec(),
                };
                let valid = crypto::verify(Algorithm::from_id(id).unwrap(), &public, &hash, &[], &signature).unwrap();
                // Of two equivalent signatures on secp256k1 only the one with a low s is right here.
                let expected = text(&vector["result"]) == "valid" && !(id == 5 && has_high_s(&signature));
                assert_eq!(valid, expected, "{name} {} {}", vector["tcId"], vector["comment"]);
            }
        }
    }
}

/// Of a valid DER signature on a curve with a 256-bit order that begins with ones.
fn has_high_s(signature: &[u8]) -> bool {
    let s = &signature[4 + usize::from(signature[3])..][2..];
    let s = s.strip_prefix(&[0]).unwrap_or(s);
    let half = hex::decode("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0").unwrap();
    U256::try_from_be_slice(s).is_some_and(|s| s > U256::from_be_slice(&half))
}

#[test]
fn ed25519_agrees_with_wycheproof() {
    let Some(file) = wycheproof("ed25519_test") else { return };
    for group in list(&file["testGroups"]) {
        let public = bytes(&group["publicKey"]["pk"]);
        for vector in list(&group["tests"]) {
            let (message, signature) = (bytes(&vector["msg"]), bytes(&vector["sig"]));
            let valid = crypto::verify(Algorithm::Ed25519Pure, &public, &[], &message, &signature).unwrap_or(false);
            assert_eq!(valid, text(&vector["result"]) == "valid", "{} {}", vector["tcId"], vector["comment"]);
        }
    }
}
