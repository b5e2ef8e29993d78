//! What Ctrl-C does while something is sent: what isn't answered soon is stored, and no further
//! payload is begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use logferry::delivery::Ending;
use tokio::signal::ctrl_c;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::complain;

/// How long answers are waited for then.
const GRACE: Duration = Duration::from_secs(1);

/// How a shell calls the end of a command by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Listens to Ctrl-C.
pub(crate) struct Interrupt {
    ending: Ending,
    /// Whether something is sent: otherwise nothing is at stake, and Ctrl-C ends the command at once.
    sending: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on, beside what else is done.
    ///
    /// # Errors
    ///
    /// When the system has no more of what that takes.
    pub(crate) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ending) = watch::channel(None);
        let sending = Arc::new(AtomicBool::new(false));
        let is_sending = Arc::clone(&sending);
        let listen = async move {
            let mut pressed = Box::pin(ctrl_c());
            while pressed.as_mut().await.is_ok() {
                // Listens on before anything is said: the next one isn't missed.
                pressed = Box::pin(ctrl_c());
                let again = pressed.as_mut().now_or_never().is_some() || end.borrow().is_some();
                if again || !is_sending.load(Ordering::SeqCst) {
                    std::process::exit(INTERRUPTED);
                }
                complain("interrupted: what is not answered within a second is stored; once more ends it at once");
                end.send_replace(Some(Instant::now() + GRACE));
            }
        };
        std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Self { ending, sending })
    }

    /// When sending has to end.
    pub(crate) fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Does what sends.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.sending.store(true, Ordering::SeqCst);
        let done = work();
        self.sending.store(false, Ordering::SeqCst);
        done
    }

    /// Whether the command is to end.
    pub(crate) fn is_told(&self) -> bool {
        self.ending.borrow().is_some()
    }
}
