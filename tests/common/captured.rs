//! What a toy program prints.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

/// An output that keeps everything; all clones are the same one.
#[derive(Clone, Default)]
pub struct Captured(Rc<RefCell<Vec<u8>>>);

impl Captured {
    /// Everything that was printed since the last time.
    pub fn take(&self) -> String {
        String::from_utf8(self.0.take()).expect("text")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
