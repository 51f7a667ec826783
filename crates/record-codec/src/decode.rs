//! From untrusted bytes to Python objects.

use std::convert::Infallible;

use cbor_head::{
    ARRAY, BYTES, FALSE, MAP, NEGATIVE, NULL, TAG, TEXT, TRUE, UNSIGNED, argument, argument_bytes, is_shortest,
    python_type,
};
use pyo3::{
    intern,
    prelude::*,
    types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple},
};

use crate::schema::{Absent, Kind, Record, Schema};

/// Nesting limit of untrusted input [levels]. Source: oasis-cbor, decoder limit.
const MAX_DEPTH: usize = 64;

/// Why bytes are no value of a kind.
pub(crate) enum Fault {
    /// They are not CBOR as it is spoken here.
    Cbor(String),
    /// They are, but not of this shape.
    Record(String),
    /// Python raised while the value was made.
    Raised(PyErr),
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl From<Infallible> for Fault {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

type Read<T> = Result<T, Fault>;

/// Where reading stands.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    is_canonical: bool,
}

impl<'a> Reader<'a> {
    /// Accepts the one canonical encoding of each value.
    pub(crate) fn canonical(bytes: &'a [u8]) -> Self {
        Self { bytes, is_canonical: true }
    }

    /// Accepts longer heads than needed, and maps in any order.
    pub(crate) fn loose(bytes: &'a [u8]) -> Self {
        Self { bytes, is_canonical: false }
    }

    /// Refuse what is left over.
    pub(crate) fn finish(&self) -> Read<()> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(Fault::Cbor(format!("{left} bytes follow the item"))),
        }
    }

    pub(crate) fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.bytes.len());
        let Some(count) = count else {
            return Err(Fault::Cbor("the bytes end too early".into()));
        };
        let (taken, left) = self.bytes.split_at(count);
        self.bytes = left;
        Ok(taken)
    }

    /// First byte and argument of the next head.
    pub(crate) fn head(&mut self) -> Read<(u8, u64)> {
        let first = self.take(1)?[0];
        let following = argument_bytes(first)
            .ok_or_else(|| Fault::Cbor("an indefinite or reserved length is not allowed".into()))?;
        let value = argument(first, self.take(following as u64)?);
        match first >> 5 {
            TAG => Err(Fault::Cbor(format!("tags are not allowed: {value}"))),
            7 if !matches!(first, FALSE | TRUE | NULL) => Err(Fault::Cbor("this item is not plain".into())),
            _ if self.is_canonical && !is_shortest(value, following) => {
                Err(Fault::Cbor("the encoding is not canonical".into()))
            }
            _ => Ok((first, value)),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.bytes.first() == Some(&NULL)
    }
}

/// Refuses keys of a map that are out of order, or there twice.
struct Keys<'a> {
    is_canonical: bool,
    last: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(reader: &Reader<'a>) -> Self {
        Self { is_canonical: reader.is_canonical, last: None }
    }

    fn note(&mut self, key: &'a [u8]) -> Read<()> {
        if self.is_canonical
            && let Some(last) = self.last
            && (last.len(), last) >= (key.len(), key)
        {
            return Err(Fault::Cbor("the keys of a map are not in canonical order".into()));
        }
        self.last = Some(key);
        Ok(())
    }
}

