//! What a show file means, what is said about a wrong one, and that no file at
//! all can do harm. One binary, for the sake of the linker.

mod backends;
mod common;

mod grammar;
mod mappings;
mod options;
mod overrides;

mod errors;
mod files;

mod properties;
mod scale;
