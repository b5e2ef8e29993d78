//! JSON text, read and copied without building a tree of it.

pub(crate) mod digits;
mod mend;
pub(crate) mod pairs;
pub(crate) mod quotes;
pub(crate) mod scan;
mod string;

use fearless_simd::Level;
pub(crate) use mend::mend;
pub use mend::mended;
pub use string::{JsonStr, write_escaped};

/// The widest vectors of the processor at hand, but for those of AVX-512: with them a batch takes fewer instructions and
/// more time, as a processor that uses them does everything else more slowly.
#[inline]
fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = Level::baseline().as_avx2().or_else(|| Level::new().as_avx2()) {
        return fearless_simd::Simd::level(avx2);
    }
    Level::new()
}

/// All levels that the processor at hand has.
#[cfg(test)]
fn levels() -> Vec<Level> {
    #[cfg(target_arch = "x86_64")]
    let others = {
        use fearless_simd::Simd;
        [Level::new().as_sse2().map(Simd::level), Level::new().as_sse4_2().map(Simd::level)]
    };
    #[cfg(not(target_arch = "x86_64"))]
    let others: [Option<Level>; 0] = [];
    others.into_iter().flatten().chain([level(), Level::new()]).collect()
}
