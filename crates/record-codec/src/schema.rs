//! What a type looks like on the wire, read once from the tuples that Python builds.

use std::collections::HashMap;

use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyList, PyString, PyTuple},
};

use cbor_head::{TEXT, write_head};

/// A type.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A number from `lowest` to `highest`.
    Integer {
        lowest: i128,
        highest: i128,
    },
    /// An unsigned number of more than 64 bits: the shortest big-endian bytes, at most so many.
    Wide {
        length: usize,
    },
    Bool,
    Null,
    Bytes {
        shortest: usize,
        longest: usize,
    },
    Text {
        longest: usize,
    },
    /// Any plain value.
    Any,
    Enum {
        name: String,
        numbers: HashMap<i128, Py<PyAny>>,
        texts: HashMap<String, Py<PyAny>>,
    },
    Optional(Box<Kind>),
    List {
        longest: usize,
        item: Box<Kind>,
    },
    Fixed(Vec<Kind>),
    Map {
        longest: usize,
        key: Box<Kind>,
        value: Box<Kind>,
    },
    /// One of `Schema::records`.
    Record(usize),
}

/// What stands in the place of a field that is not there.
#[derive(Debug)]
pub(crate) enum Absent {
    /// It must be there.
    Refused,
    None,
    Value(Py<PyAny>),
    /// Made anew each time.
    Made(Py<PyAny>),
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) attribute: Py<PyString>,
    /// The name as a CBOR item.
    pub(crate) key: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) absent: Absent,
}

/// A record: a map on the wire, an object of a class in Python, or a dict where there is no class.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) class: Option<Py<PyAny>>,
    /// In the order of the class.
    pub(crate) fields: Vec<Field>,
    /// Positions of `fields` in canonical order.
    pub(crate) order: Vec<usize>,
}

/// A type and all the records in it; records may contain each other.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) root: Kind,
    pub(crate) records: Vec<Record>,
}

impl Schema {
    pub(crate) fn read(root: &Bound<'_, PyAny>, records: &Bound<'_, PyList>) -> PyResult<Self> {
        let records = records.iter().map(|record| read_record(&record)).collect::<PyResult<_>>()?;
        Ok(Self { root: read_kind(root)?, records })
    }
}

fn read_record(record: &Bound<'_, PyAny>) -> PyResult<Record> {
    let (name, class, fields): (String, Option<Py<PyAny>>, Vec<Bound<'_, PyTuple>>) = record.extract()?;
    let fields = fields.iter().map(read_field).collect::<PyResult<Vec<_>>>()?;
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&fields[a].key, &fields[b].key);
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    });
    Ok(Record { name, class, fields, order })
}

fn read_field(field: &Bound<'_, PyTuple>) -> PyResult<Field> {
    let py = field.py();
    let (name, kind, absent, value): (String, Bound<'_, PyAny>, String, Py<PyAny>) = field.extract()?;
    let mut key = Vec::with_capacity(name.len() + 1);
    write_head(&mut key, TEXT, name.len() as u64);
    key.extend_from_slice(name.as_bytes());
    Ok(Field {
        attribute: PyString::intern(py, &name).unbind(),
        key,
        kind: read_kind(&kind)?,
        absent: match absent.as_str() {
            "refused" => Absent::Refused,
            "none" => Absent::None,
            "value" => Absent::Value(value),
            "made" => Absent::Made(value),
            other => return Err(PyTypeError::new_err(format!("no field can be {other}"))),
        },
        name,
    })
}

fn read_kind(kind: &Bound<'_, PyAny>) -> PyResult<Kind> {
    let kind = kind.cast::<PyTuple>()?;
    let at = |position: usize| kind.get_item(position);
    let inner = |position: usize| Ok::<_, PyErr>(Box::new(read_kind(&at(position)?)?));
    let length = |position: usize| Ok::<_, PyErr>(at(position)?.extract::<Option<usize>>()?.unwrap_or(usize::MAX));
    Ok(match at(0)?.extract::<String>()?.as_str() {
        "int" => Kind::Integer { lowest: at(1)?.extract()?, highest: at(2)?.extract()? },
        "wide" => Kind::Wide { length: at(1)?.extract()? },
        "bool" => Kind::Bool,
        "null" => Kind::Null,
        "bytes" => Kind::Bytes { shortest: at(1)?.extract()?, longest: length(2)? },
        "text" => Kind::Text { longest: length(1)? },
        "any" => Kind::Any,
        "enum" => read_enum(at(1)?.extract()?, &at(2)?)?,
        "optional" => Kind::Optional(inner(1)?),
        "list" => Kind::List { longest: length(1)?, item: inner(2)? },
        "fixed" => Kind::Fixed(at(1)?.try_iter()?.map(|item| read_kind(&item?)).collect::<PyResult<_>>()?),
        "map" => Kind::Map { longest: length(1)?, key: inner(2)?, value: inner(3)? },
        "record" => Kind::Record(at(1)?.extract()?),
        other => return Err(PyTypeError::new_err(format!("there is no kind {other}"))),
    })
}

fn read_enum(name: String, members: &Bound<'_, PyAny>) -> PyResult<Kind> {
    let (mut numbers, mut texts) = (HashMap::new(), HashMap::new());
    for pair in members.try_iter()? {
        let (value, member): (Bound<'_, PyAny>, Py<PyAny>) = pair?.extract()?;
        if let Ok(text) = value.cast::<PyString>() {
            texts.insert(text.to_str()?.to_owned(), member);
        } else {
            numbers.insert(value.extract()?, member);
        }
    }
    Ok(Kind::Enum { name, numbers, texts })
}
