//! A thread that measures: it does not wait for its core behind the greedy, and tells why it ended.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use torc_reactor::slice::ShortSlices;

/// Why a measurement has ended before it should, if it has.
#[derive(Debug, Default)]
pub struct Measuring(Mutex<Option<String>>);

impl Measuring {
    /// Measures on the calling thread until `work` ends. How long the thread waits for a core is the machine's doing, so that it asks for
    /// one at once; refused, figures are worse, not wrong.
    pub fn run<E: Display>(&self, work: impl FnOnce() -> Result<(), E>) {
        let _slices = ShortSlices::ask();
        if let Err(failure) = work() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| failure.to_string());
        }
    }

    /// The first failure.
    pub fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
