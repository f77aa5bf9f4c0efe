//! gunicorn, run from its own configuration.

mod event;
mod log;
mod master;
mod settings;

pub use event::Event;
pub use master::Master;
pub use settings::{Invocation, Settings};
