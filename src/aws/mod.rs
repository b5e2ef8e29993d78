//! What only AWS's own APIs need: credentials and signatures.

mod client;
mod secrets;
mod sign;

pub use client::{Answer, AwsError, Call, Client, Places, WEB_PAGE};
pub use secrets::fetch;
pub use sign::{Credentials, SignError, Signer};
