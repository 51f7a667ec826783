//! What consensus has to say at the begin of a round: how messages went, and stake that came back.

use state_core::cbor::{self, Fields, Value};

use super::{
    consensus::{
        DELEGATE, PENDING_DELEGATION, PENDING_KEY, PENDING_WITHDRAWAL, SCALE, UNDELEGATE_DONE, UNDELEGATE_START,
        corrupt, delegation_key, receipt_key, undelegation_key, undelegations_prefix,
    },
    reading::{fields, quantity_value, take_address, take_number, take_quantity},
};
use crate::{
    database::StateDatabase,
    failure::EngineError,
    layout::{OasisAddress, decode_quantity},
};

/// Undelegations of one account that end in one epoch, at most: each is a message of an earlier round.
const MAX_UNDELEGATIONS: usize = 100_000;

/// How one message went.
struct Answer {
    module: String,
    code: u64,
    shares: u64,
    epoch: u64,
}

/// Stake that came back.
struct Payout {
    epoch: u64,
    account: OasisAddress,
    amount: u64,
}

/// What consensus hands to a round; the empty one is usual.
#[derive(Default)]
pub struct Inbox {
    answers: Vec<Answer>,
    payouts: Vec<Payout>,
}

impl Inbox {
    /// Reads the record of consensus; empty bytes are an empty inbox.
    pub fn decode(record: &[u8]) -> Result<Self, EngineError> {
        if record.is_empty() {
            return Ok(Self::default());
        }
        read(record).ok_or_else(|| EngineError::Config("the inbox is not one of consensus".into()))
    }
}

fn read(record: &[u8]) -> Option<Inbox> {
    let mut inbox = fields(record)?;
    let answers = list(inbox.take("results")?)?
        .into_iter()
        .map(|value| {
            let mut answer = Fields::of(value)?;
            let Value::Text(module) = answer.take("module")? else { return None };
            let code = take_number(&mut answer, "code")?;
            Some(Answer {
                module,
                code,
                shares: take_number(&mut answer, "shares")?,
                epoch: take_number(&mut answer, "epoch")?,
            })
        })
        .collect::<Option<_>>()?;
    let payouts = list(inbox.take("payouts")?)?
        .into_iter()
        .map(|value| {
            let mut payout = Fields::of(value)?;
            Some(Payout {
                epoch: take_number(&mut payout, "epoch")?,
                account: take_address(&mut payout, "account")?,
                amount: take_number(&mut payout, "amount")?,
            })
        })
        .collect::<Option<_>>()?;
    Some(Inbox { answers, payouts })
}

fn list(value: Value) -> Option<Vec<Value>> {
    if let Value::Array(items) = value { Some(items) } else { None }
}

/// Does what follows from an inbox, before the first transaction of the round.
pub fn process(database: &mut StateDatabase<'_>, inbox: Inbox) -> Result<(), EngineError> {
    if !inbox.answers.is_empty() {
        let pending = database.record(PENDING_KEY)?.and_then(|record| cbor::decode(&record).ok()).and_then(list);
        let pending = pending.filter(|pending| pending.len() == inbox.answers.len());
        for (pending, answer) in pending.ok_or_else(|| corrupt("pending messages"))?.into_iter().zip(&inbox.answers) {
            conclude(database, pending, answer)?;
        }
        database.write_record(PENDING_KEY.to_vec(), None);
    }
    for payout in &inbox.payouts {
        pay_out(database, payout)?;
    }
    Ok(())
}

