//! Instances: how they register, end, and who pays for them.

use state_core::cbor::{self, Fields, Value};

use super::{
    EXTRA_KEY_UPDATE, FORBIDDEN, INVALID_ARGUMENT, NAME, NOT_SIGNED_BY_EXTRA_KEY, NOT_SIGNED_BY_RAK, Outcome,
    REGISTERED, REGISTRATION_EXPIRED, Refusal, UNKNOWN_APP,
    policy::{self, NODE_PAYS},
    require,
    state::{self, ENDS, Endorsed, app_key, end_key, endorsed_key, key_id, read_end, registration_key},
    take_pairs,
};
use crate::{
    context::{OriginKey, SapphireContext},
    crypto::{Algorithm, verify},
    database::StateDatabase,
    errors::ModuleError,
    failure::{EngineError, core},
    keys::Key,
    layout::{OasisAddress, staking_address},
    modules::{
        reading::{address_value, fields, take_address, take_number},
        record, tell, write,
    },
    sdk_transaction::SdkParts,
    subcall::Request,
};

/// Source: oasis-core `runtime/src/consensus/registry.rs` @ f9f1fdc.
const ENDORSEMENT_CONTEXT: &[u8] = b"oasis-core/node: endorse TEE capability";
const MAX_EXTRA_KEYS: usize = 7;
/// Instances that end in one round.
const MAX_ENDS: usize = 128;

/// An enclave with its keys, and the node that answers for it.
struct Endorsement {
    capability: Value,
    rak: [u8; 32],
    rek: [u8; 32],
    node: [u8; 32],
    signature: Vec<u8>,
}

impl Endorsement {
    fn read(value: Value) -> Option<Self> {
        let mut fields = Fields::of(value)?;
        let capability = fields.take("capability_tee")?;
        let mut inner = Fields::of(capability.clone())?;
        let key = |inner: &mut Fields, name| -> Option<[u8; 32]> { inner.take(name)?.into_bytes()?.try_into().ok() };
        let (rak, rek) = (key(&mut inner, "rak")?, key(&mut inner, "rek")?);
        let mut endorsement = Fields::of(fields.take("node_endorsement")?)?;
        let node = key(&mut endorsement, "public_key")?;
        let signature = endorsement.take("signature")?.into_bytes()?;
        (fields.is_empty() && endorsement.is_empty()).then_some(Self { capability, rak, rek, node, signature })
    }

    fn is_signed(&self) -> bool {
        let message = cbor::encode(&self.capability);
        verify(Algorithm::Ed25519Oasis, &self.node, ENDORSEMENT_CONTEXT, &message, &self.signature) == Ok(true)
    }
}

struct Register {
    app: OasisAddress,
    endorsement: Endorsement,
    expiration: u64,
    extra_keys: Vec<Key>,
    metadata: Value,
    proof: Value,
}

impl Register {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut body = fields(body).ok_or(INVALID_ARGUMENT)?;
        let extra_keys = match body.take("extra_keys") {
            None => Vec::new(),
            Some(Value::Array(keys)) if keys.len() <= MAX_EXTRA_KEYS => keys,
            Some(_) => return Err(INVALID_ARGUMENT),
        };
        let extra_keys = extra_keys.into_iter().map(Key::read).collect::<Result<Vec<_>, _>>();
        let read = Self {
            app: take_address(&mut body, "app").ok_or(INVALID_ARGUMENT)?,
            endorsement: body.take("ect").and_then(Endorsement::read).ok_or(INVALID_ARGUMENT)?,
            expiration: take_number(&mut body, "expiration").ok_or(INVALID_ARGUMENT)?,
            extra_keys: extra_keys.map_err(|_| INVALID_ARGUMENT)?,
            metadata: take_pairs(&mut body, "metadata", false)?,
            proof: body.take("proof").filter(|proof| matches!(proof, Value::Bytes(_))).ok_or(INVALID_ARGUMENT)?,
        };
        body.is_empty().then_some(read).ok_or(INVALID_ARGUMENT)
    }
}

