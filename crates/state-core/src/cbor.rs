//! CBOR as Oasis speaks it: one item, one way to write it, anything else refused.
//!
//! Integers and lengths are in their shortest form, lengths are definite, map keys ascend (shorter first) and are
//! distinct, at most [`MAX_DEPTH`] levels, nothing behind the item, no floats, of the simple values only false,
//! true, null and undefined.
//!
//! Source: oasis-cbor `value/src/{reader,values}.rs` @ 5a52c35; RFC 8949 4.2.3 (length-first map keys).

use std::cmp::Ordering;

use cbor_head::{argument, argument_bytes, is_shortest, write_head};
use thiserror::Error;

/// Levels of arrays, maps and tags around an item.
pub const MAX_DEPTH: usize = 64;

/// A decoded item. Maps are kept as lists in canonical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Major type 0.
    Unsigned(u64),
    /// Major type 1: stands for -1 - n.
    Negative(u64),
    /// Major type 2.
    Bytes(Vec<u8>),
    /// Major type 3.
    Text(String),
    /// Major type 4.
    Array(Vec<Value>),
    /// Major type 5.
    Map(Vec<(Value, Value)>),
    /// Major type 6.
    Tag(u64, Box<Value>),
    /// `f4` and `f5`.
    Bool(bool),
    /// `f6`.
    Null,
    /// `f7`.
    Undefined,
}

