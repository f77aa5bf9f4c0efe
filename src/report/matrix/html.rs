//! placeholder
use super::Matrix;
use crate::error::Result;
/// x
pub fn render(_m: &Matrix) -> Result<String> { Ok(String::new()) }