/// Read a value of a kind.
pub(crate) fn read<'py>(
    py: Python<'py>,
    schema: &Schema,
    kind: &Kind,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Read<Bound<'py, PyAny>> {
    if let Kind::Optional(inner) = kind {
        if reader.is_null() {
            reader.head()?;
            return Ok(py.None().into_bound(py));
        }
        return read(py, schema, inner, reader, depth);
    }
    if matches!(kind, Kind::Any) {
        return read_any(py, reader, depth);
    }
    let (first, argument) = reader.head()?;
    let major = first >> 5;
    match kind {
        Kind::Integer { lowest, highest } => {
            let number = as_number(first, argument).ok_or_else(|| wrong("int", first))?;
            if number < *lowest || number > *highest {
                return Err(Fault::Record(format!("{number} is not in {lowest} to {highest}")));
            }
            to_int(py, number)
        }
        Kind::Wide { length } => {
            if major != BYTES || argument > *length as u64 {
                return Err(Fault::Record(format!("expected at most {length} bytes of a number")));
            }
            read_wide(py, reader.take(argument)?)
        }
        Kind::Bool => match first {
            FALSE | TRUE => Ok((first == TRUE).into_pyobject(py)?.to_owned().into_any()),
            _ => Err(wrong("bool", first)),
        },
        Kind::Null if first == NULL => Ok(py.None().into_bound(py)),
        Kind::Bytes { shortest, longest } if major == BYTES => {
            expect_length(argument, *shortest, *longest, "bytes")?;
            Ok(PyBytes::new(py, reader.take(argument)?).into_any())
        }
        Kind::Text { longest } if major == TEXT => {
            let text = text(reader.take(argument)?)?;
            // Characters, not bytes, as Python counts them.
            if text.len() > *longest {
                expect_length(text.chars().count() as u64, 0, *longest, "items")?;
            }
            Ok(PyString::new(py, text).into_any())
        }
        Kind::Enum { name, numbers, texts } => {
            let found = if major == TEXT {
                texts.get(text(reader.take(argument)?)?)
            } else {
                as_number(first, argument).and_then(|number| numbers.get(&number))
            };
            found.map(|member| member.bind(py).clone()).ok_or_else(|| Fault::Record(format!("this is not a {name}")))
        }
        Kind::List { longest, item } if major == ARRAY => {
            expect_length(argument, 0, *longest, "items")?;
            let depth = deeper(depth)?;
            let mut items = Vec::new();
            for _ in 0..argument {
                items.push(read(py, schema, item, reader, depth)?);
            }
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Kind::Fixed(kinds) if major == ARRAY => {
            if argument != kinds.len() as u64 {
                return Err(Fault::Record(format!("expected {} items, got {argument}", kinds.len())));
            }
            let depth = deeper(depth)?;
            let items = kinds.iter().map(|kind| read(py, schema, kind, reader, depth)).collect::<Read<Vec<_>>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Kind::Map { longest, key, value } if major == MAP => {
            expect_length(argument, 0, *longest, "items")?;
            let depth = deeper(depth)?;
            read_map(py, reader, argument, |reader, is_key| {
                read(py, schema, if is_key { key } else { value }, reader, depth)
            })
        }
        Kind::Record(index) => {
            let record = &schema.records[*index];
            if major != MAP {
                return Err(Fault::Record(format!("{}: expected a map", record.name)));
            }
            read_record(py, schema, record, reader, argument, deeper(depth)?)
        }
        Kind::List { .. } | Kind::Fixed(_) => Err(wrong("an array", first)),
        Kind::Map { .. } => Err(wrong("a map", first)),
        Kind::Bytes { .. } => Err(wrong("bytes", first)),
        Kind::Text { .. } => Err(wrong("str", first)),
        Kind::Null => Err(wrong("NoneType", first)),
        Kind::Optional(_) | Kind::Any => unreachable!("read above"),
    }
}

fn read_record<'py>(
    py: Python<'py>,
    schema: &Schema,
    record: &Record,
    reader: &mut Reader<'_>,
    count: u64,
    depth: usize,
) -> Read<Bound<'py, PyAny>> {
    let mut values: Vec<Option<Bound<'py, PyAny>>> = vec![None; record.fields.len()];
    let mut keys = Keys::of(reader);
    let mut expected = record.order.iter();
    for _ in 0..count {
        let before = reader.bytes;
        let (first, length) = reader.head()?;
        let name = if first >> 5 == TEXT { text(reader.take(length)?)? } else { "" };
        keys.note(&before[..before.len() - reader.bytes.len()])?;
        // Mostly the fields come in their order; where they do not, look for this one.
        let position = expected
            .by_ref()
            .copied()
            .find(|position| record.fields[*position].name == name)
            .or_else(|| record.fields.iter().position(|field| field.name == name));
        let Some(position) = position.filter(|_| first >> 5 == TEXT) else {
            return Err(Fault::Record(format!("{}: unknown field {name:?}", record.name)));
        };
        let field = &record.fields[position];
        let value = read(py, schema, &field.kind, reader, depth).map_err(|fault| match fault {
            Fault::Record(message) => Fault::Record(format!("{}.{}: {message}", record.name, field.name)),
            other => other,
        })?;
        if values[position].replace(value).is_some() {
            return Err(Fault::Cbor(format!("the key {name:?} is there twice")));
        }
    }
    build(py, record, values)
}

fn build<'py>(py: Python<'py>, record: &Record, values: Vec<Option<Bound<'py, PyAny>>>) -> Read<Bound<'py, PyAny>> {
    let mut missing: Vec<&str> = record
        .fields
        .iter()
        .zip(&values)
        .filter(|(field, value)| value.is_none() && matches!(field.absent, Absent::Refused))
        .map(|(field, _)| field.name.as_str())
        .collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        return Err(Fault::Record(format!("{}: missing {}", record.name, missing.join(", "))));
    }
    let Some(class) = &record.class else {
        let arguments = PyDict::new(py);
        for (field, value) in record.fields.iter().zip(values) {
            if let Some(value) = value {
                arguments.set_item(field.attribute.bind(py), value)?;
            }
        }
        return Ok(arguments.into_any());
    };
    let mut arguments = Vec::with_capacity(values.len());
    for (field, value) in record.fields.iter().zip(values) {
        arguments.push(match (value, &field.absent) {
            (Some(value), _) => value,
            (None, Absent::Value(value)) => value.bind(py).clone(),
            (None, Absent::Made(factory)) => factory.bind(py).call0()?,
            (None, _) => py.None().into_bound(py),
        });
    }
    Ok(class.bind(py).call1(PyTuple::new(py, arguments)?)?)
}

