//! Series of Prometheus, as text and by remote write: what receivers store is what the batches held.

mod points;
mod receiver;
mod sums;

/// Where in their second the custom metrics of a batch are, by its first event's id: FNV-1a of 64 bits.
fn millisecond(id: &str) -> i64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    i64::try_from(id.bytes().fold(14_695_981_039_346_656_037, step) % 1000).unwrap()
}
