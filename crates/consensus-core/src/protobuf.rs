//! The few protobuf encodings that CometBFT hashes and signs.
//!
//! proto3 leaves out a scalar that has its default value; gogoproto writes a submessage that is not nullable even where
//! it is empty, so [`Writer::message`] always writes. Only encoding: nothing here reads protobuf.
//! Source: protobuf.dev/programming-guides/encoding.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;

const NANOSECONDS: i128 = 1_000_000_000;

/// Writes the fields of one message, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// A message without fields so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What was written, behind its length, as CometBFT signs it.
    #[must_use]
    pub fn delimited(self) -> Vec<u8> {
        let mut out = Self::new();
        out.uvarint(self.0.len() as u64);
        out.0.extend(self.0);
        out.0
    }

    /// Field of type int32, int64, uint32 or enum; negative values take ten bytes.
    #[must_use]
    pub fn integer(mut self, number: u64, value: i64) -> Self {
        if value != 0 {
            self.tag(number, VARINT);
            self.uvarint(value.cast_unsigned());
        }
        self
    }

    /// Field of type sfixed64.
    #[must_use]
    pub fn sfixed64(mut self, number: u64, value: i64) -> Self {
        if value != 0 {
            self.tag(number, FIXED64);
            self.0.extend(value.to_le_bytes());
        }
        self
    }

    /// Field of type bytes or string.
    #[must_use]
    pub fn data(self, number: u64, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.message(number, value) }
    }

    /// Field that is a message, or one element of a repeated field; written even when empty.
    #[must_use]
    pub fn message(mut self, number: u64, encoded: &[u8]) -> Self {
        self.tag(number, LENGTH);
        self.uvarint(encoded.len() as u64);
        self.0.extend(encoded);
        self
    }

    fn tag(&mut self, number: u64, wire_type: u64) {
        self.uvarint(number << 3 | wire_type);
    }

    fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// `google.protobuf.Timestamp` of a Unix time [ns]; `None` where its seconds have no 64 bits.
#[must_use]
pub fn timestamp(time_ns: i128) -> Option<Vec<u8>> {
    let seconds = i64::try_from(time_ns.div_euclid(NANOSECONDS)).ok()?;
    let nanos = i64::try_from(time_ns.rem_euclid(NANOSECONDS)).ok()?;
    Some(Writer::new().integer(1, seconds).integer(2, nanos).into_bytes())
}
