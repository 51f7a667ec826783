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

/// A string of bits, of a key or of a label, read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    from: usize,
    length: usize,
}

impl<'a> Bits<'a> {
    /// Bits `from..to` of a key.
    pub(super) fn of(key: &'a [u8], from: usize, to: usize) -> Self {
        Self { bytes: key, from, length: to - from }
    }

    /// A label from its stored form; `None` unless the bytes are exactly those of `length` bits, the last one filled
    /// with zeros.
    pub(super) fn from_bytes(length: u16, bytes: &'a [u8]) -> Option<Self> {
        let label = Self::of(bytes, 0, length.into());
        let is_filled = bytes.last().is_none_or(|last| last & !label.last_mask() == 0);
        (bytes.len() == label.len().div_ceil(8) && is_filled).then_some(label)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Which bits of the last byte count.
    fn last_mask(&self) -> u8 {
        0xff << ((8 - self.length % 8) % 8)
    }

    /// The stored form: the last byte is filled with zeros.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let count = self.length.div_ceil(8);
        (0..count).map(move |index| {
            let byte = byte_at(self.bytes, self.from + 8 * index);
            if index + 1 == count { byte & self.last_mask() } else { byte }
        })
    }

    pub(super) fn length_bytes(&self) -> [u8; 2] {
        u16::try_from(self.length).expect("keys are shorter than 8 KiB").to_le_bytes()
    }

    pub(super) fn bit(&self, index: usize) -> bool {
        bit(self.bytes, self.from + index)
    }

    /// How many of these bits a key follows from its bit `depth` on.
    pub(super) fn shared_with(&self, key: &[u8], depth: usize) -> usize {
        let limit = self.length.min(bit_length(key) - depth);
        for index in (0..limit).step_by(8) {
            let differing = byte_at(self.bytes, self.from + index) ^ byte_at(key, depth + index);
            if differing != 0 {
                return limit.min(index + differing.leading_zeros() as usize);
            }
        }
        limit
    }

    /// Split after `at` bits.
    pub(super) fn split(&self, at: usize) -> (Self, Self) {
        (Self { length: at, ..*self }, Self { from: self.from + at, length: self.length - at, ..*self })
    }

    /// The stored form of these bits followed by others, and how many they are.
    pub(super) fn join(&self, next: Self) -> (Vec<u8>, usize) {
        let mut path: Vec<u8> = self.bytes().collect();
        append(&mut path, self.length, next);
        (path, self.length + next.length)
    }
}

/// Append a label to a path of `length` bits.
pub(super) fn append(path: &mut Vec<u8>, length: usize, label: Bits<'_>) {
    path.truncate(length.div_ceil(8));
    let shift = length % 8;
    if shift != 0 {
        let last = path.len() - 1;
        path[last] &= 0xff << (8 - shift);
    }
    for byte in label.bytes() {
        if shift == 0 {
            path.push(byte);
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
            let stored: Vec<u8> = label.bytes().collect();
            prop_assert_eq!(&naive(&stored)[..label.len()], &bits[from..to]);
            prop_assert!(naive(&stored)[label.len()..].iter().all(|bit| !bit));
            let read = Bits::from_bytes(label.len() as u16, &stored).expect("a stored form");
            prop_assert!(read.bytes().eq(label.bytes()) && read.len() == label.len());
            let (head, tail) = label.split(middle - from);
            prop_assert!(head.bytes().eq(Bits::of(&key, from, middle).bytes()));
            prop_assert!(tail.bytes().eq(Bits::of(&key, middle, to).bytes()));
            prop_assert_eq!(head.join(tail), (stored, label.len()));

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
        assert!(Bits::from_bytes(3, &[0b1110_0001]).is_none());
        assert!(Bits::from_bytes(3, &[0b1110_0000, 0]).is_none());
        assert!(Bits::from_bytes(3, &[0b1110_0000]).is_some());
    }
}