fn read_map<'py>(
    py: Python<'py>,
    reader: &mut Reader<'_>,
    count: u64,
    mut read_part: impl FnMut(&mut Reader<'_>, bool) -> Read<Bound<'py, PyAny>>,
) -> Read<Bound<'py, PyAny>> {
    let map = PyDict::new(py);
    let mut keys = Keys::of(reader);
    for _ in 0..count {
        let before = reader.bytes;
        let key = read_part(reader, true)?;
        keys.note(&before[..before.len() - reader.bytes.len()])?;
        let is_key = key.is_instance_of::<PyString>()
            || key.is_instance_of::<PyBytes>()
            || (key.is_instance_of::<PyInt>() && !key.is_instance_of::<pyo3::types::PyBool>());
        if !is_key {
            return Err(Fault::Cbor(format!("a {} is no key of a map", key.get_type())));
        }
        if map.contains(&key)? {
            return Err(Fault::Cbor("a key of a map is there twice".into()));
        }
        let value = read_part(reader, false)?;
        map.set_item(key, value)?;
    }
    Ok(map.into_any())
}

fn read_any<'py>(py: Python<'py>, reader: &mut Reader<'_>, depth: usize) -> Read<Bound<'py, PyAny>> {
    let (first, argument) = reader.head()?;
    match first >> 5 {
        UNSIGNED | NEGATIVE => to_int(py, as_number(first, argument).unwrap_or_default()),
        BYTES => Ok(PyBytes::new(py, reader.take(argument)?).into_any()),
        TEXT => Ok(PyString::new(py, text(reader.take(argument)?)?).into_any()),
        ARRAY => {
            let depth = deeper(depth)?;
            let items = PyList::empty(py);
            for _ in 0..argument {
                items.append(read_any(py, reader, depth)?)?;
            }
            Ok(items.into_any())
        }
        MAP => {
            let depth = deeper(depth)?;
            read_map(py, reader, argument, |reader, _| read_any(py, reader, depth))
        }
        _ if first == NULL => Ok(py.None().into_bound(py)),
        _ => Ok((first == TRUE).into_pyobject(py)?.to_owned().into_any()),
    }
}

fn deeper(depth: usize) -> Read<usize> {
    if depth == MAX_DEPTH {
        return Err(Fault::Cbor(format!("nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(depth + 1)
}

fn expect_length(length: u64, shortest: usize, longest: usize, what: &str) -> Read<()> {
    if (shortest as u64..=longest as u64).contains(&length) {
        return Ok(());
    }
    let limit = if shortest == longest { "" } else { "at most " };
    Err(Fault::Record(format!("expected {limit}{longest} {what}, got {length}")))
}

pub(crate) fn text(bytes: &[u8]) -> Read<&str> {
    str::from_utf8(bytes).map_err(|_| Fault::Cbor("text is not UTF-8".into()))
}

fn as_number(first: u8, argument: u64) -> Option<i128> {
    match first >> 5 {
        UNSIGNED => Some(i128::from(argument)),
        NEGATIVE => Some(-1 - i128::from(argument)),
        _ => None,
    }
}

fn to_int(py: Python<'_>, number: i128) -> Read<Bound<'_, PyAny>> {
    Ok(match (i64::try_from(number), u64::try_from(number)) {
        (Ok(small), _) => small.into_pyobject(py)?.into_any(),
        (_, Ok(large)) => large.into_pyobject(py)?.into_any(),
        _ => number.into_pyobject(py)?.into_any(),
    })
}

fn read_wide<'py>(py: Python<'py>, raw: &[u8]) -> Read<Bound<'py, PyAny>> {
    match raw {
        [0, ..] => Err(Fault::Record("a number begins with a zero byte".into())),
        _ if raw.len() <= 8 => {
            let number = raw.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            Ok(number.into_pyobject(py)?.into_any())
        }
        _ => {
            let from_bytes = py.get_type::<PyInt>().getattr(intern!(py, "from_bytes"))?;
            Ok(from_bytes.call1((PyBytes::new(py, raw), "big"))?)
        }
    }
}

fn wrong(expected: &str, first: u8) -> Fault {
    Fault::Record(format!("expected {expected}, got {}", python_type(first)))
}