fn conclude(database: &mut StateDatabase<'_>, pending: Value, answer: &Answer) -> Result<(), EngineError> {
    let malformed = || corrupt("a pending message");
    let mut pending = Fields::of(pending).ok_or_else(malformed)?;
    let kind = pending.take("kind").ok_or_else(malformed)?;
    let amount = take_quantity(&mut pending, "amount").ok_or_else(malformed)?;
    let (from, to) = (take_address(&mut pending, "from"), take_address(&mut pending, "to"));
    let receipt = take_number(&mut pending, "receipt").ok_or_else(malformed)?;
    let Value::Text(kind) = kind else { return Err(malformed()) };
    match (kind.as_str(), from, to, answer.code == 0) {
        ("deposit", _, Some(to), true) => database.credit(to, amount),
        ("deposit", _, Some(_), false) => Ok(()),
        ("withdraw", Some(_), _, true) => database.debit(*PENDING_WITHDRAWAL, amount),
        ("withdraw", Some(from), _, false) => {
            database.debit(*PENDING_WITHDRAWAL, amount)?;
            database.credit(from, amount)
        }
        ("delegate", Some(from), Some(to), true) => {
            database.debit(*PENDING_DELEGATION, amount)?;
            add_shares(database, &from, &to, answer.shares.into())?;
            let told = Value::map([("shares", quantity_value(answer.shares.into()))]);
            keep_receipt(database, &from, DELEGATE, receipt, &told);
            Ok(())
        }
        ("delegate", Some(from), Some(_), false) => {
            database.debit(*PENDING_DELEGATION, amount)?;
            keep_receipt(database, &from, DELEGATE, receipt, &failure(answer));
            database.credit(from, amount)
        }
        ("undelegate", Some(from), Some(to), true) => {
            let key = undelegation_key(answer.epoch, &to, &from, receipt);
            let before = decode_quantity(database.record(&key)?)?.unwrap_or(0);
            let shares = before.saturating_add(answer.shares.into());
            database.write_record(key, Some(shares.to_be_bytes().to_vec()));
            let told = Value::map([("epoch", Value::Unsigned(answer.epoch)), ("receipt", Value::Unsigned(receipt))]);
            keep_receipt(database, &from, UNDELEGATE_START, receipt, &told);
            Ok(())
        }
        ("undelegate", Some(from), Some(to), false) => {
            add_shares(database, &from, &to, amount)?;
            keep_receipt(database, &from, UNDELEGATE_START, receipt, &failure(answer));
            Ok(())
        }
        _ => Err(malformed()),
    }
}

fn add_shares(
    database: &mut StateDatabase<'_>,
    from: &OasisAddress,
    to: &OasisAddress,
    shares: u128,
) -> Result<(), EngineError> {
    let key = delegation_key(from, to);
    let owned = decode_quantity(database.record(&key)?)?.unwrap_or(0).saturating_add(shares);
    database.write_record(key, (owned > 0).then(|| owned.to_be_bytes().to_vec()));
    Ok(())
}

fn keep_receipt(database: &mut StateDatabase<'_>, owner: &OasisAddress, kind: u8, id: u64, receipt: &Value) {
    if id > 0 {
        database.write_record(receipt_key(owner, kind, id), Some(cbor::encode(receipt)));
    }
}

fn failure(answer: &Answer) -> Value {
    let error = Value::map([("module", Value::Text(answer.module.clone())), ("code", Value::Unsigned(answer.code))]);
    Value::map([("error", error)])
}

/// Shares what came back among those whose stake it was; what rounding leaves is the last one's.
fn pay_out(database: &mut StateDatabase<'_>, payout: &Payout) -> Result<(), EngineError> {
    let prefix = undelegations_prefix(payout.epoch, &payout.account);
    let mut owed = Vec::new();
    for (key, shares) in database.records(&prefix, MAX_UNDELEGATIONS)? {
        let shares = decode_quantity(Some(shares))?.unwrap_or(0);
        let (from, receipt) = key[prefix.len()..].split_at_checked(21).ok_or_else(|| corrupt("an undelegation"))?;
        let from = OasisAddress::try_from(from).map_err(|_| corrupt("an undelegation"))?;
        let receipt = u64::from_be_bytes(receipt.try_into().map_err(|_| corrupt("an undelegation"))?);
        owed.push((key, from, receipt, shares));
    }
    let amount = u128::from(payout.amount);
    let (mut left, mut left_shares) = (amount, owed.iter().map(|(.., shares)| shares).sum::<u128>());
    for (key, from, receipt, shares) in owed {
        // Both fit 64 bits each: their product does not overflow.
        let part = if shares == left_shares { left } else { left * shares / left_shares.max(1) };
        left -= part;
        left_shares -= shares;
        database.write_record(key, None);
        database.credit(from, part * SCALE)?;
        let told = Value::map([("amount", quantity_value(part * SCALE))]);
        keep_receipt(database, &from, UNDELEGATE_DONE, receipt, &told);
    }
    Ok(())
}
