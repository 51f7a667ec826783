//! The codec of records, Python objects from and to CBOR by a schema in one pass, and of frames.
//!
//! `shared/encoding/record.py` says what a record is and builds the schema; this crate is what it
//! costs. Untrusted bytes are read with a bound on depth, without tags, floats or indefinite lengths,
//! and never with memory in advance of what is there.

mod decode;
mod encode;
mod frames;
mod schema;

use std::sync::Arc;

use pyo3::{
    prelude::*,
    types::{PyBytes, PyList, PyType},
};

pub use crate::frames::{FrameBuffer, FrameCodec};
use crate::{
    decode::{Fault, Reader},
    schema::Schema,
};

/// One type with everything below it, in both directions.
#[pyclass(frozen, module = "evm_native._native")]
#[derive(Debug)]
pub struct RecordCodec {
    schema: Arc<Schema>,
    malformed_cbor: Py<PyType>,
    malformed_record: Py<PyType>,
}

#[pymethods]
impl RecordCodec {
    /// `root` and `records` are schemas as `shared/encoding/schema.py` describes them.
    #[new]
    fn new(
        root: &Bound<'_, PyAny>,
        records: &Bound<'_, PyList>,
        malformed_cbor: Py<PyType>,
        malformed_record: Py<PyType>,
    ) -> PyResult<Self> {
        let schema = Arc::new(Schema::read(root, records)?);
        Ok(Self { schema, malformed_cbor, malformed_record })
    }

    /// Canonical bytes of a value.
    fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = Vec::with_capacity(256);
        encode::write(&self.schema, &self.schema.root, value, &mut out)?;
        Ok(PyBytes::new(value.py(), &out))
    }

    /// Value of canonical bytes; any other encoding of it is refused.
    fn decode<'py>(&self, py: Python<'py>, untrusted: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.read(py, Reader::canonical(untrusted))
    }

    /// Value of bytes in which lengths and orders may be any.
    fn decode_loosely<'py>(&self, py: Python<'py>, untrusted: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.read(py, Reader::loose(untrusted))
    }
}

impl RecordCodec {
    fn read<'py>(&self, py: Python<'py>, mut reader: Reader<'_>) -> PyResult<Bound<'py, PyAny>> {
        let value = decode::read(py, &self.schema, &self.schema.root, &mut reader, 0);
        value.and_then(|value| reader.finish().map(|()| value)).map_err(|fault| {
            let (class, message) = match fault {
                Fault::Cbor(message) => (&self.malformed_cbor, message),
                Fault::Record(message) => (&self.malformed_record, message),
                Fault::Raised(error) => return error,
            };
            match class.bind(py).call1((message,)) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            }
        })
    }
}
