//! The backend with sockets of the loopback interface.
