//! Frames of `shared/encoding/frames.py`: what stands around a body, read and written in one pass.
//!
//! A body is copied once, and nobody here looks into it.

use cbor_head::{ARRAY, BYTES, FALSE, TEXT, TRUE, UNSIGNED, write_head};
use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    types::{PyBytes, PyString, PyType},
};

use crate::{
    decode::{Fault, Reader, text},
    encode::{write_any, write_text},
};

const LENGTH_BYTES: usize = 4;
/// A buffer beyond this is given back when nothing waits in it [bytes].
const KEPT_BYTES: usize = 64 * 1024;
const NO_FRAME: &str = "the frame is none of the five kinds";

/// The five kinds of frames, which are classes of Python.
#[pyclass(frozen, module = "evm_native._native")]
#[derive(Debug)]
pub struct FrameCodec {
    request: Py<PyType>,
    response: Py<PyType>,
    failure: Py<PyType>,
    event: Py<PyType>,
    cancel: Py<PyType>,
    malformed: Py<PyType>,
}

#[pymethods]
impl FrameCodec {
    /// Take the classes, and what is raised for untrusted bytes.
    #[new]
    fn new(
        request: Py<PyType>,
        response: Py<PyType>,
        failure: Py<PyType>,
        event: Py<PyType>,
        cancel: Py<PyType>,
        malformed: Py<PyType>,
    ) -> Self {
        Self { request, response, failure, event, cancel, malformed }
    }

    /// Bytes of a frame, its length first; over `max_bytes` it is refused.
    fn encode<'py>(&self, frame: &Bound<'py, PyAny>, max_bytes: usize) -> PyResult<Bound<'py, PyBytes>> {
        let py = frame.py();
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        self.write(frame, &mut out)?;
        let length = out.len() - LENGTH_BYTES;
        if length > max_bytes {
            return Err(self.refuse(py, &format!("a frame of {length} bytes is over {max_bytes}")));
        }
        out[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(PyBytes::new(py, &out))
    }

    /// Frame of the bytes that follow a length.
    fn decode<'py>(&self, py: Python<'py>, untrusted: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        self.read(py, untrusted).map_err(|fault| match fault {
            Fault::Cbor(message) | Fault::Record(message) => self.refuse(py, &message),
            Fault::Raised(error) => error,
        })
    }
}

impl FrameCodec {
    fn refuse(&self, py: Python<'_>, message: &str) -> PyErr {
        match self.malformed.bind(py).call1((message,)) {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }

    fn write(&self, frame: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
        let py = frame.py();
        let kind = frame.get_type();
        let id = || -> PyResult<u64> { frame.getattr(intern!(py, "id"))?.extract() };
        let body = || frame.getattr(intern!(py, "body"));
        if kind.is(&self.request) {
            begin(out, 4, 0, id()?);
            write_text(out, frame.getattr(intern!(py, "method"))?.cast::<PyString>()?.to_str()?);
            write_body(out, &body()?)
        } else if kind.is(&self.response) {
            begin(out, 3, 1, id()?);
            write_body(out, &body()?)
        } else if kind.is(&self.event) {
            begin(out, 3, 3, id()?);
            write_body(out, &body()?)
        } else if kind.is(&self.cancel) {
            begin(out, 2, 4, id()?);
            Ok(())
        } else if kind.is(&self.failure) {
            begin(out, 7, 2, id()?);
            for name in ["module", "code", "message", "data", "may_retry"] {
                write_any(&frame.getattr(name)?, out)?;
            }
            Ok(())
        } else {
            Err(PyTypeError::new_err(format!("{kind} is no frame")))
        }
    }

    fn read<'py>(&self, py: Python<'py>, untrusted: &[u8]) -> Result<Bound<'py, PyAny>, Fault> {
        let mut reader = Reader::loose(untrusted);
        let items = argument_of(&mut reader, ARRAY)?;
        let kind = argument_of(&mut reader, UNSIGNED)?;
        let id = argument_of(&mut reader, UNSIGNED)?;
        let frame = match (kind, items) {
            (0, 4) => {
                let length = argument_of(&mut reader, TEXT)?;
                let method = PyString::intern(py, text(reader.take(length)?)?);
                self.request.bind(py).call1((id, method, read_body(py, &mut reader)?))
            }
            (1, 3) => self.response.bind(py).call1((id, read_body(py, &mut reader)?)),
            (2, 7) => {
                let length = argument_of(&mut reader, TEXT)?;
                let module = PyString::new(py, text(reader.take(length)?)?);
                let code = argument_of(&mut reader, UNSIGNED)?;
                let length = argument_of(&mut reader, TEXT)?;
                let message = PyString::new(py, text(reader.take(length)?)?);
                let data = if reader.is_null() {
                    reader.head()?;
                    None
                } else {
                    Some(read_body(py, &mut reader)?)
                };
                let may_retry = match reader.head()?.0 {
                    TRUE => true,
                    FALSE => false,
                    _ => return Err(Fault::Record(NO_FRAME.into())),
                };
                self.failure.bind(py).call1((id, module, code, message, data, may_retry))
            }
            (3, 3) => self.event.bind(py).call1((id, read_body(py, &mut reader)?)),
            (4, 2) => self.cancel.bind(py).call1((id,)),
            _ => return Err(Fault::Record(NO_FRAME.into())),
        };
        reader.finish()?;
        Ok(frame?)
    }
}

