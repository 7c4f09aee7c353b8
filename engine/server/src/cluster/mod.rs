//! Servers that belong together: which they are, and how they become a cluster before any of them serves.

mod entering;
mod forming;
mod founding;
mod joining;
mod members;
mod wire;

#[cfg(test)]
mod forming_tests;
#[cfg(test)]
mod joining_tests;
#[cfg(test)]
mod members_tests;
#[cfg(test)]
mod wire_tests;

pub use entering::{Entered, Peering, Stopped, enter};
pub use forming::{FormError, Formed, Former, form};
pub use founding::{Founding, hex};
pub use joining::{Joined, Joiner, Knock, join, knock};
pub use members::{Member, Members, listed};
pub use wire::{Form, Speaker};
