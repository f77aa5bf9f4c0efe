//! Remedies: coded rules that say when one applies and what to change, and experiments that prove what
//! each gives back.

pub mod patch;
pub mod rules;
