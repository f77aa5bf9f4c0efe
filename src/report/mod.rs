//! What people read: text for the terminal, JSON for programs, one HTML file for everybody.
pub mod json;
