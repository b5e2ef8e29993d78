use crate::env::{Env, Row, Setting, read};

/// How much a payload may make us hold or do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes that one payload may inflate to, in all.
    pub inflated_bytes: u64,
    /// Bytes of one log event's JSON.
    pub event_bytes: usize,
}

impl Limits {
    const INFLATED_BYTES: Setting<u64> =
        Setting::new("LOGFERRY_MAX_INFLATED_BYTES", read::bytes, "Bytes that one payload may inflate to.")
            .default("1GiB");
    const EVENT_BYTES: Setting<u64> =
        Setting::new("LOGFERRY_MAX_EVENT_BYTES", read::bytes, "Bytes of one log event, as JSON.").default("8MiB");

    /// The settings, for documents.
    pub const ROWS: [Row; 2] = [Self::INFLATED_BYTES.row(), Self::EVENT_BYTES.row()];

    /// 1 GiB inflated: a payload of 6 MB of real logs inflates to some 24 MB, of
    /// very repetitive ones to 90 MB, and 1 GiB costs a third of a second of one
    /// vCPU. 8 MiB for a log event: CloudWatch takes 1 MB, of which JSON may
    /// escape each byte as six.
    pub const DEFAULT: Self = Self { inflated_bytes: 1 << 30, event_bytes: 8 << 20 };

    /// Reads the settings; `None` after a mistake, which stays with `env`.
    pub fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (inflated, event) = (env.read(&Self::INFLATED_BYTES), env.read(&Self::EVENT_BYTES));
        Some(Self { inflated_bytes: inflated?, event_bytes: usize::try_from(event?).unwrap_or(usize::MAX) })
    }
}
