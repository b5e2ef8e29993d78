//! Series of Prometheus, as text and by remote write: what receivers store is what the batches held.

mod points;
mod receiver;
mod sums;
