//! Attested apps: who they are, which of their instances are registered, and what the origin of a transaction is.
//!
//! Source: oasis-sdk `runtime-sdk/src/modules/rofl` @ 00da39c. Differs: the evidence of an instance comes with a proof
//! of consensus state about the node that endorses it, since an enclave here reads consensus by proofs alone; a key
//! speaks for one instance at a time; and an app that is removed takes the rights of its instances along.

mod policy;
mod query;
mod register;
mod state;

pub(crate) use self::{
    query::{is_query, query},
    register::{expire, payer},
};

use std::sync::LazyLock;

use alloy_primitives::{Address, U256};
use revm::context::{ContextTr, JournalTr};
use state_core::cbor::{self, Fields, Value};

use self::state::{APPS, Endorsed, app_key, endorsed_key, origin_id, registration_key};
use super::{
    reading::{address_value, fields, quantity_value, take_address, take_number},
    record, tell, write,
};
use crate::{
    attested::KeyPair,
    context::{OriginKey, SapphireContext},
    crypto::{sha512_256, x25519_public},
    failure::{CORE, EngineError},
    keys::Key,
    layout::{OasisAddress, module_address},
    subcall::{Reply, Request},
};

pub(crate) const NAME: &str = "rofl";

/// Code of the module for why a method did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub u64);

const INVALID_ARGUMENT: Refusal = Refusal(1);
const UNKNOWN_APP: Refusal = Refusal(2);
const NOT_SIGNED_BY_RAK: Refusal = Refusal(3);
const NOT_SIGNED_BY_EXTRA_KEY: Refusal = Refusal(4);
const REGISTRATION_EXPIRED: Refusal = Refusal(8);
const EXTRA_KEY_UPDATE: Refusal = Refusal(9);
const APP_EXISTS: Refusal = Refusal(10);
const FORBIDDEN: Refusal = Refusal(11);
const UNKNOWN_INSTANCE: Refusal = Refusal(12);
const PLAIN_CALL: Refusal = Refusal(13);
/// Of the module `accounts`, beyond the codes of this one: the stake is not there.
const INSUFFICIENT_BALANCE: Refusal = Refusal(u64::MAX);
/// Of the module `core`: it would change something in a read-only call.
const READ_ONLY: Refusal = Refusal(u64::MAX - 1);
/// Of the module `core`: contracts cannot ask for it, or only they can.
const NO_METHOD: Refusal = Refusal(u64::MAX - 2);

const MANAGE_GAS: u64 = 100_000;
const REMOVE_GAS: u64 = 10_000;
const DERIVE_GAS: u64 = 10_000;
const ORIGIN_GAS: u64 = 1_000;
const ORIGIN_OWNER_GAS: u64 = 2_000;
const THRESHOLDS_GAS: u64 = 10;

const MAX_PAIRS: usize = 64;
const MAX_KEY_BYTES: usize = 1_024;
const MAX_VALUE_BYTES: usize = 16 * 1_024;
const MAX_KEY_ID_BYTES: usize = 128;

/// What an app locks while it is there [base units]. Source: sapphire-paratime `runtime/src/lib.rs`.
const STAKE: u128 = 100 * 1_000_000_000_000_000_000;
/// Holds the stake of all apps: `oasis1qza6sddnalgzexk3ct30gqfvntgth5m4hsyywmff`.
static STAKE_POOL: LazyLock<OasisAddress> = LazyLock::new(|| module_address(NAME, "app-stake-pool"));

const DERIVE_KEY: &[u8] = b"oasis-runtime-sdk/rofl: derive key v1";
/// Name of the key to which secrets of an app are encrypted.
const SECRETS_KEY: &[u8] = b"oasis-runtime-sdk/rofl: secrets encryption key v1";
const ENTROPY: u8 = 0;
const X25519: u8 = 1;

const CREATED: u32 = 1;
const UPDATED: u32 = 2;
const REMOVED: u32 = 3;
const REGISTERED: u32 = 4;

/// The outer error is fatal for the block.
type Outcome = Result<Result<Value, Refusal>, EngineError>;

