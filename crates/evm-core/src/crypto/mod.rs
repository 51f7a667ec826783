//! The cryptography that clients, contracts and the state share. The precompiles add gas and ABI, nothing else.

mod deoxys;
mod exchange;
mod hash;
mod signature;

pub use self::deoxys::{Deoxys, InvalidTag, KEY_BYTES, NONCE_BYTES, TAG_BYTES, deoxysii_open, deoxysii_seal};
pub use self::exchange::{mrae_key, x25519_public};
pub use self::hash::{cshake256, hmac_sha512_256, sha512_256};
pub use self::signature::{Algorithm, Scheme, SignatureError, keypair, sign, sign_separated, verify, verify_separated};
