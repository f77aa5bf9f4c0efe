//! Real pre-forking servers, run from their own configuration.
//!
//! [`gunicorn`] reads a configuration as the server does, starts the server on a loopback port and
//! measures the family of its master; [`load`] drives it over HTTP.

pub mod gunicorn;
pub mod load;
