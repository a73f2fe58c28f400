//! How long pushes took, read from the log of the nginx in front of a registry: [`Pushes`].

use std::collections::BTreeMap;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// A client that asked for nothing in a repository for this long has given its push up: nginx ends a request without progress after
/// 15 minutes.
const PAUSE: Duration = Duration::hours(1);

/// The pushes that are found in a log, line by line in its order.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    /// By address, user and repository: when the push began, and its last request.
    begun: BTreeMap<(String, String, String), (OffsetDateTime, OffsetDateTime)>,
    longest: Duration,
}

/// One request about a blob or a manifest.
struct Request<'a> {
    address: &'a str,
    user: &'a str,
    repository: &'a str,
    method: &'a str,
    /// What stands after the repository.
    place: &'a str,
    is_good: bool,
    end: OffsetDateTime,
    took: Duration,
}

impl Pushes {
    /// Takes a line into account: `ADDRESS USER [TIME] "METHOD PATH" STATUS BYTES SECONDS "AGENT"`, with the time of its end.
    pub fn note(&mut self, line: &str) {
        let Some(request) = Request::read(line) else { return };
        let key = (request.address.to_owned(), request.user.to_owned(), request.repository.to_owned());
        let start = request.end - request.took;
        let is_push = request.place.starts_with("blobs/uploads/") || request.method == "PUT";
        let known = self.begun.get(&key).filter(|(_, last)| start - *last < PAUSE);
        let begun = match known {
            Some((begun, _)) => (*begun).min(start),
            // A client that pushes asks first what is there already.
            None if is_push || (request.method == "HEAD" && request.place.contains(':')) => start,
            None => return,
        };
        let is_tagged = request.place.strip_prefix("manifests/").is_some_and(|name| !name.contains(':'));
        if request.method == "PUT" && request.is_good && request.place.starts_with("manifests/") {
            self.longest = self.longest.max(request.end - begun);
        }
        if request.method == "PUT" && is_tagged {
            // The manifests of an index come before it, by their digests.
            self.begun.remove(&key);
        } else {
            self.begun.insert(key, (begun, request.end));
        }
    }

    /// Whole seconds, rounded up; 0 if there was none.
    pub fn longest(&self) -> u64 {
        u64::try_from(self.longest.whole_milliseconds()).unwrap_or_default().div_ceil(1000)
    }
}

impl<'a> Request<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (who, rest) = line.split_once(" [")?;
        let (time, rest) = rest.split_once("] \"")?;
        let (request, rest) = rest.split_once("\" ")?;
        let (address, user) = who.split_once(' ')?;
        let (method, path) = request.split_once(' ')?;
        let mut numbers = rest.split(' ');
        let (status, _bytes, took) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let path = path.strip_prefix("/v2/")?;
        let at = path.rfind("/blobs/").or_else(|| path.rfind("/manifests/"))?;
        Some(Self {
            address,
            user,
            repository: &path[..at],
            method,
            place: &path[at + 1..],
            is_good: status.starts_with('2'),
            end: OffsetDateTime::parse(time, &Rfc3339).ok()?,
            took: Duration::try_from(std::time::Duration::try_from_secs_f64(took.parse().ok()?).ok()?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(lines: &[&str]) -> u64 {
        let mut pushes = Pushes::default();
        for line in lines {
            let (who, rest) = line.split_once(' ').unwrap();
            let (time, request) = rest.split_once(' ').unwrap();
            let (request, numbers) = request.split_once(" -> ").unwrap();
            pushes.note(&format!("10.0.0.{who} admin [2026-01-02T{time}+00:00] \"{request}\" {numbers} \"docker/27\""));
        }
        pushes.longest()
    }

    #[test]
    fn a_push_lasts_from_its_first_question_to_its_manifest() {
        let push = [
            "1 10:00:10 HEAD /v2/team/app/blobs/sha256:aa -> 404 0 0.5",
            "1 10:05:00 PATCH /v2/team/app/blobs/uploads/u -> 202 0 280.0",
            "1 10:05:01 PUT /v2/team/app/manifests/v1 -> 201 0 0.1",
        ];
        assert_eq!(longest(&push), 292);
        assert_eq!(longest(&push[1..]), 281, "an upload alone");
        assert_eq!(longest(&push[2..]), 1, "a manifest alone");
        assert_eq!(longest(&push[..2]), 0, "one that came to no end");
        // Another client, another repository and a pull are no part of it.
        for other in [
            "2 09:59:00 HEAD /v2/team/app/blobs/sha256:aa -> 404 0 0.1",
            "1 09:59:00 HEAD /v2/team/web/blobs/sha256:aa -> 404 0 0.1",
            "1 09:59:00 GET /v2/team/app/blobs/sha256:aa -> 200 9 0.1",
        ] {
            assert_eq!(longest(&[&[other], &push[..]].concat()), 292, "{other}");
        }
    }

    #[test]
    fn pushes_in_a_row_are_not_one_and_what_paused_long_has_ended() {
        let two = [
            "1 10:00:00 POST /v2/app/blobs/uploads/ -> 202 0 0",
            "1 10:00:30 PUT /v2/app/manifests/v1 -> 201 0 0",
            "1 10:20:00 POST /v2/app/blobs/uploads/ -> 202 0 0",
            "1 10:20:10 PUT /v2/app/manifests/v1 -> 201 0 0",
        ];
        assert_eq!(longest(&two), 30);
        let paused =
            ["1 10:00:00 HEAD /v2/app/blobs/sha256:aa -> 200 0 0", "1 11:30:00 PUT /v2/app/manifests/v1 -> 201 0 2"];
        assert_eq!(longest(&paused), 2);
        // The manifest of a platform does not end the push of its index; a refused one is no push.
        let index =
            ["1 10:00:00 PUT /v2/app/manifests/sha256:aa -> 201 0 0", "1 10:30:00 PUT /v2/app/manifests/v1 -> 201 0 0"];
        assert_eq!(longest(&index), 1800);
        assert_eq!(longest(&["1 10:00:00 PUT /v2/app/manifests/v1 -> 401 0 9"]), 0);
        let mut pushes = Pushes::default();
        let others = ["", "no line of nginx", "1 a [x] \"GET\" 2", "2026/01/02 [notice] 1#1: start"];
        others.into_iter().for_each(|line| pushes.note(line));
        assert_eq!(pushes.longest(), 0);
    }
}