/// Lets a refusal be the outcome.
macro_rules! require {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}
use require;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Create,
    Update,
    Remove,
    Register,
    DeriveKey,
    IsAuthorizedOrigin,
    AuthorizedOriginNode,
    AuthorizedOriginEntity,
    OriginApp,
    StakeThresholds,
}

impl Method {
    fn find(name: &str) -> Option<(u64, Self)> {
        Some(match name {
            "rofl.Create" => (MANAGE_GAS, Self::Create),
            "rofl.Update" => (MANAGE_GAS, Self::Update),
            "rofl.Remove" => (REMOVE_GAS, Self::Remove),
            "rofl.Register" => (MANAGE_GAS, Self::Register),
            "rofl.DeriveKey" => (DERIVE_GAS, Self::DeriveKey),
            "rofl.IsAuthorizedOrigin" => (ORIGIN_GAS, Self::IsAuthorizedOrigin),
            "rofl.AuthorizedOriginNode" => (ORIGIN_OWNER_GAS, Self::AuthorizedOriginNode),
            "rofl.AuthorizedOriginEntity" => (ORIGIN_OWNER_GAS, Self::AuthorizedOriginEntity),
            "rofl.OriginApp" => (ORIGIN_GAS, Self::OriginApp),
            "rofl.StakeThresholds" => (THRESHOLDS_GAS, Self::StakeThresholds),
            _ => return None,
        })
    }

    fn changes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Remove | Self::Register)
    }

    /// Whether only contracts ask for it.
    fn is_internal(self) -> bool {
        !self.changes() && self != Self::DeriveKey
    }
}

/// Answers a method of the module; None where it has no such method. `caller` is how the EVM knows who asks.
pub fn call(
    request: &Request<'_>,
    context: &mut SapphireContext<'_>,
    caller: Address,
) -> Result<Option<Reply>, EngineError> {
    let Some((gas, method)) = Method::find(request.method) else { return Ok(None) };
    if let Some(reply) = request.charge(gas) {
        return Ok(Some(reply));
    }
    let outcome = if method.is_internal() && context.chain.origin.is_direct {
        Err(NO_METHOD)
    } else if method.changes() && request.read_only {
        Err(READ_ONLY)
    } else {
        answer(method, request, context, caller)?
    };
    Ok(Some(match outcome {
        Ok(value) => Reply { status: 0, data: cbor::encode(&value), gas_used: gas },
        Err(INSUFFICIENT_BALANCE) => Reply { status: 2, data: b"accounts".to_vec(), gas_used: gas },
        Err(READ_ONLY) => Reply { status: 25, data: CORE.as_bytes().to_vec(), gas_used: gas },
        Err(NO_METHOD) => Reply { status: 3, data: CORE.as_bytes().to_vec(), gas_used: gas },
        Err(Refusal(code)) => Reply { status: code, data: NAME.as_bytes().to_vec(), gas_used: gas },
    }))
}

fn answer(method: Method, request: &Request<'_>, context: &mut SapphireContext<'_>, caller: Address) -> Outcome {
    match method {
        Method::Create => create(context, request, caller),
        Method::Update => update(context, request),
        Method::Remove => remove(context, request),
        Method::Register => register::register(context, request),
        Method::DeriveKey => derive_key(context, request),
        Method::IsAuthorizedOrigin => {
            let app = require!(app_id(request.body));
            Ok(Ok(Value::Bool(origin_of_app(context, &app)?.is_some())))
        }
        Method::AuthorizedOriginNode => {
            let app = require!(app_id(request.body));
            Ok(origin_of_app(context, &app)?.map(|one| Value::Bytes(one.node.to_vec())).ok_or(UNKNOWN_INSTANCE))
        }
        Method::AuthorizedOriginEntity => {
            let app = require!(app_id(request.body));
            let Some(origin) = origin_of_app(context, &app)? else { return Ok(Err(UNKNOWN_INSTANCE)) };
            Ok(Ok(instance(context, &origin)?.take("entity_id").unwrap_or(Value::Null)))
        }
        Method::OriginApp => {
            if !matches!(cbor::decode(request.body), Ok(Value::Null | Value::Undefined)) {
                return Ok(Err(INVALID_ARGUMENT));
            }
            Ok(origin(context)?.map(|(_, one)| address_value(&one.app)).ok_or(UNKNOWN_INSTANCE))
        }
        Method::StakeThresholds => Ok(Ok(query::stake_thresholds())),
    }
}

