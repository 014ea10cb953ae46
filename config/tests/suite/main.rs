//! The meaning of show files, the errors in them, and that no file makes the crate panic. One
//! binary, which links faster than several.

mod backends;
mod common;

mod grammar;
mod mappings;
mod options;
mod overrides;

mod copies;
mod errors;
mod files;

mod properties;
mod scale;
