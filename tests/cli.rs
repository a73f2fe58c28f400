//! The binary from the outside: what it says and how it ends, without an engine. Each test has a sandbox of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test looks at the world from outside of the program"
)]

#[path = "cli/adopt.rs"]
mod adopt;
#[path = "cli/adopt_managed.rs"]
mod adopt_managed;
#[path = "cli/adopt_settings.rs"]
mod adopt_settings;
#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/before.rs"]
mod before;
#[path = "cli/certs.rs"]
mod certs;
#[path = "cli/ci.rs"]
mod ci;
#[path = "cli/clock.rs"]
mod clock;
#[path = "cli/collector.rs"]
mod collector;
#[path = "cli/differences.rs"]
mod differences;
#[path = "cli/faults.rs"]
mod faults;
#[path = "cli/fields.rs"]
mod fields;
#[path = "cli/flavors.rs"]
mod flavors;
#[path = "cli/fuzz.rs"]
mod fuzz;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/inputs.rs"]
mod inputs;
#[path = "cli/limits.rs"]
mod limits;
#[path = "cli/lock.rs"]
mod lock;
#[path = "cli/maintain.rs"]
mod maintain;
#[path = "cli/names.rs"]
mod names;
#[path = "cli/options.rs"]
mod options;
#[path = "cli/overview.rs"]
mod overview;
#[path = "cli/printing.rs"]
mod printing;
#[path = "cli/reference.rs"]
mod reference;
#[path = "cli/registry_v1.rs"]
mod registry_v1;
#[path = "cli/render.rs"]
mod render;
#[path = "cli/rules.rs"]
mod rules;
#[path = "cli/s3.rs"]
mod s3;
#[path = "cli/sandbox.rs"]
mod sandbox;
#[path = "cli/scale.rs"]
mod scale;
#[path = "cli/secrets.rs"]
mod secrets;
#[path = "cli/texts.rs"]
mod texts;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/users.rs"]
mod users;
#[path = "cli/variables.rs"]
mod variables;
#[path = "cli/verbs.rs"]
mod verbs;
#[path = "cli/yaml.rs"]
mod yaml;