fn app_id(body: &[u8]) -> Result<OasisAddress, Refusal> {
    match cbor::decode(body) {
        Ok(Value::Bytes(id)) => id.try_into().map_err(|_| INVALID_ARGUMENT),
        _ => Err(INVALID_ARGUMENT),
    }
}

// -- the origin ---------------------------------------------------------------------------------

/// An instance that is the origin of the running message.
struct OriginInstance {
    app: OasisAddress,
    node: [u8; 32],
    key: state::KeyId,
}

/// The key that sent the transaction, and for whom it speaks, while the registration lasts and the app is there.
fn origin(context: &mut SapphireContext<'_>) -> Result<Option<(OriginKey, Endorsed)>, EngineError> {
    let Some(sender) = context.chain.origin.signers.first().cloned() else { return Ok(None) };
    let Some(found) = record(context, &endorsed_key(&origin_id(&sender)))? else { return Ok(None) };
    let endorsed = Endorsed::decode(&found)?;
    let lasts = endorsed.expiration > context.chain.environment.epoch;
    let is_there = lasts && record(context, &app_key(&endorsed.app))?.is_some();
    Ok(is_there.then_some((sender, endorsed)))
}

fn origin_of_app(context: &mut SapphireContext<'_>, app: &OasisAddress) -> Result<Option<OriginInstance>, EngineError> {
    let Some((sender, endorsed)) = origin(context)?.filter(|(_, one)| one.app == *app) else { return Ok(None) };
    let key = match endorsed.rak {
        Some(rak) => state::key_id(&Key::Ed25519(rak)),
        None => origin_id(&sender),
    };
    Ok(Some(OriginInstance { app: *app, node: endorsed.node, key }))
}

/// The registration of an instance.
fn instance(context: &mut SapphireContext<'_>, origin: &OriginInstance) -> Result<Fields, EngineError> {
    let found = record(context, &registration_key(&origin.app, &origin.key))?;
    found.and_then(|record| fields(&record)).ok_or_else(|| state::corrupt("a registration"))
}

// -- apps -----------------------------------------------------------------------------------------

/// An app as it is stored and shown.
struct App {
    id: OasisAddress,
    policy: Value,
    terms: policy::Terms,
    admin: Option<OasisAddress>,
    stake: Value,
    metadata: Value,
    secrets: Value,
    sek: Value,
}

impl App {
    fn encode(&self) -> Vec<u8> {
        cbor::encode(&Value::map([
            ("id", address_value(&self.id)),
            ("policy", self.policy.clone()),
            ("admin", self.admin.as_ref().map_or(Value::Null, address_value)),
            ("stake", self.stake.clone()),
            ("metadata", self.metadata.clone()),
            ("secrets", self.secrets.clone()),
            ("sek", self.sek.clone()),
        ]))
    }

    fn decode(encoded: &[u8]) -> Result<Self, EngineError> {
        let read = || {
            let mut fields = fields(encoded)?;
            let policy = fields.take("policy")?;
            Some(Self {
                id: take_address(&mut fields, "id")?,
                terms: policy::read(&policy).ok()?,
                policy,
                admin: take_address(&mut fields, "admin"),
                stake: fields.take("stake")?,
                metadata: fields.take("metadata")?,
                secrets: fields.take("secrets")?,
                sek: fields.take("sek")?,
            })
        };
        read().ok_or_else(|| state::corrupt("an app"))
    }

    fn load(context: &mut SapphireContext<'_>, id: &OasisAddress) -> Result<Option<Self>, EngineError> {
        record(context, &app_key(id))?.map(|found| Self::decode(&found)).transpose()
    }
}

fn stake_value() -> Value {
    Value::Array(vec![quantity_value(STAKE), Value::Bytes(Vec::new())])
}

