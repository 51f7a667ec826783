//! From Python objects to canonical bytes.

use cbor_head::{ARRAY, BYTES, FALSE, MAP, NEGATIVE, NULL, TEXT, TRUE, UNSIGNED, write_head};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    intern,
    prelude::*,
    types::{PyBool, PyByteArray, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple},
};

use crate::schema::{Kind, Record, Schema};

/// Append a value of a kind.
pub(crate) fn write(schema: &Schema, kind: &Kind, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    match kind {
        Kind::Integer { lowest, highest } => {
            let number = number(value)?;
            if number < *lowest || number > *highest {
                return Err(PyValueError::new_err(format!(
                    "{number} has no place in a field of {lowest} to {highest}"
                )));
            }
            write_number(out, number);
        }
        Kind::Wide { length } => write_wide(out, value, *length)?,
        Kind::Bool => out.push(if value.extract::<bool>()? { TRUE } else { FALSE }),
        Kind::Null => out.push(NULL),
        Kind::Bytes { .. } => write_bytes(out, value)?,
        Kind::Text { .. } => write_text(out, value.cast::<PyString>()?.to_str()?),
        Kind::Any => write_any(value, out)?,
        // `value` is a property in Python; this is what it reads.
        Kind::Enum { .. } => write_any(&value.getattr(intern!(value.py(), "_value_"))?, out)?,
        Kind::Optional(inner) => {
            if value.is_none() {
                out.push(NULL);
            } else {
                write(schema, inner, value, out)?;
            }
        }
        Kind::List { item, .. } => {
            write_head(out, ARRAY, value.len()? as u64);
            if let Ok(items) = value.cast::<PyTuple>() {
                for one in items.iter_borrowed() {
                    write(schema, item, &one, out)?;
                }
            } else {
                for one in value.try_iter()? {
                    write(schema, item, &one?, out)?;
                }
            }
        }
        Kind::Fixed(kinds) => {
            if value.len()? != kinds.len() {
                return Err(PyValueError::new_err(format!("expected {} items", kinds.len())));
            }
            write_head(out, ARRAY, kinds.len() as u64);
            for (kind, one) in kinds.iter().zip(value.try_iter()?) {
                write(schema, kind, &one?, out)?;
            }
        }
        Kind::Map { key, value: item, .. } => {
            let entries = value.call_method0(intern!(value.py(), "items"))?;
            write_map(&entries, out, |part, is_key, out| write(schema, if is_key { key } else { item }, part, out))?;
        }
        Kind::Record(index) => write_record(schema, &schema.records[*index], value, out)?,
    }
    Ok(())
}

fn write_record(schema: &Schema, record: &Record, value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    let py = value.py();
    let arguments = match &record.class {
        Some(_) => None,
        None => Some(value.cast::<PyDict>()?),
    };
    let mut present = Vec::with_capacity(record.order.len());
    for &position in &record.order {
        let field = &record.fields[position];
        let found = match arguments {
            Some(given) => given.get_item(field.attribute.bind(py))?,
            None => Some(value.getattr(field.attribute.bind(py))?),
        };
        // A field that is None is left out; so is an argument that was not given.
        if let Some(found) = found
            && !found.is_none()
        {
            present.push((field, found));
        }
    }
    write_head(out, MAP, present.len() as u64);
    for (field, found) in present {
        out.extend_from_slice(&field.key);
        write(schema, &field.kind, &found, out)?;
    }
    Ok(())
}

/// Append entries in canonical order: shorter keys first, then bytewise.
fn write_map(
    entries: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    mut write_part: impl FnMut(&Bound<'_, PyAny>, bool, &mut Vec<u8>) -> PyResult<()>,
) -> PyResult<()> {
    let mut encoded = Vec::new();
    for entry in entries.try_iter()? {
        let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = entry?.extract()?;
        let (mut raw_key, mut raw_value) = (Vec::new(), Vec::new());
        write_part(&key, true, &mut raw_key)?;
        write_part(&value, false, &mut raw_value)?;
        encoded.push((raw_key, raw_value));
    }
    encoded.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    write_head(out, MAP, encoded.len() as u64);
    for (key, value) in encoded {
        out.extend_from_slice(&key);
        out.extend_from_slice(&value);
    }
    Ok(())
}

pub(crate) fn write_any(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if value.is_none() {
        out.push(NULL);
    } else if let Ok(flag) = value.cast::<PyBool>() {
        out.push(if flag.is_true() { TRUE } else { FALSE });
    } else if value.is_instance_of::<PyInt>() {
        write_number(out, number(value)?);
    } else if let Ok(text) = value.cast::<PyString>() {
        write_text(out, text.to_str()?);
    } else if value.is_instance_of::<PyBytes>() || value.is_instance_of::<PyByteArray>() {
        write_bytes(out, value)?;
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        write_head(out, ARRAY, value.len()? as u64);
        for item in value.try_iter()? {
            write_any(&item?, out)?;
        }
    } else if let Ok(map) = value.cast::<PyDict>() {
        write_map(&map.call_method0(intern!(value.py(), "items"))?, out, |part, _, out| write_any(part, out))?;
    } else {
        return Err(PyTypeError::new_err(format!("{} has no wire format", value.get_type())));
    }
    Ok(())
}

fn number(value: &Bound<'_, PyAny>) -> PyResult<i128> {
    if let Ok(small) = value.extract::<i64>() {
        return Ok(i128::from(small));
    }
    if let Ok(large) = value.extract::<u64>() {
        return Ok(i128::from(large));
    }
    value.cast::<PyInt>()?;
    value.extract().map_err(|_| PyValueError::new_err(format!("{value} is not a number of 64 bits")))
}

fn write_number(out: &mut Vec<u8>, number: i128) {
    // Callers have bounded the number to what CBOR's integers hold.
    match u64::try_from(number) {
        Ok(unsigned) => write_head(out, UNSIGNED, unsigned),
        Err(_) => write_head(out, NEGATIVE, (-1 - number) as u64),
    }
}

fn write_wide(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, length: usize) -> PyResult<()> {
    if let Ok(small) = value.extract::<u64>() {
        let bytes = small.to_be_bytes();
        let raw = &bytes[small.leading_zeros() as usize / 8..];
        if raw.len() <= length {
            write_head(out, BYTES, raw.len() as u64);
            out.extend_from_slice(raw);
            return Ok(());
        }
    }
    let bytes = value
        .call_method1(intern!(value.py(), "to_bytes"), (length, "big"))
        .map_err(|_| PyValueError::new_err(format!("{value} has no place in {length} bytes")))?;
    let raw = bytes.cast::<PyBytes>()?.as_bytes();
    let raw = &raw[raw.iter().take_while(|byte| **byte == 0).count()..];
    write_head(out, BYTES, raw.len() as u64);
    out.extend_from_slice(raw);
    Ok(())
}

fn write_bytes(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        write_head(out, BYTES, bytes.as_bytes().len() as u64);
        out.extend_from_slice(bytes.as_bytes());
        return Ok(());
    }
    let bytes = value.cast::<PyByteArray>()?.to_vec();
    write_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(&bytes);
    Ok(())
}

pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
