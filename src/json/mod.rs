//! JSON text, read and copied without building a tree of it.

pub(crate) mod digits;
mod mend;
pub(crate) mod scan;
mod string;

pub(crate) use mend::mend;
pub use mend::mended;
pub use string::{JsonStr, write_escaped};