/// Pairs of text and text, or text and bytes; nothing where the field is left out.
fn take_pairs(fields: &mut Fields, name: &str, is_secret: bool) -> Result<Value, Refusal> {
    let entries = match fields.take(name) {
        None => Vec::new(),
        Some(Value::Map(entries)) => entries,
        Some(_) => return Err(INVALID_ARGUMENT),
    };
    let fits = |(key, value): &(Value, Value)| {
        let value_bytes = match value {
            Value::Text(text) if !is_secret => text.len(),
            Value::Bytes(bytes) if is_secret => bytes.len(),
            _ => return false,
        };
        matches!(key, Value::Text(key) if key.len() <= MAX_KEY_BYTES) && value_bytes <= MAX_VALUE_BYTES
    };
    if entries.len() > MAX_PAIRS || !entries.iter().all(fits) {
        return Err(INVALID_ARGUMENT);
    }
    Ok(Value::Map(entries))
}

fn create(context: &mut SapphireContext<'_>, request: &Request<'_>, caller: Address) -> Outcome {
    let mut body = require!(fields(request.body).ok_or(INVALID_ARGUMENT));
    let asked = body.take("policy").unwrap_or_else(|| Value::Map(Vec::new()));
    let scheme = require!(take_number(&mut body, "scheme").ok_or(INVALID_ARGUMENT));
    let metadata = require!(take_pairs(&mut body, "metadata", false));
    if !body.is_empty() {
        return Ok(Err(INVALID_ARGUMENT));
    }
    let terms = require!(policy::read(&asked));
    let id = match scheme {
        0 => {
            let round = context.chain.environment.parent_round;
            let index = u32::try_from(context.chain.origin.index).unwrap_or(u32::MAX);
            let place = [round.to_be_bytes().as_slice(), &index.to_be_bytes()].concat();
            hashed_id(b"oasis-sdk/rofl: cri app id", request.caller, &place)
        }
        1 => {
            let nonce = context.journal_mut().load_account(caller)?.data.info.nonce;
            hashed_id(b"oasis-sdk/rofl: cn app id", request.caller, &nonce.to_be_bytes())
        }
        _ => return Ok(Err(INVALID_ARGUMENT)),
    };
    if record(context, &app_key(&id))?.is_some() {
        return Ok(Err(APP_EXISTS));
    }
    let sek = require!(secrets_key(context, &id)?);
    let journal = context.journal_mut();
    let pool = journal.db_mut().journal_address(&STAKE_POOL);
    if journal.transfer(caller, pool, U256::from(STAKE))?.is_some() {
        return Ok(Err(INSUFFICIENT_BALANCE));
    }
    let app = App {
        id,
        policy: asked,
        terms,
        admin: Some(*request.caller),
        stake: stake_value(),
        metadata,
        secrets: Value::Map(Vec::new()),
        sek,
    };
    write(context, app_key(&id), Some(app.encode()));
    tell(context, (NAME, CREATED), Value::map([("id", address_value(&id))]));
    Ok(Ok(address_value(&id)))
}

fn hashed_id(scheme: &[u8], creator: &OasisAddress, place: &[u8]) -> OasisAddress {
    let mut id = [0; 21];
    id[1..].copy_from_slice(&sha512_256(&[scheme, &[0], creator, place])[..20]);
    id
}

fn update(context: &mut SapphireContext<'_>, request: &Request<'_>) -> Outcome {
    let mut body = require!(fields(request.body).ok_or(INVALID_ARGUMENT));
    let id = require!(take_address(&mut body, "id").ok_or(INVALID_ARGUMENT));
    let asked = body.take("policy").unwrap_or_else(|| Value::Map(Vec::new()));
    let admin = match body.take("admin") {
        None => None,
        Some(admin) => {
            Some(require!(admin.into_bytes().and_then(|bytes| bytes.try_into().ok()).ok_or(INVALID_ARGUMENT)))
        }
    };
    let metadata = require!(take_pairs(&mut body, "metadata", false));
    let secrets = require!(take_pairs(&mut body, "secrets", true));
    if !body.is_empty() {
        return Ok(Err(INVALID_ARGUMENT));
    }
    let terms = require!(policy::read(&asked));
    let app = require!(App::load(context, &id)?.ok_or(UNKNOWN_APP));
    if app.admin != Some(*request.caller) {
        return Ok(Err(FORBIDDEN));
    }
    let app = App { policy: asked, terms, admin, metadata, secrets, ..app };
    write(context, app_key(&id), Some(app.encode()));
    tell(context, (NAME, UPDATED), Value::map([("id", address_value(&id))]));
    Ok(Ok(Value::Null))
}

