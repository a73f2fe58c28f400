//! Sizes as people read them.

pub(crate) fn readable(bytes: u64) -> String {
    if bytes < 1_000_000 {
        return format!("{} kB", bytes.div_ceil(1000));
    }
    if bytes < 1_000_000_000 {
        return format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
    }
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}
