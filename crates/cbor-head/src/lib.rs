//! Heads of CBOR items (RFC 8949 section 3): major type and argument, always of definite length.
//!
//! Each crate that reads CBOR has its own idea of what an item is, and this of how it begins.

/// Major type of a number from 0 on.
pub const UNSIGNED: u8 = 0;
/// Of a number below 0: -1 less the argument.
pub const NEGATIVE: u8 = 1;
/// Of a byte string.
pub const BYTES: u8 = 2;
/// Of a text.
pub const TEXT: u8 = 3;
/// Of an array.
pub const ARRAY: u8 = 4;
/// Of a map.
pub const MAP: u8 = 5;
/// Of a tag, which the next item carries.
pub const TAG: u8 = 6;

/// False, a whole item.
pub const FALSE: u8 = 0xf4;
/// True.
pub const TRUE: u8 = 0xf5;
/// Null.
pub const NULL: u8 = 0xf6;

/// Append a head in its shortest form.
#[inline]
pub fn write_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// How many bytes follow the first byte of a head, or `None` for indefinite and reserved lengths.
#[inline]
#[must_use]
pub fn argument_bytes(first: u8) -> Option<usize> {
    match first & 0x1f {
        0..24 => Some(0),
        24 => Some(1),
        25 => Some(2),
        26 => Some(4),
        27 => Some(8),
        _ => None,
    }
}

/// The argument of a head from its first byte and those that follow it.
#[inline]
#[must_use]
pub fn argument(first: u8, following: &[u8]) -> u64 {
    if following.is_empty() {
        return u64::from(first & 0x1f);
    }
    following.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Whether an argument could not have been said with fewer bytes.
#[inline]
#[must_use]
pub fn is_shortest(argument: u64, following: usize) -> bool {
    match following {
        0 => true,
        1 => argument >= 24,
        2 => argument >= 0x100,
        4 => argument >= 0x1_0000,
        _ => argument >= 0x1_0000_0000,
    }
}

/// What Python calls the type of an item that begins so.
#[inline]
#[must_use]
pub fn python_type(first: u8) -> &'static str {
    match first >> 5 {
        UNSIGNED | NEGATIVE => "int",
        BYTES => "bytes",
        TEXT => "str",
        ARRAY => "list",
        MAP => "dict",
        _ if first == NULL => "NoneType",
        _ => "bool",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_has_its_shortest_form() {
        for number in [0, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX] {
            let mut out = Vec::new();
            write_head(&mut out, ARRAY, number);
            let following = argument_bytes(out[0]).expect("a definite length");
            assert_eq!(out.len(), 1 + following);
            assert_eq!(out[0] >> 5, ARRAY);
            assert_eq!(argument(out[0], &out[1..]), number);
            assert!(is_shortest(number, following));
        }
    }

    #[test]
    fn indefinite_and_reserved_lengths_have_no_argument() {
        for low in 28..32 {
            assert_eq!(argument_bytes(BYTES << 5 | low), None);
        }
    }
}
