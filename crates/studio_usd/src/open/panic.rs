//! Panics of the composer, as errors: the last resort, for the checks in front of it should let none through.

use super::UsdError;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

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
