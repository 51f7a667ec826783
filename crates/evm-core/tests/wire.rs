//! What clients send, well formed or not: CBOR, envelopes, signed packs.

use evm_core::crypto::{deoxysii_open, deoxysii_seal, mrae_key, x25519_public};
use evm_core::envelope::{self, Envelope, Sealed};
use evm_core::signed_query;
use proptest::prelude::*;
use state_core::cbor::{self, Value};

const RUNTIME_SECRET: [u8; 32] = [7; 32];
const CLIENT_SECRET: [u8; 32] = [9; 32];
const NONCE: [u8; 15] = [3; 15];
const EPOCH: u64 = 100;

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<u64>().prop_map(Value::Unsigned),
        (0u64..300).prop_map(Value::Unsigned),
        any::<u64>().prop_map(Value::Negative),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
        ".{0,30}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(inner.clone(), inner.clone(), 0..6)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
            (any::<u64>(), inner).prop_map(|(tag, inner)| Value::Tag(tag, Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_survives_cbor(value in value()) {
        prop_assert_eq!(cbor::decode(&cbor::encode(&value)), Ok(value));
    }

    #[test]
    fn maps_are_written_in_one_order(entries in proptest::collection::btree_map(value(), value(), 0..6)) {
        let sorted: Vec<_> = entries.into_iter().collect();
        let reversed: Vec<_> = sorted.iter().rev().cloned().collect();
        prop_assert_eq!(cbor::encode(&Value::Map(reversed)), cbor::encode(&Value::Map(sorted)));
    }

    #[test]
    fn what_decodes_is_canonical(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut data = cbor::encode(&value);
        let index = at.index(data.len());
        data[index] = byte;
        if let Ok(other) = cbor::decode(&data) {
            prop_assert_eq!(cbor::encode(&other), data);
        }
    }

    #[test]
    fn any_bytes_may_come_as_calldata(data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = cbor::decode(&data);
        let _ = signed_query::parse(&data);
        if let Ok(Envelope::Plain(plain)) = envelope::parse(&data) {
            prop_assert_eq!(plain, data);
        }
    }

    #[test]
    fn an_envelope_opens_to_what_was_sealed(
        calldata in proptest::collection::vec(any::<u8>(), 0..300),
        epoch in prop_oneof![Just(None), (EPOCH - 5..=EPOCH).prop_map(Some)],
        damage in any::<prop::sample::Index>(),
    ) {
        let inner = Value::map([("body", Value::Bytes(calldata.clone()))]);
        let sealed = parse_sealed(&envelope(&inner, epoch.map_or(Value::Undefined, Value::Unsigned)));
        let opened = envelope::open(&sealed, EPOCH, &secret_of).unwrap();
        prop_assert_eq!(&opened.data, &calldata);
        let mut damaged = sealed;
        let index = damage.index(damaged.data.len());
        damaged.data[index] ^= 1;
        prop_assert_eq!(refusal(&damaged, EPOCH), "Tag verification failed");

        let answer = cbor::decode(&envelope::seal_ok(&opened.key, &NONCE, &calldata)).unwrap();
        let Value::Map(outer) = answer else { panic!() };
        let Value::Map(body) = &outer[0].1 else { panic!() };
        let Value::Bytes(data) = &body[0].1 else { panic!() };
        let result = deoxysii_open(&opened.key, &NONCE, data, &[]).unwrap();
        prop_assert_eq!(result, cbor::encode(&Value::map([("ok", Value::Bytes(calldata))])));
    }
}

fn secret_of(epoch: u64) -> Option<[u8; 32]> {
    (epoch > 0 && epoch <= EPOCH).then_some(RUNTIME_SECRET)
}

fn body(inner: &Value, epoch: Value) -> Value {
    let key = mrae_key(&CLIENT_SECRET, &x25519_public(&RUNTIME_SECRET));
    Value::map([
        ("pk", Value::Bytes(x25519_public(&CLIENT_SECRET).to_vec())),
        ("data", Value::Bytes(deoxysii_seal(&key, &NONCE, &cbor::encode(inner), &[]))),
        ("epoch", epoch),
        ("nonce", Value::Bytes(NONCE.to_vec())),
    ])
}

fn envelope(inner: &Value, epoch: Value) -> Vec<u8> {
    cbor::encode(&Value::map([("body", body(inner, epoch)), ("format", Value::Unsigned(1))]))
}

fn parse_sealed(data: &[u8]) -> Sealed {
    let Ok(Envelope::Encrypted(sealed)) = envelope::parse(data) else { panic!("{data:02x?} is no sealed envelope") };
    sealed
}

/// The detail behind the fixed beginning of every error about an envelope.
fn refusal(sealed: &Sealed, current_epoch: u64) -> String {
    let error = envelope::open(sealed, current_epoch, &secret_of).unwrap_err();
    assert_eq!((error.module, error.code), ("core", 18));
    error.message.strip_prefix("invalid call format: ").unwrap().into()
}

fn parse_refusal(value: &Value) -> String {
    let error = envelope::parse(&cbor::encode(value)).unwrap_err();
    assert_eq!((error.module, error.code), ("core", 18));
    error.to_string()
}

fn call() -> Value {
    Value::map([("body", Value::Bytes(b"\x01\x02".to_vec()))])
}

fn bytes(length: usize) -> Value {
    Value::Bytes(vec![1; length])
}

#[test]
fn only_strict_calls_are_envelopes() {
    let format0 = |data: &[u8], read_only| Ok(Envelope::Format0 { data: data.to_vec(), read_only });
    assert_eq!(envelope::parse(&cbor::encode(&call())), format0(b"\x01\x02", false));
    let explicit =
        [("body", bytes(1)), ("format", Value::Null), ("method", Value::Undefined), ("ro", Value::Bool(true))];
    assert_eq!(envelope::parse(&cbor::encode(&Value::map(explicit))), format0(&[1], true));
    let named = [("body", bytes(1)), ("method", Value::Text("evm.Call".into()))];
    assert_eq!(envelope::parse(&cbor::encode(&Value::map(named))), format0(&[1], false));

    let unknown_format = Value::map([("body", bytes(1)), ("format", Value::Unsigned(2))]);
    let unknown_field = Value::map([("body", bytes(1)), ("data", bytes(1))]);
    let mistyped = Value::map([("body", bytes(1)), ("ro", Value::Unsigned(1))]);
    for value in [unknown_format, unknown_field, mistyped, Value::Array(vec![]), Value::Unsigned(1)] {
        let data = cbor::encode(&value);
        assert_eq!(envelope::parse(&data), Ok(Envelope::Plain(data)));
    }
    let trailing = [cbor::encode(&call()), vec![0]].concat();
    for data in [&[][..], b"\xa9\x05\x9c\xbb", &trailing] {
        assert_eq!(envelope::parse(data), Ok(Envelope::Plain(data.to_vec())));
    }
}

#[test]
fn faulty_calls_have_upstreams_messages() {
    let invalid_inner = "core: invalid call format: invalid inner data";
    for value in [Value::Null, Value::Undefined, Value::map([]), Value::map([("body", Value::Text("x".into()))])] {
        assert_eq!(parse_refusal(&value), invalid_inner);
    }
    let method = Value::map([
        ("body", body(&call(), Value::Null)),
        ("format", Value::Unsigned(1)),
        ("method", Value::Text("m".into())),
    ]);
    assert_eq!(parse_refusal(&method), "core: invalid call format: non-empty method");
    let whole = [("pk", bytes(32)), ("data", bytes(20)), ("nonce", bytes(15))];
    let with = |index: usize, value: Value| {
        let mut fields = whole.clone();
        fields[index].1 = value;
        Value::map(fields)
    };
    let extra = Value::map([("pk", bytes(32)), ("data", bytes(20)), ("nonce", bytes(15)), ("x", bytes(1))]);
    for body in
        [bytes(3), with(0, bytes(31)), with(1, Value::Unsigned(1)), with(2, bytes(16)), with(2, Value::Null), extra]
    {
        let envelope = Value::map([("body", body), ("format", Value::Unsigned(1))]);
        assert_eq!(parse_refusal(&envelope), "core: invalid call format: bad call envelope");
    }
}

#[test]
fn epochs_reach_five_back_and_never_forward() {
    let at = |epoch| parse_sealed(&envelope(&call(), Value::Unsigned(epoch)));
    assert!(envelope::open(&at(95), 100, &secret_of).is_ok());
    assert_eq!(refusal(&at(94), 100), "epoch too far in the past");
    assert_eq!(refusal(&at(101), 100), "epoch in the future");
    assert_eq!(refusal(&at(102), 103), "invalid epoch");
}

#[test]
fn without_an_epoch_the_current_key_and_the_one_before_are_tried() {
    let sealed = parse_sealed(&envelope(&call(), Value::Unsigned(0)));
    assert!(envelope::open(&sealed, 101, &secret_of).is_ok(), "no key yet of the current epoch");
    let changed = |epoch: u64| Some(if epoch == 100 { RUNTIME_SECRET } else { [1; 32] });
    assert!(envelope::open(&sealed, 101, &changed).is_ok(), "sealed to the key before");
    assert_eq!(refusal(&sealed, 102), "invalid epoch");
    assert_eq!(refusal(&sealed, 0), "invalid epoch");
}

#[test]
fn the_plaintext_must_be_a_call_with_the_same_flag() {
    let inside = |inner: Value| refusal(&parse_sealed(&envelope(&inner, Value::Null)), EPOCH);
    assert_eq!(inside(Value::Unsigned(1)), "malformed call");
    assert_eq!(inside(Value::map([("body", bytes(1)), ("ro", Value::Bool(true))])), "read-only flag mismatch");
    assert_eq!(inside(Value::map([("body", Value::map([]))])), "invalid inner data");
    assert_eq!(inside(Value::Null), "invalid inner data");
}

#[test]
fn keys_of_opened_envelopes_are_not_printed() {
    let opened = envelope::open(&parse_sealed(&envelope(&call(), Value::Null)), EPOCH, &secret_of).unwrap();
    assert_eq!(format!("{opened:?}"), "<secret>");
}

#[test]
fn a_signed_pack_needs_all_its_parts() {
    let leash = Value::map([
        ("nonce", Value::Unsigned(1)),
        ("block_hash", bytes(32)),
        ("block_range", Value::Unsigned(2)),
        ("block_number", Value::Unsigned(3)),
    ]);
    let whole = [("data", call()), ("leash", leash), ("signature", bytes(65))];
    let parse = |fields: [(&str, Value); 3]| signed_query::parse(&cbor::encode(&Value::map(fields)));
    let pack = parse(whole.clone()).unwrap();
    assert_eq!((pack.leash.nonce, pack.leash.block_range, pack.leash.block_number), (1, 2, 3));
    for (index, faulty) in [
        (0, bytes(3)),
        (1, Value::map([("block_hash", bytes(31))])),
        (1, Value::map([("block_hash", bytes(32)), ("x", Value::Null)])),
        (2, bytes(64)),
        (2, Value::Null),
    ] {
        let mut fields = whole.clone();
        fields[index].1 = faulty;
        assert_eq!(parse(fields), None);
    }
    assert_eq!(signed_query::parse(&cbor::encode(&call())), None);
}