pub(super) fn register(context: &mut SapphireContext<'_>, request: &Request<'_>) -> Outcome {
    let epoch = context.chain.environment.epoch;
    if !context.chain.origin.is_direct {
        return Ok(Err(FORBIDDEN));
    }
    let asked = require!(Register::read(request.body));
    if asked.expiration <= epoch {
        return Ok(Err(REGISTRATION_EXPIRED));
    }
    let Some(app) = record(context, &app_key(&asked.app))? else { return Ok(Err(UNKNOWN_APP)) };
    let app = super::App::decode(&app)?;
    if asked.expiration - epoch > app.terms.max_expiration {
        return Ok(Err(INVALID_ARGUMENT));
    }
    let rak = Key::Ed25519(asked.endorsement.rak);
    let has_signed = |key: &Key| context.chain.origin.signers.contains(&OriginKey::Known(key.clone()));
    if !has_signed(&rak) {
        return Ok(Err(NOT_SIGNED_BY_RAK));
    }
    if !asked.extra_keys.iter().all(has_signed) {
        return Ok(Err(NOT_SIGNED_BY_EXTRA_KEY));
    }
    if !asked.endorsement.is_signed() {
        return Ok(Err(INVALID_ARGUMENT));
    }
    require!(verify_free(context, &asked, &rak)?);
    let entity = require!(judge(context, &asked, app.policy)?);
    save(context, &asked, &rak, entity)
}

/// Verifies that the keys speak for nobody else: neither for another app nor for another instance.
fn verify_free(
    context: &mut SapphireContext<'_>,
    asked: &Register,
    rak: &Key,
) -> Result<Result<(), Refusal>, EngineError> {
    let epoch = context.chain.environment.epoch;
    for key in asked.extra_keys.iter().chain([rak]) {
        let Some(found) = record(context, &endorsed_key(&key_id(key)))? else { continue };
        let held = Endorsed::decode(&found)?;
        let own = (key != rak).then_some(asked.endorsement.rak);
        if held.expiration > epoch && (held.app != asked.app || held.rak != own) {
            return Ok(Err(FORBIDDEN));
        }
    }
    Ok(Ok(()))
}

/// Has the evidence judged; gives the entity of the node, where that is registered.
fn judge(
    context: &mut SapphireContext<'_>,
    asked: &Register,
    policy: Value,
) -> Result<Result<Value, Refusal>, EngineError> {
    let environment = context.chain.environment;
    let question = Value::map([
        ("capability", asked.endorsement.capability.clone()),
        ("node_id", Value::Bytes(asked.endorsement.node.to_vec())),
        ("policy", policy),
        ("proof", asked.proof.clone()),
        ("epoch", Value::Unsigned(environment.epoch)),
        ("now", Value::Unsigned(environment.parent_timestamp)),
    ]);
    let Some(attested) = context.chain.attested else { return Ok(Err(FORBIDDEN)) };
    let answer = attested.judge(&cbor::encode(&question))?;
    let mut answer = fields(&answer).ok_or_else(|| EngineError::Config("the judge answers nonsense".into()))?;
    match take_number(&mut answer, "code") {
        Some(0) => Ok(Ok(answer.take("entity_id").unwrap_or(Value::Null))),
        Some(code) => Ok(Err(Refusal(code))),
        None => Err(EngineError::Config("the judge answers nonsense".into())),
    }
}

fn save(context: &mut SapphireContext<'_>, asked: &Register, rak: &Key, entity: Value) -> Outcome {
    let (app, id) = (&asked.app, key_id(rak));
    let extra_keys = Value::Array(asked.extra_keys.iter().map(Key::value).collect());
    if let Some(before) = record(context, &registration_key(app, &id))? {
        let mut before = fields(&before).ok_or_else(|| state::corrupt("a registration"))?;
        if before.take("extra_keys") != Some(extra_keys.clone()) {
            return Ok(Err(EXTRA_KEY_UPDATE));
        }
        let ended = take_number(&mut before, "expiration").ok_or_else(|| state::corrupt("a registration"))?;
        write(context, end_key(ended, app, &id), None);
    }
    let registration = Value::map([
        ("app", address_value(app)),
        ("node_id", Value::Bytes(asked.endorsement.node.to_vec())),
        ("entity_id", entity),
        ("rak", Value::Bytes(asked.endorsement.rak.to_vec())),
        ("rek", Value::Bytes(asked.endorsement.rek.to_vec())),
        ("expiration", Value::Unsigned(asked.expiration)),
        ("extra_keys", extra_keys),
        ("metadata", asked.metadata.clone()),
    ]);
    write(context, registration_key(app, &id), Some(cbor::encode(&registration)));
    write(context, end_key(asked.expiration, app, &id), Some(vec![1]));
    for key in asked.extra_keys.iter().chain([rak]) {
        let endorsed = Endorsed {
            app: *app,
            node: asked.endorsement.node,
            rak: (key != rak).then_some(asked.endorsement.rak),
            expiration: asked.expiration,
        };
        write(context, endorsed_key(&key_id(key)), Some(endorsed.encode()));
    }
    tell(context, (NAME, REGISTERED), Value::map([("app_id", address_value(app)), ("rak", rak.value())]));
    Ok(Ok(Value::Null))
}

