//! What a deployment has in the world: [`Owned`].

/// Something of this deployment that exists, whether or not the playbook still names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    /// The resource that made it.
    pub id: String,
    /// How its kind finds it again.
    pub handle: String,
    /// What a user calls it.
    pub label: String,
    /// Whether it holds data that cannot be made again.
    pub data: bool,
}
