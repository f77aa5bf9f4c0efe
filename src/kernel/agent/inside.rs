//! The agent library as the process sees it into which it was preloaded: three functions of C.

use std::os::fd::RawFd;

type Configure = unsafe extern "C" fn(libc::c_int) -> libc::c_int;
type Action = unsafe extern "C" fn();
type Attempt = unsafe extern "C" fn() -> bool;
type Frames = unsafe extern "C" fn(*const libc::c_void);

/// The functions of the library in this process.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    configure: Configure,
    frames: Frames,
    watch: Attempt,
    census: Action,
}

impl Inside {
    /// Finds the library; `None` where it was not preloaded.
    pub fn find() -> Option<Self> {
        let symbol = |name: &std::ffi::CStr| {
            // SAFETY: the name ends in NUL.
            let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
            (!address.is_null()).then_some(address)
        };
        let action = |name| {
            // SAFETY: the library defines these functions with this type (`agent/library/arm.rs`).
            symbol(name).map(|address| unsafe { std::mem::transmute::<*mut libc::c_void, Action>(address) })
        };
        let configure = symbol(c"forkprint_agent_configure")?;
        let frames = symbol(c"forkprint_agent_frames")?;
        let watch = symbol(c"forkprint_agent_watch")?;
        Some(Self {
            // SAFETY: as above.
            configure: unsafe { std::mem::transmute::<*mut libc::c_void, Configure>(configure) },
            // SAFETY: as above; the layout is passed as the address of its bytes.
            frames: unsafe { std::mem::transmute::<*mut libc::c_void, Frames>(frames) },
            // SAFETY: as above.
            watch: unsafe { std::mem::transmute::<*mut libc::c_void, Attempt>(watch) },
            census: action(c"forkprint_agent_census")?,
        })
    }

    /// Hands over the supervisor's socket. Call it once `CPython`, if any, has started.
    pub fn configure(self, socket: RawFd) {
        // SAFETY: the zygote has no thread that uses the library.
        unsafe { (self.configure)(socket) };
    }

    /// Says how the frames of the `CPython` in this process are laid out: the bytes of a `FrameLayout` of
    /// `cpython::offsets::frames`, which the library shares.
    pub fn lay_out_frames<T: Copy>(self, layout: &T) {
        // SAFETY: the library copies the layout, whose definition it shares; nobody walks frames yet.
        unsafe { (self.frames)(std::ptr::from_ref(layout).cast()) };
    }

    /// The address of a symbol that the process exports.
    pub fn symbol(name: &std::ffi::CStr) -> Option<u64> {
        // SAFETY: the name ends in NUL.
        let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!address.is_null()).then_some(address as u64)
    }

    /// Watches this process and every process it forks from now on. False: that was refused, which the
    /// supervisor was told, and nothing is watched.
    #[must_use]
    pub fn watch(self) -> bool {
        // SAFETY: as above.
        unsafe { (self.watch)() }
    }

    /// Lists every object of the `CPython` in this process. Call it with the GIL held.
    pub fn census(self) {
        // SAFETY: as above.
        unsafe { (self.census)() };
    }
}