/// Why bytes are not one canonical item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed CBOR: {0}")]
pub struct CborError(pub &'static str);

type Result<T> = std::result::Result<T, CborError>;

/// Order of map keys: by major type, then the shorter first, then by content.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        use Value::{Array, Bool, Bytes, Map, Negative, Null, Tag, Text, Undefined, Unsigned};
        match (self, other) {
            (Unsigned(left), Unsigned(right)) | (Negative(left), Negative(right)) => left.cmp(right),
            (Bytes(left), Bytes(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (Text(left), Text(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (Array(left), Array(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (Map(left), Map(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            (Tag(left, inner), Tag(right, other)) => left.cmp(right).then_with(|| inner.cmp(other)),
            (Bool(left), Bool(right)) => left.cmp(right),
            _ => {
                let rank = |value: &Self| match value {
                    Unsigned(_) => 0,
                    Negative(_) => 1,
                    Bytes(_) => 2,
                    Text(_) => 3,
                    Array(_) => 4,
                    Map(_) => 5,
                    Tag(..) => 6,
                    Bool(_) => 7,
                    Null => 8,
                    Undefined => 9,
                };
                rank(self).cmp(&rank(other))
            }
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Value {
    /// A map with text keys, sorted.
    pub fn map<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self::Map(fields.into_iter().map(|(name, value)| (Self::Text(name.into()), value)).collect())
    }

    /// Null or undefined, which stand for an absent optional field.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Null | Self::Undefined)
    }

    /// The content of a byte string.
    pub fn into_bytes(self) -> Option<Vec<u8>> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The value of a non-negative integer.
    pub fn as_unsigned(&self) -> Option<u64> {
        if let Self::Unsigned(number) = self { Some(*number) } else { None }
    }
}

/// Takes the fields of a map with text keys one by one; what remains at the end is unknown.
#[derive(Debug, Default)]
pub struct Fields(Vec<(Value, Value)>);

impl Fields {
    /// The fields of a map; `None` for any other value.
    pub fn of(value: Value) -> Option<Self> {
        if let Value::Map(entries) = value { Some(Self(entries)) } else { None }
    }

    /// Take a field. Null and undefined count as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| matches!(key, Value::Text(text) if text == name))?;
        let (_, value) = self.0.remove(index);
        (!value.is_nothing()).then_some(value)
    }

    /// Whether every field was taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Read exactly one item.
///
/// # Errors
/// [`CborError`] for anything not in canonical form.
pub fn decode(data: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(data);
    let value = reader.item(0)?;
    if reader.is_at_end() { Ok(value) } else { Err(CborError("bytes behind the item")) }
}

/// The encoded values of some fields of a map with text keys. Others are passed over: only their heads and lengths are
/// looked at.
///
/// # Errors
/// [`CborError`] where the bytes are no such map.
pub fn fields<'a, const N: usize>(data: &'a [u8], names: [&str; N]) -> Result<[Option<&'a [u8]>; N]> {
    let mut reader = Reader::new(data);
    let (5, _, count) = reader.head()? else { return Err(CborError("not a map")) };
    let mut found = [None; N];
    for _ in 0..count {
        let (3, _, length) = reader.head()? else { return Err(CborError("a key is no text")) };
        let name = reader.take(length)?;
        let before = reader.rest;
        reader.skip(1)?;
        if let Some(at) = names.iter().position(|wanted| wanted.as_bytes() == name) {
            found[at] = Some(&before[..before.len() - reader.rest.len()]);
        }
    }
    if reader.is_at_end() { Ok(found) } else { Err(CborError("bytes behind the item")) }
}

/// Write an item in canonical form. Maps are sorted here.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

/// Write a map with text keys, which are sorted here.
pub fn encode_map(mut entries: Vec<(&str, Value)>) -> Vec<u8> {
    entries.sort_unstable_by_key(|(name, _)| (name.len(), *name));
    let mut out = Vec::new();
    write_head(&mut out, 5, entries.len() as u64);
    for (name, value) in &entries {
        write_text(&mut out, name);
        write(&mut out, value);
    }
    out
}

/// Append an array's head; its `length` items follow.
pub fn write_array(out: &mut Vec<u8>, length: usize) {
    write_head(out, 4, length as u64);
}

/// Append a byte string.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_head(out, 2, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Append null.
pub fn write_null(out: &mut Vec<u8>) {
    out.push(0xf6);
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Unsigned(number) => write_head(out, 0, *number),
        Value::Negative(number) => write_head(out, 1, *number),
        Value::Bytes(bytes) => write_bytes(out, bytes),
        Value::Text(text) => write_text(out, text),
        Value::Array(items) => {
            write_array(out, items.len());
            items.iter().for_each(|item| write(out, item));
        }
        Value::Map(entries) => {
            let mut entries: Vec<&(Value, Value)> = entries.iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            write_head(out, 5, entries.len() as u64);
            for (key, item) in entries {
                write(out, key);
                write(out, item);
            }
        }
        Value::Tag(tag, item) => {
            write_head(out, 6, *tag);
            write(out, item);
        }
        Value::Bool(flag) => out.push(0xf4 | u8::from(*flag)),
        Value::Null => write_null(out),
        Value::Undefined => out.push(0xf7),
    }
}

/// Reads items one by one, where they lie.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

const TRUNCATED: CborError = CborError("truncated");

impl<'a> Reader<'a> {
    /// At the beginning of some bytes.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// Whether all was read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many items follow, of an array. Nothing says yet that they are there.
    ///
    /// # Errors
    /// [`CborError`] where no array is next.
    pub fn array(&mut self) -> Result<u64> {
        let (4, _, count) = self.head()? else { return Err(CborError("not an array")) };
        Ok(count)
    }

    /// The content of a byte string; none for null.
    ///
    /// # Errors
    /// [`CborError`] where neither is next.
    pub fn bytes_or_null(&mut self) -> Result<Option<&'a [u8]>> {
        match self.head()? {
            (2, _, length) => self.take(length).map(Some),
            (7, 22, _) => Ok(None),
            _ => Err(CborError("neither bytes nor null")),
        }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| TRUNCATED)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    fn head(&mut self) -> Result<(u8, u8, u64)> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let endless = if info == 31 { "indefinite length" } else { "reserved head" };
        let following = argument_bytes(first).ok_or(CborError(endless))?;
        let argument = argument(first, self.take(following as u64)?);
        if !is_shortest(argument, following) {
            return Err(CborError("not in shortest form"));
        }
        Ok((major, info, argument))
    }

    fn item(&mut self, depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(CborError("nested too deeply"));
        }
        let (major, info, argument) = self.head()?;
        match major {
            0 => Ok(Value::Unsigned(argument)),
            1 => Ok(Value::Negative(argument)),
            2 => Ok(Value::Bytes(self.take(argument)?.to_vec())),
            3 => {
                let text = std::str::from_utf8(self.take(argument)?).map_err(|_| CborError("text is not UTF-8"))?;
                Ok(Value::Text(text.into()))
            }
            4 => (0..argument).map(|_| self.item(depth + 1)).collect::<Result<_>>().map(Value::Array),
            5 => self.map(argument, depth + 1),
            6 => Ok(Value::Tag(argument, Box::new(self.item(depth + 1)?))),
            _ => match info {
                20 => Ok(Value::Bool(false)),
                21 => Ok(Value::Bool(true)),
                22 => Ok(Value::Null),
                23 => Ok(Value::Undefined),
                _ => Err(CborError("unsupported simple value or float")),
            },
        }
    }

    fn skip(&mut self, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(CborError("nested too deeply"));
        }
        let (major, _, argument) = self.head()?;
        let items = match major {
            2 | 3 => return self.take(argument).map(|_| ()),
            4 => argument,
            5 => argument.checked_mul(2).ok_or(TRUNCATED)?,
            6 => 1,
            _ => 0,
        };
        (0..items).try_for_each(|_| self.skip(depth + 1))
    }

    fn map(&mut self, length: u64, depth: usize) -> Result<Value> {
        let mut entries: Vec<(Value, Value)> = Vec::new();
        for _ in 0..length {
            let key = self.item(depth)?;
            if entries.last().is_some_and(|(previous, _)| *previous >= key) {
                return Err(CborError("map keys out of order"));
            }
            entries.push((key, self.item(depth)?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["b", "nonce", "sender", "a field of another length"];

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Value::Unsigned),
            any::<u64>().prop_map(Value::Negative),
            any::<Vec<u8>>().prop_map(Value::Bytes),
            ".{0,30}".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Bool),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(inner.clone(), inner.clone(), 0..5)
                    .prop_map(|map| Value::Map(map.into_iter().collect())),
                (any::<u64>(), inner).prop_map(|(tag, item)| Value::Tag(tag, Box::new(item))),
            ]
        })
    }

    fn maps() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
        prop::collection::btree_map(prop::sample::select(&NAMES), values(), 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_map_of_fields_is_written_as_any_map(entries in maps()) {
            let whole = entries.iter().map(|(name, value)| (Value::Text((*name).into()), value.clone())).collect();
            prop_assert_eq!(encode_map(entries), encode(&Value::Map(whole)));
        }

        #[test]
        fn fields_are_found_among_others(entries in maps()) {
            let data = encode_map(entries.clone());
            for (name, found) in ["sender", "nonce"].iter().zip(fields(&data, ["sender", "nonce"]).unwrap()) {
                let value = entries.iter().find(|(wanted, _)| wanted == name).map(|(_, value)| value.clone());
                prop_assert_eq!(found.map(|item| decode(item).unwrap()), value);
            }
        }

        #[test]
        fn other_bytes_have_no_fields(entries in maps(), cut in any::<prop::sample::Index>(), behind: u8) {
            let mut data = encode_map(entries);
            prop_assert!(fields(&data[..cut.index(data.len())], ["sender"]).is_err());
            data.push(behind);
            prop_assert!(fields(&data, ["sender"]).is_err());
        }

        #[test]
        fn whatever_decodes_as_a_map_of_texts_has_fields(data: Vec<u8>) {
            if let Ok(Value::Map(entries)) = decode(&data) && entries.iter().all(|(key, _)| matches!(key, Value::Text(_))) {
                prop_assert!(fields(&data, ["b"]).is_ok());
            }
            let _ = fields(&data, ["b"]);
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = [&[0xa1, 0x61, b'b'][..], &[0x81; 100], &[0x80]].concat();
        assert_eq!(fields(&nested, ["b"]), Err(CborError("nested too deeply")));
        let many = [0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(fields(&many, ["b"]), Err(TRUNCATED));
    }
}
