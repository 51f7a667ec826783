//! As much of Solidity's ABI as the precompiles speak: words and byte strings.

use alloy_primitives::U256;

use super::meter::Failure;

const MALFORMED: Failure = Failure::Error("malformed ABI input");

/// Reads the parameters of one call; positions are those of the head.
pub(super) struct Parameters<'a>(pub(super) &'a [u8]);

impl<'a> Parameters<'a> {
    /// The word at a head position.
    pub(super) fn word(&self, position: usize) -> Result<[u8; 32], Failure> {
        let bytes = self.0.get(32 * position..32 * (position + 1)).ok_or(MALFORMED)?;
        bytes.try_into().map_err(|_| MALFORMED)
    }

    /// An unsigned number at a head position.
    pub(super) fn number(&self, position: usize) -> Result<U256, Failure> {
        self.word(position).map(U256::from_be_bytes)
    }

    /// The byte string whose offset is at a head position.
    pub(super) fn bytes(&self, position: usize) -> Result<&'a [u8], Failure> {
        let index = |number: U256| usize::try_from(number).map_err(|_| MALFORMED);
        let tail = self.0.get(index(self.number(position)?)?..).ok_or(MALFORMED)?;
        let (length, rest) = tail.split_first_chunk::<32>().ok_or(MALFORMED)?;
        rest.get(..index(U256::from_be_bytes(*length))?).ok_or(MALFORMED)
    }
}

/// One argument of an answer.
pub(super) enum Argument<'a> {
    /// A number or a boolean.
    Number(u64),
    /// A byte string.
    Bytes(&'a [u8]),
}

/// Encodes an answer: a head word for each argument, then the byte strings.
pub(super) fn encode(arguments: &[Argument<'_>]) -> Vec<u8> {
    let mut head = Vec::with_capacity(32 * arguments.len());
    let mut tail = Vec::new();
    for argument in arguments {
        match argument {
            Argument::Number(number) => head.extend_from_slice(&U256::from(*number).to_be_bytes::<32>()),
            Argument::Bytes(bytes) => {
                let offset = 32 * arguments.len() + tail.len();
                head.extend_from_slice(&U256::from(offset).to_be_bytes::<32>());
                tail.extend_from_slice(&U256::from(bytes.len()).to_be_bytes::<32>());
                tail.extend_from_slice(bytes);
                tail.resize(tail.len().next_multiple_of(32), 0);
            }
        }
    }
    head.append(&mut tail);
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let encoded = encode(&[Argument::Number(7), Argument::Bytes(b"four"), Argument::Bytes(&[1; 33])]);
        let parameters = Parameters(&encoded);
        assert_eq!(parameters.number(0), Ok(U256::from(7)));
        assert_eq!(parameters.bytes(1), Ok(b"four".as_slice()));
        assert_eq!(parameters.bytes(2), Ok([1; 33].as_slice()));
        assert_eq!(encoded.len(), 96 + 64 + 96);
    }

    #[test]
    fn offsets_and_lengths_outside_the_input_are_errors() {
        for hostile in [U256::MAX, U256::from(64), U256::from(u64::MAX)] {
            let input = hostile.to_be_bytes::<32>();
            assert_eq!(Parameters(&input).bytes(0), Err(MALFORMED));
            let mut input = U256::from(32).to_be_bytes::<32>().to_vec();
            input.extend_from_slice(&hostile.to_be_bytes::<32>());
            assert_eq!(Parameters(&input).bytes(0), Err(MALFORMED));
        }
        assert_eq!(Parameters(&[0; 31]).word(0), Err(MALFORMED));
    }
}
