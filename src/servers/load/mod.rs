//! Requests sent to a server on loopback, counted, with pauses at which nothing is in flight.

mod driver;
mod plan;

pub use driver::{Driver, Failure, Tally};
pub use plan::{Plan, Request};
