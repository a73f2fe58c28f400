//! The binary from the outside: what it says and how it ends, without an engine. Each test has a sandbox of its own.
#![expect(clippy::disallowed_methods, reason = "a test looks at the world from outside of the program")]

mod certs;
mod fields;
mod inputs;
mod names;
mod sandbox;
mod secrets;
mod usage;
mod verbs;
mod yaml;
