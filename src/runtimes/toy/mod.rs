//! A toy JIT/GC runtime.
