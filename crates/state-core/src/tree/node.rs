//! Nodes: what they hold, how they hash, how they lie in the database and in memory.

use std::sync::Arc;

use sha2::{Digest, Sha512_256};

use super::bits::Bits;
use super::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Root};

/// Root of the tree without keys: SHA-512/256 of nothing. Also stands for an absent child in an inner node's hash.
pub const EMPTY_ROOT: Root = [
    0xc6, 0x72, 0xb8, 0xd1, 0xef, 0x56, 0xed, 0x28, 0xab, 0x87, 0xc3, 0x62, 0x2c, 0x51, 0x14, 0x06, 0x9b, 0xdd, 0x3a,
    0xd7, 0xb8, 0xf9, 0x73, 0x74, 0x98, 0xd0, 0xc0, 0x1e, 0xce, 0xf0, 0x96, 0x7a,
];

const LEAF: u8 = 0;
const INNER: u8 = 1;

/// Points to a node: by hash for whoever checks, by number for whoever looks it up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Hash of the node.
    pub hash: Root,
    /// Number of the node in the database, never used twice while a process runs.
    pub id: u64,
}

/// A link as it is stored: `hash 32 ‖ number LE8`.
const LINK_BYTES: usize = 40;

impl Link {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&self.id.to_le_bytes());
    }

    fn split_from(stored: &[u8]) -> Option<(Self, &[u8])> {
        let (hash, rest) = stored.split_first_chunk::<32>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        Some((Self { hash: *hash, id: u64::from_le_bytes(*id) }, rest))
    }
}

/// A node with the link that leads to it.
///
/// Both as they are stored, in one piece of memory: most look-ups wait for memory and for nothing else, a node is made
/// with one allocation, and the more of them fit into a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known(Arc<[u8]>);

impl Known {
    /// From the form on disk; `None` when it is not one. The caller checks that [the hash](Self::hash) is the link's.
    pub fn decode(link: &Link, stored: &[u8]) -> Option<Self> {
        Node::parse(stored)?;
        let mut raw = Vec::with_capacity(LINK_BYTES + stored.len());
        link.write(&mut raw);
        raw.extend_from_slice(stored);
        Some(Self(raw.into()))
    }

    /// A new node, whose form on disk `write` appends to the buffer.
    fn make(buffer: &mut Vec<u8>, id: u64, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        buffer.clear();
        Link { hash: EMPTY_ROOT, id }.write(buffer);
        write(buffer);
        let hash = hash_of(&buffer[LINK_BYTES..]);
        buffer[..32].copy_from_slice(&hash);
        Self(buffer.as_slice().into())
    }

    /// A new leaf. The buffer is for reuse, whatever it holds.
    pub(super) fn leaf(buffer: &mut Vec<u8>, id: u64, key: &[u8], value: &[u8]) -> Self {
        Self::make(buffer, id, |out| {
            out.push(LEAF);
            out.extend_from_slice(&(key.len() as u16).to_le_bytes());
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        })
    }

    /// A new branching with its leaf, its left and its right child. The buffer is for reuse, whatever it holds.
    pub(super) fn inner(buffer: &mut Vec<u8>, id: u64, label: Bits<'_>, children: &[Option<Link>; 3]) -> Self {
        Self::make(buffer, id, |out| {
            out.push(INNER);
            out.extend_from_slice(&label.length_bytes());
            out.extend(label.bytes());
            out.push(children.iter().enumerate().map(|(bit, child)| u8::from(child.is_some()) << bit).sum());
            children.iter().flatten().for_each(|link| link.write(out));
        })
    }

    /// What leads to it.
    pub fn link(&self) -> Link {
        Link::split_from(&self.0).expect("begins with a link").0
    }

    /// The number alone.
    pub fn id(&self) -> u64 {
        u64::from_le_bytes(*self.0[32..].first_chunk().expect("begins with a link"))
    }

    /// Hash of the node, computed.
    pub fn hash(&self) -> Root {
        hash_of(self.stored())
    }

