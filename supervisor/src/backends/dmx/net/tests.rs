//! The sockets in networks of their own, with a machine at the other end of each cable.

mod interfaces;
mod namespace;
mod peer;
mod receiving;
mod sending;

/// A test with another machine, or one that is skipped by name.
macro_rules! with_machine {
    ($test:expr) => {
        if let Err(errno) = super::namespace::with_machine($test) {
            mm_tests::skip!("this user may not have a network of its own: {}", errno.desc());
        }
    };
}
use with_machine;
