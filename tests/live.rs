//! Whole runs against a real Docker engine, with real clients. Every test has names and ports of its own, so they run side
//! by side, and cleans up after itself even if it fails.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test acts on the world, and tells a failure by a panic"
)]

#[path = "live/adopt.rs"]
mod adopt;
#[path = "live/adopt_containers.rs"]
mod adopt_containers;
#[path = "live/backup.rs"]
mod backup;
#[path = "live/backup_bucket.rs"]
mod backup_bucket;
#[path = "live/blog.rs"]
mod blog;
#[path = "live/blog_ways.rs"]
mod blog_ways;
#[path = "live/browser.rs"]
mod browser;
#[path = "live/buckets.rs"]
mod buckets;
#[path = "live/canary.rs"]
mod canary;
#[path = "live/carried.rs"]
mod carried;
#[path = "live/ceph.rs"]
mod ceph;
#[path = "live/ci.rs"]
mod ci;
#[path = "live/ci_contained.rs"]
mod ci_contained;
#[path = "live/ci_examples.rs"]
mod ci_examples;
#[path = "live/client.rs"]
mod client;
#[path = "live/clock.rs"]
mod clock;
#[path = "live/containers.rs"]
mod containers;
#[path = "live/converge.rs"]
mod converge;
#[path = "live/drill.rs"]
mod drill;
#[path = "live/elsewhere.rs"]
mod elsewhere;
#[path = "live/engine.rs"]
mod engine;
#[path = "live/engine_table.rs"]
mod engine_table;
#[path = "live/engines.rs"]
mod engines;
#[path = "live/faults.rs"]
mod faults;
#[path = "live/fields.rs"]
mod fields;
#[path = "live/flavors.rs"]
mod flavors;
#[path = "live/fsck.rs"]
mod fsck;
#[path = "live/gaps.rs"]
mod gaps;
#[path = "live/gc.rs"]
mod gc;
#[path = "live/guessing.rs"]
mod guessing;
#[path = "live/host.rs"]
mod host;
#[path = "live/hosts_entry.rs"]
mod hosts_entry;
#[path = "live/images.rs"]
mod images;
#[path = "live/images_verb.rs"]
mod images_verb;
#[path = "live/in_front.rs"]
mod in_front;
#[path = "live/init.rs"]
mod init;
#[path = "live/killed.rs"]
mod killed;
#[path = "live/machine.rs"]
mod machine;
#[path = "live/maintain.rs"]
mod maintain;
#[path = "live/migrate.rs"]
mod migrate;
#[path = "live/migrate_folder.rs"]
mod migrate_folder;
#[path = "live/outside.rs"]
mod outside;
#[path = "live/overview.rs"]
mod overview;
#[path = "live/owners.rs"]
mod owners;
#[path = "live/pairs.rs"]
mod pairs;
#[path = "live/pauses.rs"]
mod pauses;
#[path = "live/proxies.rs"]
mod proxies;
#[path = "live/push.rs"]
mod push;
#[path = "live/questions.rs"]
mod questions;
#[path = "live/races.rs"]
mod races;
#[path = "live/recorder.rs"]
mod recorder;
#[path = "live/registry.rs"]
mod registry;
#[path = "live/registry_faults.rs"]
mod registry_faults;
#[path = "live/registry_v1.rs"]
mod registry_v1;
#[path = "live/relay.rs"]
mod relay;
#[path = "live/retention.rs"]
mod retention;
#[path = "live/rootless.rs"]
mod rootless;
#[path = "live/s3.rs"]
mod s3;
#[path = "live/soak.rs"]
mod soak;
#[path = "live/ssh.rs"]
mod ssh;
#[path = "live/stores.rs"]
mod stores;
#[path = "live/stores_changed.rs"]
mod stores_changed;
#[path = "live/stores_odd.rs"]
mod stores_odd;
#[path = "live/takeover.rs"]
mod takeover;
#[path = "live/templates.rs"]
mod templates;
#[path = "live/trust.rs"]
mod trust;
#[path = "live/tunnel.rs"]
mod tunnel;
#[path = "live/users.rs"]
mod users;
#[path = "live/which_engine.rs"]
mod which_engine;
#[path = "live/wordpress.rs"]
mod wordpress;
