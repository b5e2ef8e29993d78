//! In which of its two ways Lambda writes to a stream: a stream has one.

use crate::model::has_form;
use crate::parse::Platform;

/// The two ways.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Spelling {
    Json,
    Text,
}

/// How a line is written.
#[derive(Clone, Copy)]
pub(super) enum Written {
    Json {
        /// Whether it has a time, as all that Lambda writes.
        timed: bool,
        /// Whether that is the time of its log event, as it is where Lambda writes: what a function prints is later.
        at_once: bool,
    },
    Text,
}

/// How Lambda writes to this stream, as far as it is known.
///
/// Which way it is only lines prove that hardly anything but Lambda writes; until
/// one has come both are read.
#[derive(Debug, Default)]
pub(super) struct Spelled {
    /// How the last of Lambda's own lines was written, or those that proved it.
    last: Option<Spelling>,
    proven: bool,
}

impl Written {
    pub(super) const fn spelling(self) -> Spelling {
        match self {
            Self::Json { .. } => Spelling::Json,
            Self::Text => Spelling::Text,
        }
    }

    /// Whether it may tell which function wrote to the stream: not JSON without a time, which
    /// Lambda doesn't write, but a function that means to be another may.
    pub(super) const fn identifies(self) -> bool {
        !matches!(self, Self::Json { timed: false, .. })
    }

    /// Whether hardly anything but Lambda writes what is written so: of text it is what begins and ends an
    /// invocation, whose id is a UUID, and what begins an environment, which has the ARN of its runtime.
    fn proves(self, platform: &Platform<'_>) -> bool {
        match (self, platform) {
            (Self::Json { timed, .. }, _) => timed,
            (Self::Text, Platform::Start(_) | Platform::End { .. } | Platform::Report(_)) => {
                platform.request_id().is_some_and(is_uuid)
            }
            (Self::Text, Platform::InitStart(start) | Platform::RestoreStart(start)) => {
                start.runtime_version_arn.as_deref().is_some_and(|arn| arn.starts_with("arn:"))
            }
            (Self::Text, _) => false,
        }
    }
}

impl Spelled {
    /// The way, proven or not.
    pub(super) const fn last(&self) -> Option<Spelling> {
        self.last
    }

    /// Whether Lambda can have written a line so: what is in the other way the function has printed, and once a
    /// record has shown that they have a time, one without.
    pub(super) fn admits(&self, written: Written) -> bool {
        !self.proven || self.is_overruled_by(written) || (self.last == Some(written.spelling()) && written.identifies())
    }

    /// Takes one of Lambda's own lines; returns whether it is the one that proves the way.
    pub(super) fn take(&mut self, platform: &Platform<'_>, written: Written) -> bool {
        if self.proven && !self.is_overruled_by(written) {
            return false;
        }
        self.last = Some(written.spelling());
        self.proven = written.proves(platform);
        self.proven
    }

    /// Whether the text that proved the way was printed: it is easier to come by than the very moment of its event.
    fn is_overruled_by(&self, written: Written) -> bool {
        self.last == Some(Spelling::Text) && matches!(written, Written::Json { at_once: true, .. })
    }
}

fn is_uuid(text: &str) -> bool {
    const FORM: &[u8; 36] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    has_form(text.as_bytes(), FORM)
}
