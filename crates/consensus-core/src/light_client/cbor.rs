//! Records in canonical CBOR, read from untrusted bytes without a copy.
//!
//! As strict as `crates/record-codec`, fault for fault: shortest heads, definite lengths, keys in canonical order, no
//! tags or floats, and nothing behind the item. Nothing is reserved ahead of what is there; nesting ends with the
//! records, since a field that a record does not have is refused before its value is read.

use cbor_head::{
    ARRAY, BYTES, FALSE, MAP, NEGATIVE, NULL, TAG, TEXT, TRUE, UNSIGNED, argument, argument_bytes, is_shortest,
    python_type,
};

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They are not canonical CBOR.
    #[error("{0}")]
    Cbor(String),
    /// They are, but not of this shape.
    #[error("{0}")]
    Record(String),
}

pub(super) type Read<T> = Result<T, Malformed>;

fn cbor<T>(message: impl Into<String>) -> Read<T> {
    Err(Malformed::Cbor(message.into()))
}

fn record<T>(message: impl Into<String>) -> Read<T> {
    Err(Malformed::Record(message.into()))
}

fn wrong<T>(expected: &str, first: u8) -> Read<T> {
    record(format!("expected {expected}, got {}", python_type(first)))
}

/// N bytes where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exactly<'a, const N: usize>(pub(super) &'a [u8; N]);

impl<const N: usize> Default for Exactly<'_, N> {
    fn default() -> Self {
        Self(const { &[0; N] })
    }
}

/// Bytes that are not read yet.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads all of the bytes as one item.
    pub(super) fn whole<T>(bytes: &'a [u8], read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let mut reader = Self(bytes);
        let item = read(&mut reader)?;
        match reader.0.len() {
            0 => Ok(item),
            left => cbor(format!("{left} bytes follow the item")),
        }
    }

    pub(super) fn unsigned(&mut self) -> Read<u64> {
        match self.head()? {
            (first, argument) if first >> 5 == UNSIGNED => Ok(argument),
            (first, argument) if first >> 5 == NEGATIVE => {
                record(format!("{} is not in 0 to {}", -1 - i128::from(argument), u64::MAX))
            }
            (first, _) => wrong("int", first),
        }
    }

    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.argument_of(BYTES, "bytes")?;
        self.take(length)
    }

    pub(super) fn exactly<const N: usize>(&mut self) -> Read<Exactly<'a, N>> {
        let length = self.argument_of(BYTES, "bytes")?;
        if length != N as u64 {
            return record(format!("expected {N} bytes, got {length}"));
        }
        let taken = self.take(length)?;
        Ok(Exactly(taken.try_into().expect("so many were taken")))
    }

    /// Bytes, or null.
    pub(super) fn optional_bytes(&mut self) -> Read<Option<&'a [u8]>> {
        if self.0.first() == Some(&NULL) {
            self.take(1)?;
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    pub(super) fn text(&mut self) -> Read<&'a str> {
        let length = self.argument_of(TEXT, "str")?;
        self.take_text(length)
    }

    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.argument_of(ARRAY, "an array")?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(super) fn pair<A, B>(
        &mut self,
        read_first: impl FnOnce(&mut Self) -> Read<A>,
        read_second: impl FnOnce(&mut Self) -> Read<B>,
    ) -> Read<(A, B)> {
        match self.argument_of(ARRAY, "an array")? {
            2 => Ok((read_first(self)?, read_second(self)?)),
            count => record(format!("expected 2 items, got {count}")),
        }
    }

    /// Begins a record, whose fields are then to be read in canonical order.
    pub(super) fn fields<'r>(&'r mut self, record_name: &'static str) -> Read<Fields<'r, 'a>> {
        match self.head()? {
            (first, left) if first >> 5 == MAP => {
                Ok(Fields { reader: self, record_name, left, last: None, next: None, missing: Vec::new() })
            }
            _ => record(format!("{record_name}: expected a map")),
        }
    }

    fn argument_of(&mut self, major: u8, expected: &str) -> Read<u64> {
        match self.head()? {
            (first, argument) if first >> 5 == major => Ok(argument),
            (first, _) => wrong(expected, first),
        }
    }

    fn take_text(&mut self, length: u64) -> Read<&'a str> {
        str::from_utf8(self.take(length)?).or_else(|_| cbor("text is not UTF-8"))
    }

    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let parts = usize::try_from(count).ok().and_then(|count| self.0.split_at_checked(count));
        let Some((taken, rest)) = parts else {
            return cbor("the bytes end too early");
        };
        self.0 = rest;
        Ok(taken)
    }

    /// First byte and argument of the next head.
    fn head(&mut self) -> Read<(u8, u64)> {
        let first = self.take(1)?[0];
        let Some(following) = argument_bytes(first) else {
            return cbor("an indefinite or reserved length is not allowed");
        };
        let argument = argument(first, self.take(following as u64)?);
        match first >> 5 {
            TAG => cbor(format!("tags are not allowed: {argument}")),
            7 if !matches!(first, FALSE | TRUE | NULL) => cbor("this item is not plain"),
            _ if !is_shortest(argument, following) => cbor("the encoding is not canonical"),
            _ => Ok((first, argument)),
        }
    }
}

