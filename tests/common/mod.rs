//! What stands in for the world: an intake, the Lambda Runtime API, and the process between them.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail")]

pub(crate) mod intake;
pub(crate) mod lambda;
pub(crate) mod pack;
pub(crate) mod random;
pub(crate) mod remote_write;
pub(crate) mod runtime_api;
pub(crate) mod s3;
pub(crate) mod script;
pub(crate) mod server;

use std::time::Duration;

/// How long a test waits for what should come soon: far more than a slow machine needs.
pub(crate) const SOON: Duration = Duration::from_mins(1);
