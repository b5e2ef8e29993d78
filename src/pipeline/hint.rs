use crate::env::{Env, Row, Setting, read};
use crate::json::JsonStr;
use crate::model::Level;
use crate::parse::{Failure, handler_error, oom_signature};

/// Failures that Lambda doesn't tell and programs do, each in its own words.
///
/// Off unless set: the words of a program prove little. An exception may be
/// caught and the invocation go well; a handler may fail without a word. So they
/// hold only where Lambda names no failure. That an invocation went well is no
/// objection, as Lambda says so of one whose handler failed, too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Hints {
    /// Lines in which a runtime says that memory ran out.
    pub out_of_memory: bool,
    /// Lines in which Node.js or Python say that the handler failed.
    pub handler_errors: bool,
}

impl Hints {
    const OOM_SIGNATURES: Setting<bool> = Setting::new(
        "LOGFERRY_OOM_SIGNATURES",
        read::boolean,
        "Whether a runtime's own words about lack of memory count as out_of_memory; they may be about an error that was handled.",
    )
    .default("false");
    const HANDLER_ERRORS: Setting<bool> = Setting::new(
        "LOGFERRY_HANDLER_ERRORS",
        read::boolean,
        "Whether exceptions that Node.js and Python report in the log count as errors; other languages' are not seen.",
    )
    .default("false");

    /// The settings, for documents.
    pub const ROWS: [Row; 2] = [Self::OOM_SIGNATURES.row(), Self::HANDLER_ERRORS.row()];

    /// Reads the settings; `None` after a mistake, which stays with `env`.
    pub(super) fn from_env(env: &mut Env<'_>) -> Option<Self> {
        let (out_of_memory, handler_errors) = (env.read(&Self::OOM_SIGNATURES), env.read(&Self::HANDLER_ERRORS));
        Some(Self { out_of_memory: out_of_memory?, handler_errors: handler_errors? })
    }

    /// Whether any is looked for.
    pub(super) const fn any(self) -> bool {
        self.out_of_memory || self.handler_errors
    }

    /// What a line tells; nothing when it is logged as less than an error.
    #[inline]
    pub(super) fn read(self, message: JsonStr<'_>, level: Option<Level>) -> Option<Failure> {
        if !self.any() || level.is_some_and(|level| level < Level::Error) {
            return None;
        }
        self.told(&message.unescape())
    }

    fn told(self, text: &str) -> Option<Failure> {
        let out_of_memory = self.out_of_memory && oom_signature(text);
        let error = out_of_memory || (self.handler_errors && handler_error(text));
        error.then_some(Failure { error, timeout: false, out_of_memory })
    }
}
