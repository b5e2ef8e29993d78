//! What only AWS's own APIs need: credentials and signatures.

mod sign;

pub use sign::{Credentials, SignError, Signer};