/// The fields of one record. What is missing has its default until [`Fields::finish`] refuses it.
#[derive(Debug)]
pub(super) struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    record_name: &'static str,
    /// Fields whose keys were not read.
    left: u64,
    /// The key that was read last, as it is encoded.
    last: Option<&'a [u8]>,
    /// Its name, as long as its value was not read.
    next: Option<&'a str>,
    missing: Vec<&'static str>,
}

impl<'a> Fields<'_, 'a> {
    pub(super) fn required<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Read<T>,
    ) -> Read<T> {
        if let Some(value) = self.read(name, read)? {
            return Ok(value);
        }
        self.missing.push(name);
        Ok(T::default())
    }

    /// A field that has its default where it is left out.
    pub(super) fn or_default<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Read<T>,
    ) -> Read<T> {
        Ok(self.read(name, read)?.unwrap_or_default())
    }

    /// Refuses what is left over, and what is missing.
    pub(super) fn finish(mut self) -> Read<()> {
        if let Some(name) = self.peek()? {
            return record(format!("{}: unknown field {name:?}", self.record_name));
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        self.missing.sort_unstable();
        record(format!("{}: missing {}", self.record_name, self.missing.join(", ")))
    }

    fn read<T>(&mut self, name: &str, read: impl FnOnce(&mut Reader<'a>) -> Read<T>) -> Read<Option<T>> {
        if self.peek()? != Some(name) {
            return Ok(None);
        }
        self.next = None;
        read(self.reader).map(Some).map_err(|fault| match fault {
            Malformed::Record(message) => Malformed::Record(format!("{}.{name}: {message}", self.record_name)),
            fault @ Malformed::Cbor(_) => fault,
        })
    }

    /// Name of the next field that was not read.
    fn peek(&mut self) -> Read<Option<&'a str>> {
        if self.next.is_none() && self.left > 0 {
            self.left -= 1;
            let before = self.reader.0;
            let (first, length) = self.reader.head()?;
            // A key that is no text names no field.
            let name = if first >> 5 == TEXT { self.reader.take_text(length)? } else { "" };
            let key = &before[..before.len() - self.reader.0.len()];
            if self.last.is_some_and(|last| (last.len(), last) >= (key.len(), key)) {
                return cbor("the keys of a map are not in canonical order");
            }
            (self.last, self.next) = (Some(key), Some(name));
        }
        Ok(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Some<'a> {
        one: u64,
        two: &'a [u8],
        four: Option<&'a [u8]>,
    }

    fn some(bytes: &[u8]) -> Read<Some<'_>> {
        Reader::whole(bytes, |reader| {
            let mut fields = reader.fields("Some")?;
            let some = Some {
                one: fields.required("one", Reader::unsigned)?,
                two: fields.required("two", Reader::bytes)?,
                four: fields.or_default("four", Reader::optional_bytes)?,
            };
            fields.finish().map(|()| some)
        })
    }

    fn cbor_fault(bytes: &[u8]) -> String {
        match some(bytes) {
            Err(Malformed::Cbor(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    fn record_fault(bytes: &[u8]) -> String {
        match some(bytes) {
            Err(Malformed::Record(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_is_read_where_it_stands() {
        let bytes = b"\xA2\x63one\x18\x18\x63two\x42hi";
        let read = some(bytes).unwrap();
        assert_eq!(read, Some { one: 24, two: b"hi", four: None });
        assert!(bytes.as_ptr_range().contains(&read.two.as_ptr()));
        let with_four = some(b"\xA3\x63one\x00\x63two\x40\x64four\x41x").unwrap();
        assert_eq!(with_four.four, Option::Some(b"x".as_slice()));
    }

    #[test]
    fn every_cut_is_refused_and_so_is_what_follows() {
        let bytes = b"\xA2\x63one\x18\x18\x63two\x42hi";
        for end in 0..bytes.len() {
            assert_eq!(cbor_fault(&bytes[..end]), "the bytes end too early");
        }
        assert_eq!(cbor_fault(b"\xA2\x63one\x00\x63two\x40\x00"), "1 bytes follow the item");
    }

    #[test]
    fn lengths_beyond_the_bytes_take_no_memory() {
        for head in [b"\x5B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\x5B\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"] {
            let bytes = [b"\xA2\x63one\x00\x63two".as_slice(), head].concat();
            assert_eq!(cbor_fault(&bytes), "the bytes end too early");
        }
        let endless = b"\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00";
        let read = Reader::whole(endless, |reader| reader.list(Reader::unsigned));
        assert_eq!(read, Err(Malformed::Cbor("the bytes end too early".into())));
        assert_eq!(cbor_fault(b"\xBB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), "the bytes end too early");
    }

    #[test]
    fn heads_have_one_form() {
        let heads: [&[u8]; 4] =
            [b"\x18\x17", b"\x19\x00\xFF", b"\x1A\x00\x00\xFF\xFF", b"\x1B\0\0\0\0\xFF\xFF\xFF\xFF"];
        for head in heads {
            let read = Reader::whole(head, Reader::unsigned);
            assert_eq!(read, Err(Malformed::Cbor("the encoding is not canonical".into())));
        }
        for number in [23, 24, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0xFFFF_FFFF, 0x1_0000_0000, u64::MAX] {
            let bytes = number.to_be_bytes();
            let head = match number {
                0..24 => vec![bytes[7]],
                24..0x100 => [b"\x18", &bytes[7..]].concat(),
                0x100..0x1_0000 => [b"\x19", &bytes[6..]].concat(),
                0x1_0000..0x1_0000_0000 => [b"\x1A", &bytes[4..]].concat(),
                _ => [b"\x1B", &bytes[..]].concat(),
            };
            assert_eq!(Reader::whole(&head, Reader::unsigned), Ok(number));
        }
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        assert_eq!(cbor_fault(b"\xBF\xFF"), "an indefinite or reserved length is not allowed");
        assert_eq!(cbor_fault(b"\xC1\x00"), "tags are not allowed: 1");
        assert_eq!(cbor_fault(b"\xA1\x63one\xF9\x00\x00"), "this item is not plain");
        assert_eq!(cbor_fault(b"\xA1\x63one\xF7"), "this item is not plain");
        assert_eq!(cbor_fault(b"\xA1\x63\xFF\xFF\xFF\x00"), "text is not UTF-8");
    }

    #[test]
    fn fields_have_one_order_and_one_place() {
        let order = "the keys of a map are not in canonical order";
        assert_eq!(cbor_fault(b"\xA2\x63two\x40\x63one\x00"), order);
        assert_eq!(cbor_fault(b"\xA2\x63one\x00\x63one\x00"), order);
        assert_eq!(record_fault(b"\xA2\x63one\x00\x65three\x00"), "Some: unknown field \"three\"");
        assert_eq!(record_fault(b"\xA2\x00\x00\x63one\x00"), "Some: unknown field \"\"");
        assert_eq!(record_fault(b"\xA0"), "Some: missing one, two");
        // What follows a missing field is read as well: it may be no CBOR at all.
        assert_eq!(cbor_fault(b"\xA1\x63two\x41"), "the bytes end too early");
    }

    #[test]
    fn values_have_the_types_of_their_fields() {
        assert_eq!(record_fault(b"\xA1\x63one\x40"), "Some.one: expected int, got bytes");
        assert_eq!(record_fault(b"\xA1\x63one\x20"), "Some.one: -1 is not in 0 to 18446744073709551615");
        assert_eq!(record_fault(b"\xA1\x63two\xF6"), "Some.two: expected bytes, got NoneType");
        assert_eq!(record_fault(b"\x80"), "Some: expected a map");
        let short = Reader::whole(b"\x42hi", Reader::exactly::<3>);
        assert_eq!(short, Err(Malformed::Record("expected 3 bytes, got 2".into())));
        let three = Reader::whole(b"\x83\x00\x00\x00", |reader| reader.pair(Reader::unsigned, Reader::unsigned));
        assert_eq!(three, Err(Malformed::Record("expected 2 items, got 3".into())));
    }
}
