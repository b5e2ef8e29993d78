//! What the forwarder carries, in no vendor's vocabulary.
//!
//! Values borrow from the event at hand wherever they can; `'a` is always that
//! event. Nothing here does I/O or knows a wire format.

mod log;
mod measure;
mod metric;
mod origin;
mod text;
mod time;

pub use log::{Level, Log, LogEvent};
pub use measure::{Kind, Measure};
pub use metric::{CheckStatus, Metric, Name, Sink, Tag, Unit, Value};
pub use origin::{Forwarder, Function, Origin};
pub(crate) use text::{has_form, same};
pub use time::Timestamp;
