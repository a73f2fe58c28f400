//! What a kind of resource does: [`Kind`].

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deployment::backup::Part;
use crate::error::{Error, Result};
use crate::resource::change::Change;
use crate::resource::context::At;
use crate::resource::fact::Fact;
use crate::resource::outputs::{Output, Outputs};
use crate::resource::owned::Owned;
use crate::world::engine::Sink;

/// A kind of resource. Kinds know neither the graph nor each other.
///
/// `actual`, `check`, `apply`, `undo`, `settle`, `owned` and `remove` touch the world; `diff` and `outputs` are pure.
pub(crate) trait Kind: 'static + Send + Sync {
    const NAME: &'static str;
    /// One sentence for `provision schema`.
    const ABOUT: &'static str;
    const OUTPUTS: &'static [Output];
    /// The output that the bare name of the resource stands for.
    const BARE: Option<&'static str> = None;
    /// Whether it has nothing to do by itself, but is carried out whenever something that it needs changes.
    const FOLLOWS: bool = false;
    /// Whether what it keeps in the deployment's folder is about this host alone, and so belongs in no backup.
    const OF_THIS_HOST: bool = false;

    /// Whether it is for the clients of this host, and so for those of the machine where the command was typed: by its outputs `hosts`
    /// and `certificate`.
    const FOR_CLIENTS: bool = false;

    /// Whether what it holds cannot be made again, and stays when the playbook no longer names it, until it is told to go.
    const STAYS: bool = false;

    /// Another kind whose things it makes as well, so that they are looked for.
    const ALSO: Option<&'static str> = None;

    /// What should be: the fields of the playbook.
    type Spec: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What is.
    type Actual: Send + Sync + 'static;
    /// How to take one step back. It is plain data, written down before the step is taken.
    type Undo: Serialize + DeserializeOwned + Send;

    /// Adds to the fields of the playbook what the run itself says.
    fn complete(_spec: &mut Self::Spec, _at: &At) -> Result<()> {
        Ok(())
    }

    /// Reads what is there; none if nothing is.
    fn actual(spec: &Self::Spec, at: &At) -> impl Future<Output = Result<Option<Self::Actual>>> + Send;

    /// Finds what stands in the way of a change, such as a name or a port that somebody else holds. Reads only.
    fn check(
        _spec: &Self::Spec,
        _actual: Option<&Self::Actual>,
        _change: &Change,
        _at: &At,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What has to change for `actual` to be as `spec` says.
    fn diff(spec: &Self::Spec, actual: &Self::Actual, at: &At) -> Change;

    /// What it tells of the whole deployment.
    fn facts(_spec: &Self::Spec, _actual: Option<&Self::Actual>, _at: &At) -> Vec<Fact> {
        Vec::new()
    }

    /// The outputs, as far as they are known while nothing exists yet.
    fn outputs(spec: &Self::Spec, actual: Option<&Self::Actual>, at: &At) -> Outputs;

    /// The outputs that something which exists will have after a change, as far as they are known before it.
    fn pending(spec: &Self::Spec, _actual: &Self::Actual, at: &At) -> Outputs {
        Self::outputs(spec, None, at)
    }

    /// Carries out a change. Before each step that alters the world it calls [`At::will`] with the way back.
    fn apply(
        spec: &Self::Spec,
        actual: Option<Self::Actual>,
        change: &Change,
        at: &At,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The error for an output that is not known though the thing is there, if that is one.
    fn without(_output: &str, _spec: &Self::Spec, _at: &At) -> Option<Error> {
        None
    }

    /// Takes a step back. It may have been taken wholly, partly or not at all.
    fn undo(undo: Self::Undo, at: &At) -> impl Future<Output = Result<()>> + Send;

    /// Called for each step once the whole run has succeeded: lets go of what was kept for the way back.
    fn settle(_undo: Self::Undo, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What a backup must hold of this resource beside what it keeps in the deployment's folder.
    fn backup(_spec: &Self::Spec, _at: &At) -> impl Future<Output = Result<Vec<Part>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Reads one thing that [`Kind::backup`] told of.
    fn read(_part: &Part, _spec: &Self::Spec, _at: &At, _sink: Sink<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Everything of this kind that the deployment owns, read from the world.
    fn owned(_at: &At) -> impl Future<Output = Result<Vec<Owned>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Fails if a thing must not be removed. It is asked for all before the first is removed. Reads only.
    fn may_remove(_owned: &Owned, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Removes one thing that [`Kind::owned`] told of.
    fn remove(_owned: &Owned, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
