//! Nodes: what they hold, how they hash, how they lie in the database.

use sha2::{Digest, Sha512_256};

use super::bits::Bits;
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Root};

/// Root of the tree without keys: SHA-512/256 of nothing. Also stands for an absent child in an inner node's hash.
pub const EMPTY_ROOT: Root = [
    0xc6, 0x72, 0xb8, 0xd1, 0xef, 0x56, 0xed, 0x28, 0xab, 0x87, 0xc3, 0x62, 0x2c, 0x51, 0x14, 0x06, 0x9b, 0xdd, 0x3a,
    0xd7, 0xb8, 0xf9, 0x73, 0x74, 0x98, 0xd0, 0xc0, 0x1e, 0xce, 0xf0, 0x96, 0x7a,
];

pub(super) const LEAF: u8 = 0;
pub(super) const INNER: u8 = 1;

/// Points to a node: by hash for whoever checks, by number for whoever looks it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Hash of the node.
    pub hash: Root,
    /// Number of the node in the database, never used twice while a process runs.
    pub id: u64,
}

/// A node with the link that leads to it, in one piece of memory: most look-ups wait for memory, and for nothing else.
#[derive(PartialEq, Eq, Debug)]
pub struct Known {
    /// What leads to it.
    pub link: Link,
    /// A node with that hash.
    pub node: Node,
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    pub(super) key: Box<[u8]>,
    /// The value stored under the key.
    pub value: Box<[u8]>,
}

/// A branching.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inner {
    pub(super) label: Bits,
    pub(super) leaf: Option<Link>,
    pub(super) left: Option<Link>,
    pub(super) right: Option<Link>,
}

/// A node of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// A key with its value.
    Leaf(Leaf),
    /// A branching.
    Inner(Inner),
}

pub(super) fn leaf_hash(key: &[u8], value: &[u8]) -> Root {
    let mut hasher = Sha512_256::new();
    hasher.update([LEAF]);
    hasher.update((key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update((value.len() as u32).to_le_bytes());
    hasher.update(value);
    hasher.finalize().into()
}

pub(super) fn inner_hash(label: &Bits, children: [Option<&Root>; 3]) -> Root {
    let mut hasher = Sha512_256::new();
    hasher.update([INNER]);
    hasher.update(label.length_bytes());
    hasher.update(label.bytes());
    for child in children {
        hasher.update(child.unwrap_or(&EMPTY_ROOT));
    }
    hasher.finalize().into()
}

impl Inner {
    pub(super) fn children(&self) -> [Option<Link>; 3] {
        [self.leaf, self.left, self.right]
    }
}

impl Node {
    pub(super) fn leaf(key: &[u8], value: &[u8]) -> Self {
        Self::Leaf(Leaf { key: key.into(), value: value.into() })
    }

    /// Hash that authenticates the node and everything below it.
    pub fn hash(&self) -> Root {
        match self {
            Self::Leaf(leaf) => leaf_hash(&leaf.key, &leaf.value),
            Self::Inner(inner) => {
                let [leaf, left, right] = &inner.children();
                let hash = |link: &'_ Option<Link>| link.as_ref().map(|link| link.hash);
                let (leaf, left, right) = (hash(leaf), hash(left), hash(right));
                inner_hash(&inner.label, [leaf.as_ref(), left.as_ref(), right.as_ref()])
            }
        }
    }

    /// Memory the node takes, roughly [bytes].
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Leaf(leaf) => leaf.key.len() + leaf.value.len(),
                Self::Inner(inner) => inner.label.bytes().len(),
            }
    }

    /// Append the form on disk: `00 ‖ key length LE2 ‖ key ‖ value`, or
    /// `01 ‖ label bits LE2 ‖ label ‖ mask ‖ (hash32 ‖ number LE8) for each child present`,
    /// mask bit 0 leaf, bit 1 left, bit 2 right.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leaf(leaf) => {
                out.push(LEAF);
                out.extend_from_slice(&(leaf.key.len() as u16).to_le_bytes());
                out.extend_from_slice(&leaf.key);
                out.extend_from_slice(&leaf.value);
            }
            Self::Inner(inner) => {
                out.push(INNER);
                out.extend_from_slice(&inner.label.length_bytes());
                out.extend_from_slice(inner.label.bytes());
                let children = inner.children();
                out.push(children.iter().enumerate().map(|(bit, child)| u8::from(child.is_some()) << bit).sum());
                for link in children.iter().flatten() {
                    out.extend_from_slice(&link.hash);
                    out.extend_from_slice(&link.id.to_le_bytes());
                }
            }
        }
    }

    /// Read the form on disk; `None` when it is not one. The caller checks the hash.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (&tag, rest) = data.split_first()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = u16::from_le_bytes(*length);
        if tag == LEAF {
            let (key, value) = rest.split_at_checked(length.into())?;
            return (key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES).then(|| Self::leaf(key, value));
        }
        let (label, rest) = rest.split_at_checked(usize::from(length).div_ceil(8))?;
        let label = Bits::from_bytes(length, label)?;
        let (&mask, mut rest) = rest.split_first()?;
        let mut children = [None; 3];
        for (bit, child) in children.iter_mut().enumerate() {
            if mask & (1 << bit) != 0 {
                let (hash, after) = rest.split_first_chunk::<32>()?;
                let (id, after) = after.split_first_chunk::<8>()?;
                *child = Some(Link { hash: *hash, id: u64::from_le_bytes(*id) });
                rest = after;
            }
        }
        let [leaf, left, right] = children;
        (tag == INNER && mask < 8 && rest.is_empty()).then_some(Self::Inner(Inner { label, leaf, left, right }))
    }
}