fn remove(context: &mut SapphireContext<'_>, request: &Request<'_>) -> Outcome {
    let mut body = require!(fields(request.body).ok_or(INVALID_ARGUMENT));
    let id = require!(take_address(&mut body, "id").ok_or(INVALID_ARGUMENT));
    if !body.is_empty() {
        return Ok(Err(INVALID_ARGUMENT));
    }
    let app = require!(App::load(context, &id)?.ok_or(UNKNOWN_APP));
    if app.admin != Some(*request.caller) {
        return Ok(Err(FORBIDDEN));
    }
    let journal = context.journal_mut();
    let pool = journal.db_mut().journal_address(&STAKE_POOL);
    let admin = journal.db_mut().journal_address(request.caller);
    journal.load_account(pool)?;
    if journal.transfer(pool, admin, U256::from(STAKE))?.is_some() {
        return Err(state::corrupt("the stake of an app"));
    }
    write(context, app_key(&id), None);
    tell(context, (NAME, REMOVED), Value::map([("id", address_value(&id))]));
    Ok(Ok(Value::Null))
}

// -- keys -------------------------------------------------------------------------------------------

/// A pair of the key manager; a chain without one has no apps.
fn key_pair(context: &SapphireContext<'_>, names: &[&[u8]]) -> Result<Result<KeyPair, Refusal>, EngineError> {
    let Some(attested) = context.chain.attested else { return Ok(Err(FORBIDDEN)) };
    Ok(Ok(attested.key_pair(names)?))
}

/// The public key to which secrets of an app are encrypted.
fn secrets_key(context: &SapphireContext<'_>, app: &OasisAddress) -> Outcome {
    let pair = require!(key_pair(context, &[DERIVE_KEY, app, &[X25519], SECRETS_KEY])?);
    Ok(Ok(Value::Bytes(x25519_public(&pair.secret).to_vec())))
}

fn derive_key(context: &mut SapphireContext<'_>, request: &Request<'_>) -> Outcome {
    if !context.chain.origin.is_direct {
        return Ok(Err(FORBIDDEN));
    }
    if !context.chain.origin.is_encrypted {
        return Ok(Err(PLAIN_CALL));
    }
    let mut body = require!(fields(request.body).ok_or(INVALID_ARGUMENT));
    let app = require!(take_address(&mut body, "app").ok_or(INVALID_ARGUMENT));
    let mut number = |name| take_number(&mut body, name).and_then(|number| u8::try_from(number).ok());
    let (kind, scope, generation) = (number("kind"), number("scope"), number("generation"));
    let key_name = body.take("key_id").map_or(Some(Vec::new()), Value::into_bytes);
    let (Some(kind @ ENTROPY..=X25519), Some(scope), Some(0), Some(key_name), true) =
        (kind, scope, generation, key_name, body.is_empty())
    else {
        return Ok(Err(INVALID_ARGUMENT));
    };
    if key_name.len() > MAX_KEY_ID_BYTES {
        return Ok(Err(INVALID_ARGUMENT));
    }
    let origin = require!(origin_of_app(context, &app)?.ok_or(FORBIDDEN));
    let scope_bytes = Value::Bytes(vec![scope]);
    let domain = match scope {
        0 => None,
        1 => Some(Value::map([("scope", scope_bytes), ("node_id", Value::Bytes(origin.node.to_vec()))])),
        2 => {
            let entity = require!(instance(context, &origin)?.take("entity_id").ok_or(INVALID_ARGUMENT));
            Some(Value::map([("scope", scope_bytes), ("entity_id", entity)]))
        }
        _ => return Ok(Err(INVALID_ARGUMENT)),
    };
    let domain = domain.as_ref().map(cbor::encode);
    let kind_bytes = [kind];
    let mut names: Vec<&[u8]> = vec![DERIVE_KEY, &app, &kind_bytes, &key_name];
    names.extend(domain.as_deref());
    let pair = require!(key_pair(context, &names)?);
    let key = if kind == ENTROPY { pair.state_key } else { pair.secret };
    Ok(Ok(Value::map([("key", Value::Bytes(key.to_vec()))])))
}
