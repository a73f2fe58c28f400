//! Tests of a program of yours that needs a registry: each has one of its own, and they run side by side.
//!
//! Copy this file into `tests/` of your crate, and add `provision` and `tokio` to its `[dev-dependencies]`.

use std::process::Command;

use provision::ci::Registry;

/// Runs a line with what clients need in its environment, and gives what it prints.
fn run(registry: &Registry, line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).envs(&registry.environment).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What your own test would do: here an image is pushed and looked at, without a login.
async fn push_and_look(tag: &str) {
    let registry = Registry::start().await.unwrap();
    assert!(registry.host.starts_with("localhost:"));
    let reference = format!("{}/app:{tag}", registry.host);
    run(&registry, &format!("tar c -C /etc hostname | docker import - {reference}"));
    run(&registry, &format!("docker push -q {reference}; docker rmi {reference}"));
    assert!(run(&registry, &format!("skopeo inspect docker://{reference}")).contains("sha256:"));
    // It is gone at the end of this function, also where an assertion fails.
}

macro_rules! tests {
    ($($name:ident),*) => {
        $(#[tokio::test]
        async fn $name() {
            push_and_look(stringify!($name)).await;
        })*
    };
}

tests!(one, two, three, four, five, six, seven);

#[tokio::test]
async fn a_test_that_panics_leaves_nothing() {
    let registry = Registry::start().await.unwrap();
    let (host, folder) = (registry.host.clone(), registry.password_file.clone());
    let failed = tokio::spawn(async move {
        assert_eq!(registry.user, "somebody else");
    });
    assert!(failed.await.is_err());
    assert!(!folder.exists());
    let port = host.rsplit(':').next().unwrap();
    let running = Command::new("docker").args(["ps", "-q", "--filter", &format!("publish={port}")]).output().unwrap();
    assert!(running.stdout.is_empty());
}
