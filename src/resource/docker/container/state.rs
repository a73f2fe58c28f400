//! The states of a container that the engine knows, as far as each needs another way to make it run: [`State`].

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ready;

/// Seconds after which the engine itself takes a container that it started again for one that runs.
const STEADY: i64 = 10;

/// How it is with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// It runs and fails its own check.
    Unhealthy,
    Paused,
    /// It ends again and again, whether or not it runs at this moment.
    Looping,
    /// It was made and not started.
    Created,
    Ended,
    /// It is being removed, or its removal was broken off. It can only go.
    Dying,
}

/// The state at a time.
pub(super) fn of(found: &ContainerInspectResponse, now: OffsetDateTime) -> State {
    let Some(state) = &found.state else { return State::Ended };
    let is = |flag: Option<bool>| flag.unwrap_or_default();
    let unhealthy = || state.health.as_ref().and_then(|health| health.status) == Some(HealthStatusEnum::UNHEALTHY);
    match state.status {
        Some(Status::REMOVING | Status::DEAD) => State::Dying,
        _ if is(state.dead) => State::Dying,
        _ if is(state.restarting) => State::Looping,
        _ if is(state.paused) => State::Paused,
        Some(Status::CREATED) => State::Created,
        _ if !is(state.running) => State::Ended,
        // One that ended once is no loop, and neither is one that has run for long since.
        _ if found.restart_count.unwrap_or_default() > 1 && has_just_started(state, now) => State::Looping,
        _ if unhealthy() => State::Unhealthy,
        _ => State::Running,
    }
}

/// A time as the engine writes it.
pub(super) fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

fn has_just_started(state: &ContainerState, now: OffsetDateTime) -> bool {
    let started = state.started_at.as_deref().and_then(time);
    started.is_some_and(|started| (now - started).whole_seconds().abs() < STEADY)
}

/// What a plan says of one that does not run as it should.
pub(super) fn told(found: &ContainerInspectResponse, now: OffsetDateTime) -> Option<String> {
    let code = found.state.as_ref().and_then(|state| state.exit_code).unwrap_or_default();
    let text = match of(found, now) {
        State::Running => return None,
        State::Unhealthy => "unhealthy".to_owned(),
        State::Paused => "paused".to_owned(),
        State::Looping => format!("ends again and again, with exit code {code}"),
        State::Created => "was never started".to_owned(),
        State::Ended => ready::ended(found).unwrap_or_else(|| format!("ended with exit code {code}")),
        State::Dying => "its removal was begun".to_owned(),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: Status, change: impl FnOnce(&mut ContainerState)) -> ContainerInspectResponse {
        let running = matches!(status, Status::RUNNING | Status::PAUSED | Status::RESTARTING);
        let mut state = ContainerState { status: Some(status), running: Some(running), ..ContainerState::default() };
        state.started_at = Some("2026-01-01T00:00:00.5Z".to_owned());
        change(&mut state);
        ContainerInspectResponse { state: Some(state), ..ContainerInspectResponse::default() }
    }

    #[test]
    fn every_state_of_the_engine_is_known() {
        let now = OffsetDateTime::from_unix_timestamp(1_767_225_603).unwrap();
        let table = vec![
            (found(Status::RUNNING, |_| ()), State::Running),
            (found(Status::CREATED, |_| ()), State::Created),
            (found(Status::EXITED, |state| state.exit_code = Some(1)), State::Ended),
            (found(Status::PAUSED, |state| state.paused = Some(true)), State::Paused),
            // The engine says of one that waits for its next start that it runs.
            (found(Status::RESTARTING, |state| state.restarting = Some(true)), State::Looping),
            (found(Status::REMOVING, |_| ()), State::Dying),
            (found(Status::DEAD, |state| state.dead = Some(true)), State::Dying),
        ];
        for (found, expected) in table {
            assert_eq!(of(&found, now), expected, "{:?}", found.state);
            assert_eq!(told(&found, now).is_none(), expected == State::Running);
        }
    }

    #[test]
    fn a_loop_is_one_at_every_moment_and_one_death_is_none() {
        let soon = OffsetDateTime::from_unix_timestamp(1_767_225_603).unwrap();
        let later = soon + time::Duration::minutes(1);
        let mut running = found(Status::RUNNING, |_| ());
        running.restart_count = Some(1);
        assert_eq!(of(&running, soon), State::Running);
        running.restart_count = Some(2);
        assert_eq!((of(&running, soon), of(&running, later)), (State::Looping, State::Running));
    }
}
