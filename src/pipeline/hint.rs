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
    /// What a line tells; nothing when it is logged as less than an error.
    #[inline]
    pub(super) fn read(self, message: JsonStr<'_>, level: Option<Level>) -> Option<Failure> {
        if !(self.out_of_memory || self.handler_errors) || level.is_some_and(|level| level < Level::Error) {
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
