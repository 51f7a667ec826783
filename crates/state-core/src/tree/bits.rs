//! Strings of bits: labels of inner nodes, and how keys compare with them.

/// Number of bits of a key.
pub(super) fn bit_length(key: &[u8]) -> usize {
    key.len() * 8
}

/// Bit `index` of a key, most significant bit of byte 0 first.
pub(super) fn bit(key: &[u8], index: usize) -> bool {
    key[index / 8] & (0x80 >> (index % 8)) != 0
}

/// Eight bits that start at bit `from`; bits beyond the end are zero.
fn byte_at(key: &[u8], from: usize) -> u8 {
    let (index, shift) = (from / 8, from % 8);
    let high = key.get(index).copied().unwrap_or(0);
    if shift == 0 {
        return high;
    }
    let low = key.get(index + 1).copied().unwrap_or(0);
    (high << shift) | (low >> (8 - shift))
}

/// How many bits two keys share, counted from bit `from` (which both have).
pub(super) fn common_bits(left: &[u8], right: &[u8], from: usize) -> usize {
    let limit = bit_length(left).min(bit_length(right)) - from;
    let mut shared = 0;
    while shared < limit {
        let differing = byte_at(left, from + shared) ^ byte_at(right, from + shared);
        if differing != 0 {
            return limit.min(shared + differing.leading_zeros() as usize);
        }
        shared += 8;
    }
    limit
}

/// A label: `length` bits, the last byte filled with zeros.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bits {
    length: u16,
    bytes: Box<[u8]>,
}

impl Bits {
    /// Bits `from..to` of a key.
    pub(super) fn of(key: &[u8], from: usize, to: usize) -> Self {
        let length = to - from;
        let mut bytes: Box<[u8]> = (0..length.div_ceil(8)).map(|index| byte_at(key, from + 8 * index)).collect();
        if let (Some(last), rest @ 1..) = (bytes.last_mut(), length % 8) {
            *last &= 0xff << (8 - rest);
        }
        let length = u16::try_from(length).expect("keys are shorter than 8 KiB");
        Self { length, bytes }
    }

    /// A label from its stored form; `None` unless the bytes are exactly those of `length` bits.
    pub(super) fn from_bytes(length: u16, bytes: &[u8]) -> Option<Self> {
        let label = Self { length, bytes: bytes.into() };
        let canonical = bytes.len() == label.len().div_ceil(8) && Self::of(bytes, 0, label.len()) == label;
        canonical.then_some(label)
    }

    pub(super) fn len(&self) -> usize {
        self.length.into()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn length_bytes(&self) -> [u8; 2] {
        self.length.to_le_bytes()
    }

    pub(super) fn bit(&self, index: usize) -> bool {
        bit(&self.bytes, index)
    }

    /// How many bits of the label a key follows from its bit `depth` on.
    pub(super) fn shared_with(&self, key: &[u8], depth: usize) -> usize {
        let limit = self.len().min(bit_length(key) - depth);
        for (index, byte) in self.bytes.iter().enumerate() {
            let differing = byte ^ byte_at(key, depth + 8 * index);
            if differing != 0 {
                return limit.min(8 * index + differing.leading_zeros() as usize);
            }
        }
        limit
    }

    /// Split after `at` bits.
    pub(super) fn split(&self, at: usize) -> (Self, Self) {
        (Self::of(&self.bytes, 0, at), Self::of(&self.bytes, at, self.len()))
    }

    /// This label followed by another.
    pub(super) fn join(&self, next: &Self) -> Self {
        let mut path = self.bytes.to_vec();
        append(&mut path, self.len(), next);
        Self { length: self.length + next.length, bytes: path.into() }
    }
}

/// Append a label to a path of `length` bits.
pub(super) fn append(path: &mut Vec<u8>, length: usize, label: &Bits) {
    path.truncate(length.div_ceil(8));
    let shift = length % 8;
    if shift != 0 {
        let last = path.len() - 1;
        path[last] &= 0xff << (8 - shift);
    }
    for byte in label.bytes() {
        if shift == 0 {
            path.push(*byte);
        } else {
            let last = path.len() - 1;
            path[last] |= byte >> shift;
            path.push(byte << (8 - shift));
        }
    }
    path.truncate((length + label.len()).div_ceil(8));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(key: &[u8]) -> Vec<bool> {
        (0..bit_length(key)).map(|index| bit(key, index)).collect()
    }

    proptest! {
        #[test]
        fn labels_agree_with_lists_of_bits(
            key in proptest::collection::vec(any::<u8>(), 1..6),
            other in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..6),
            cuts in any::<[u16; 3]>(),
        ) {
            let bits = naive(&key);
            let mut cuts = cuts.map(|cut| usize::from(cut) % (bits.len() + 1));
            cuts.sort_unstable();
            let [from, middle, to] = cuts;
            let label = Bits::of(&key, from, to);
            prop_assert_eq!(&naive(label.bytes())[..label.len()], &bits[from..to]);
            prop_assert_eq!(Bits::from_bytes(label.len() as u16, label.bytes()), Some(label.clone()));
            let (head, tail) = label.split(middle - from);
            prop_assert_eq!(&head, &Bits::of(&key, from, middle));
            prop_assert_eq!(&tail, &Bits::of(&key, middle, to));
            prop_assert_eq!(&head.join(&tail), &label);

            let depth = from.min(bit_length(&other));
            let expected = bits[from..to].iter().zip(&naive(&other)[depth..]).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(label.shared_with(&other, depth), expected);
            let depth = depth.min(bits.len());
            let expected = bits[depth..].iter().zip(&naive(&other)[depth..]).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(common_bits(&key, &other, depth), expected);
        }
    }

    #[test]
    fn a_label_with_set_bits_behind_its_end_is_refused() {
        assert_eq!(Bits::from_bytes(3, &[0b1110_0001]), None);
        assert_eq!(Bits::from_bytes(3, &[0b1110_0000, 0]), None);
        assert!(Bits::from_bytes(3, &[0b1110_0000]).is_some());
    }
}