    /// The node.
    pub fn node(&self) -> Node<'_> {
        view(self.stored())
    }

    /// The node's form on disk: `00 ‖ key length LE2 ‖ key ‖ value`, or
    /// `01 ‖ label bits LE2 ‖ label ‖ mask ‖ (hash32 ‖ number LE8) for each child present`,
    /// mask bit 0 leaf, bit 1 left, bit 2 right.
    pub fn stored(&self) -> &[u8] {
        &self.0[LINK_BYTES..]
    }

    /// Memory it takes, with the counts of references [bytes].
    pub fn memory_bytes(&self) -> usize {
        2 * size_of::<usize>() + self.0.len()
    }
}

/// A node of the tree, read where it lies.
#[derive(Clone, Copy, Debug)]
pub enum Node<'a> {
    /// A key with its value.
    Leaf(Leaf<'a>),
    /// A branching.
    Inner(Inner<'a>),
}

/// A key with its value.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    pub(super) key: &'a [u8],
    /// The value stored under the key.
    pub value: &'a [u8],
}

/// A branching.
#[derive(Clone, Copy, Debug)]
pub struct Inner<'a> {
    pub(super) label: Bits<'a>,
    mask: u8,
    links: &'a [u8],
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

/// Of a branching with a label as it is stored: `label bits LE2 ‖ label`.
pub(super) fn inner_hash(label: &[u8], children: [Option<&Root>; 3]) -> Root {
    let mut hasher = Sha512_256::new();
    hasher.update([INNER]);
    hasher.update(label);
    for child in children {
        hasher.update(child.unwrap_or(&EMPTY_ROOT));
    }
    hasher.finalize().into()
}

impl<'a> Inner<'a> {
    pub(super) const LEAF: u32 = 0;
    pub(super) const LEFT: u32 = 1;
    pub(super) const RIGHT: u32 = 2;

    /// With the same children under another label.
    pub(super) fn with_label(self, label: Bits<'a>) -> Self {
        Self { label, ..self }
    }

    /// The leaf whose key ends here, the subtree of a 0, and that of a 1.
    pub(super) fn children(&self) -> [Option<Link>; 3] {
        [Self::LEAF, Self::LEFT, Self::RIGHT].map(|place| self.child(place))
    }

    pub(super) fn child(&self, place: u32) -> Option<Link> {
        let before = (self.mask & ((1 << place) - 1)).count_ones() as usize;
        let is_there = self.mask & (1 << place) != 0;
        is_there.then(|| Link::split_from(&self.links[LINK_BYTES * before..]).expect("a link for each bit").0)
    }
}

/// What was parsed before.
fn view(stored: &[u8]) -> Node<'_> {
    Node::parse(stored).expect("a known node is well-formed")
}

impl<'a> Node<'a> {
    /// Read the form on disk; `None` when it is not one.
    fn parse(stored: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = stored.split_first()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = u16::from_le_bytes(*length);
        if tag == LEAF {
            let (key, value) = rest.split_at_checked(length.into())?;
            let fits = key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES;
            return fits.then_some(Self::Leaf(Leaf { key, value }));
        }
        let (label, rest) = rest.split_at_checked(usize::from(length).div_ceil(8))?;
        let label = Bits::from_bytes(length, label)?;
        let (&mask, links) = rest.split_first()?;
        let is_whole = tag == INNER && mask < 8 && links.len() == LINK_BYTES * mask.count_ones() as usize;
        is_whole.then_some(Self::Inner(Inner { label, mask, links }))
    }
}

/// Hash that authenticates a node, which was parsed before, and everything below it.
fn hash_of(stored: &[u8]) -> Root {
    match view(stored) {
        Node::Leaf(leaf) => leaf_hash(leaf.key, leaf.value),
        Node::Inner(inner) => {
            let children = inner.children();
            let hashes = std::array::from_fn(|place| children[place].as_ref().map(|link| &link.hash));
            inner_hash(&stored[1..3 + inner.label.len().div_ceil(8)], hashes)
        }
    }
}
