//! What a show file means, what is said about a wrong one, and that no file at
//! all can do harm. One binary, for the sake of the linker.

mod common;

mod grammar;
mod mappings;
mod overrides;
mod typed;

mod errors;
mod files;

mod examples;
mod properties;
mod scale;
