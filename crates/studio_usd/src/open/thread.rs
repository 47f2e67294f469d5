//! Work on a thread with a stack of a known size, within a time.

use super::{LayerStore, UsdError};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

/// Does `work` on a thread of its own and waits for it, as long as the budget says.
///
/// The caller gets its answer in time whatever the file is. A thread that is late is told to stop and left to itself: it ends when it next reads a
/// layer or comes to a prim, and what it holds is freed then.
pub(crate) fn on_own_stack<T: Send + 'static>(
    store: &Arc<LayerStore>,
    work: impl FnOnce(&Arc<LayerStore>) -> Result<T, UsdError> + Send + 'static,
) -> Result<T, UsdError> {
    let (answer, answered) = mpsc::sync_channel(1);
    let budget = store.budget();
    let (limit, root) = (budget.open_time, store.root().to_owned());
    let of_thread = store.clone();
    let spawned = thread::Builder::new().name("usd".into()).stack_size(budget.stack_bytes).spawn(move || {
        let done = catch(of_thread.root(), || work(&of_thread));
        // Nobody waits any more if it took too long.
        let _ = answer.send(done);
    });
    if let Err(error) = spawned {
        return Err(UsdError::Compose { layer: root, message: format!("no thread can be started: {error}") });
    }
    match answered.recv_timeout(limit) {
        Ok(done) => done,
        Err(_) => {
            store.stop();
            Err(UsdError::TimedOut { layer: root, seconds: limit.as_secs_f64() })
        }
    }
}

/// Turns a panic into an error.
pub(crate) fn catch<T>(layer: &str, work: impl FnOnce() -> Result<T, UsdError>) -> Result<T, UsdError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(panic) => Err(UsdError::Panicked { layer: layer.to_owned(), message: message_of(&*panic) }),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}