/// Removes instances whose time is over; those that are too many for one round follow in the next.
pub(crate) fn expire(database: &mut StateDatabase<'_>, epoch: u64) -> Result<(), EngineError> {
    for (key, _) in database.records(ENDS, MAX_ENDS)? {
        let (end, app, id) = read_end(&key).ok_or_else(|| state::corrupt("the end of an instance"))?;
        if end > epoch {
            break;
        }
        database.write_record(key, None);
        let place = registration_key(&app, &id);
        let registration = database.record(&place)?.and_then(|record| fields(&record));
        let mut registration = registration.ok_or_else(|| state::corrupt("a registration"))?;
        database.write_record(place, None);
        let extra_keys = match registration.take("extra_keys") {
            Some(Value::Array(keys)) => keys.into_iter().filter_map(|key| Key::read(key).ok()).collect(),
            _ => Vec::new(),
        };
        let rak = registration.take("rak").and_then(Value::into_bytes);
        let rak: [u8; 32] = rak.and_then(|rak| rak.try_into().ok()).ok_or_else(|| state::corrupt("a registration"))?;
        for key in extra_keys.iter().chain([&Key::Ed25519(rak)]) {
            let place = endorsed_key(&key_id(key));
            let Some(held) = database.record(&place)? else { continue };
            let held = Endorsed::decode(&held)?;
            let own = (*key != Key::Ed25519(rak)).then_some(rak);
            // Since it ended, the key may have begun to speak for another.
            if held.app == app && held.rak == own && held.expiration <= epoch {
                database.write_record(place, None);
            }
        }
    }
    Ok(())
}

/// Reads a record of the state.
pub(crate) type Lookup<'a> = dyn Fn(&[u8]) -> Result<Option<Vec<u8>>, EngineError> + 'a;

/// Who pays for a transaction instead of its sender, as the app that it names has it: None for nobody else.
pub(crate) fn payer(
    parts: &SdkParts,
    epoch: u64,
    lookup: &Lookup<'_>,
) -> Result<Result<Option<OasisAddress>, ModuleError>, EngineError> {
    let Some(app) = parts.proxy else { return Ok(Ok(None)) };
    let refused = |what: &str| Ok(Err(core(10, format!("invalid argument: {what}"))));
    let Some(found) = lookup(&app_key(&app))? else { return refused("unknown application") };
    let policy = fields(&found).and_then(|mut app| app.take("policy")).and_then(|policy| policy::read(&policy).ok());
    if policy.ok_or_else(|| state::corrupt("an app"))?.fees != NODE_PAYS {
        return Ok(Ok(None));
    }
    if parts.call.method == "rofl.Register" {
        let Ok(asked) = Register::read(&cbor::encode(&parts.call.body)) else { return refused("invalid argument") };
        if asked.app != app || asked.expiration <= epoch {
            return refused("registration expired");
        }
        if parts.sender().key() != Some(&Key::Ed25519(asked.endorsement.rak)) {
            return refused("tx not signed by RAK");
        }
        if !asked.endorsement.is_signed() {
            return refused("invalid endorsement");
        }
        return Ok(Ok(Some(staking_address(&asked.endorsement.node))));
    }
    let Some(sender) = parts.sender().key() else { return Ok(Ok(None)) };
    let Some(endorsed) = lookup(&endorsed_key(&key_id(sender)))? else { return Ok(Ok(None)) };
    let endorsed = Endorsed::decode(&endorsed)?;
    if endorsed.app != app {
        return refused("invalid argument");
    }
    Ok(Ok((endorsed.expiration > epoch).then(|| staking_address(&endorsed.node))))
}