fn begin(out: &mut Vec<u8>, items: u64, kind: u64, id: u64) {
    write_head(out, ARRAY, items);
    write_head(out, UNSIGNED, kind);
    write_head(out, UNSIGNED, id);
}

fn write_body(out: &mut Vec<u8>, body: &Bound<'_, PyAny>) -> PyResult<()> {
    let bytes = body.cast::<PyBytes>()?.as_bytes();
    out.reserve(bytes.len() + 9);
    write_head(out, BYTES, bytes.len() as u64);
    out.extend_from_slice(bytes);
    Ok(())
}

fn argument_of(reader: &mut Reader<'_>, major: u8) -> Result<u64, Fault> {
    match reader.head()? {
        (first, argument) if first >> 5 == major => Ok(argument),
        _ => Err(Fault::Record(NO_FRAME.into())),
    }
}

fn read_body<'py>(py: Python<'py>, reader: &mut Reader<'_>) -> Result<Bound<'py, PyBytes>, Fault> {
    let length = argument_of(reader, BYTES)?;
    Ok(PyBytes::new(py, reader.take(length)?))
}

/// Collects bytes as they arrive, and gives whole frames.
#[pyclass(module = "evm_native._native")]
#[derive(Debug)]
pub struct FrameBuffer {
    codec: Py<FrameCodec>,
    bytes: Vec<u8>,
    /// Where the first frame that was not taken begins.
    start: usize,
}

#[pymethods]
impl FrameBuffer {
    /// Begin with nothing.
    #[new]
    fn new(codec: Py<FrameCodec>) -> Self {
        Self { codec, bytes: Vec::new(), start: 0 }
    }

    /// Take bytes as they arrive.
    fn feed(&mut self, untrusted: &[u8]) {
        self.bytes.extend_from_slice(untrusted);
    }

    /// The next whole frame and its payload's size [bytes], or `None`; over `max_bytes` it is refused.
    fn take<'py>(&mut self, py: Python<'py>, max_bytes: usize) -> PyResult<Option<(Bound<'py, PyAny>, usize)>> {
        let waiting = &self.bytes[self.start..];
        let Some((head, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            self.forget_taken();
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        let codec = self.codec.get();
        if length > max_bytes {
            return Err(codec.refuse(py, &format!("a frame of {length} bytes is over {max_bytes}")));
        }
        let Some(payload) = rest.get(..length) else {
            self.forget_taken();
            return Ok(None);
        };
        let frame = codec.decode(py, payload)?;
        self.start += LENGTH_BYTES + length;
        Ok(Some((frame, length)))
    }

    /// How much waits here [bytes].
    fn __len__(&self) -> usize {
        self.bytes.len() - self.start
    }
}

impl FrameBuffer {
    fn forget_taken(&mut self) {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES);
        } else {
            self.bytes.drain(..self.start);
        }
        self.start = 0;
    }
}
