//! Messages to the supervisor, with descriptors beside them.

use crate::state;
use crate::sys::{self, IoVec, MessageHeader};
use crate::wire::{MOST_RINGS, Message};
use core::ffi::c_int;

/// Descriptors of one message: the area and the events.
const MOST_DESCRIPTORS: usize = MOST_RINGS + 1;

/// `struct cmsghdr` and the descriptors behind it.
#[repr(C)]
struct Control {
    len: usize,
    level: c_int,
    kind: c_int,
    descriptors: [c_int; MOST_DESCRIPTORS],
}

/// Sends a message over the socket of this process; false when nobody listens.
pub fn send(message: &Message, descriptors: &[c_int]) -> bool {
    let state = state::get();
    // The program may have closed the socket, and opened something else under its number.
    let ours = state.socket >= 0 && sys::identity(state.socket) == state.socket_identity;
    ours && send_over(state.socket, message, descriptors)
}

/// Sends a message; false when nobody listens, or there is no room for it: a program never waits for us.
pub fn send_over(socket: c_int, message: &Message, descriptors: &[c_int]) -> bool {
    let mut control =
        Control { len: 0, level: sys::SOL_SOCKET, kind: sys::SCM_RIGHTS, descriptors: [0; MOST_DESCRIPTORS] };
    let count = descriptors.len().min(MOST_DESCRIPTORS);
    control.descriptors[..count].copy_from_slice(&descriptors[..count]);
    control.len = 16 + count * size_of::<c_int>();
    let vector = IoVec { base: (&raw const *message).cast(), len: Message::BYTES };
    let header = MessageHeader {
        name: core::ptr::null_mut(),
        name_len: 0,
        vectors: &raw const vector,
        vector_count: 1,
        control: if count == 0 { core::ptr::null_mut() } else { (&raw mut control).cast() },
        control_len: if count == 0 { 0 } else { (control.len + 7) & !7 },
        flags: 0,
    };
    // SAFETY: the header points at a message and a control block that outlive the call.
    unsafe { sys::sendmsg(socket, &raw const header, sys::MSG_NOSIGNAL | sys::MSG_DONTWAIT) >= 0 }
}

/// Says that something was refused, with the errno of this moment.
pub fn refuse(stage: u32) {
    let errno = sys::errno();
    // SAFETY: a system call without arguments.
    let pid = unsafe { sys::getpid() } as u32;
    send(&Message { kind: Message::REFUSED, pid, errno, stage }, &[]);
}
