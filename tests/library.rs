//! The example of `provision` as a library, as it stands in `examples/`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test acts on the world, and tells a failure by a panic"
)]

#[path = "../examples/ci/registry_test.rs"]
mod registry_test;
