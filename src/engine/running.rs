//! What is being executed right now, for the crash report and the watchdog.
//!
//! They look at it from a signal handler, where no lock can be taken: so it is
//! published as one pointer, together with the thread that it belongs to.

use std::cell::Cell;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering::Release};

use super::client::ClientId;

/// A call in execution.
pub struct Call<'a> {
    /// The command's full name, which lies in the server's registry: a pointer,
    /// because the handler has the server to itself meanwhile.
    pub name: *const str,
    /// The arguments, names included.
    pub argv: &'a [&'a [u8]],
    /// The client.
    pub client: ClientId,
}

/// The call in execution, null when there is none. It is on the stack of the
/// thread [`THREAD`] and may be looked at while that thread stands still.
pub static CALL: AtomicPtr<Call<'static>> = AtomicPtr::new(std::ptr::null_mut());
/// The system's number of the thread that executes.
pub static THREAD: AtomicI32 = AtomicI32::new(0);

thread_local! {
    static OWN_NUMBER: Cell<i32> = const { Cell::new(0) };
}

/// Tells the calling thread its number, once.
pub fn name_thread(number: i32) {
    OWN_NUMBER.set(number);
}

/// Publishes a call until the guard is dropped.
#[inline]
pub fn publish<'a>(call: &'a Call<'a>) -> Published<'a> {
    THREAD.store(OWN_NUMBER.get(), Release);
    CALL.store(std::ptr::from_ref(call).cast_mut().cast(), Release);
    Published(call)
}

/// Ends the publication when dropped.
pub struct Published<'a>(#[allow(dead_code)] &'a Call<'a>);

impl Drop for Published<'_> {
    #[inline]
    fn drop(&mut self) {
        CALL.store(std::ptr::null_mut(), Release);
    }
}
