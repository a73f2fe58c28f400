//! A container's own last words: those of its log that tell why it does not run.

use crate::error::Error;
use crate::world::engine::Engine;

/// How many lines an error shows, and out of how many of the last ones they are chosen.
const SHOWN: usize = 15;
const READ: usize = 400;

/// The lines to show of a container that is not as it should be.
pub(super) async fn last(name: &str, engine: &Engine) -> Vec<String> {
    telling(engine.logs(name, READ).await)
}

/// An error with what the container printed last.
pub(super) async fn explained(what: String, name: &str, engine: &Engine) -> Error {
    let lines = last(name, engine).await;
    let hint = if lines.is_empty() {
        "it printed nothing, or the engine keeps no log of it; mend the cause, then run the command again"
    } else {
        "these are its last lines; mend their cause, then run the command again"
    };
    Error::new(what).detail(lines).hint(hint)
}

/// The last lines without the traces of a program in Go, which are long and come after what they are about. A line that says
/// that something went wrong stays, however many others follow it.
fn telling(lines: Vec<String>) -> Vec<String> {
    let mut trace = false;
    let kept: Vec<String> = lines
        .into_iter()
        .filter(|line| {
            trace = begins_trace(line) || (trace && goes_on(line));
            !trace
        })
        .collect();
    let start = kept.len().saturating_sub(SHOWN);
    let (earlier, rest) = kept.split_at(start);
    if rest.iter().any(|line| is_error(line)) {
        return rest.to_vec();
    }
    let cause = earlier.iter().rev().find(|line| is_error(line));
    cause.into_iter().chain(&rest[usize::from(cause.is_some()).min(rest.len())..]).cloned().collect()
}

/// `goroutine 1 [running]:`, as Go's runtime prints it.
fn begins_trace(line: &str) -> bool {
    line.starts_with("goroutine ") && line.ends_with("]:")
}

/// A function with its arguments, or the place in its file below it.
fn goes_on(line: &str) -> bool {
    line.is_empty() || line.starts_with('\t') || line.starts_with("created by ") || line.ends_with(')')
}

fn is_error(line: &str) -> bool {
    let signs = [
        "panic:",
        "fatal error:",
        "level=fatal",
        "level=panic",
        "level=error",
        "\"level\":\"fatal\"",
        "\"level\":\"error\"",
    ];
    let words = ["Error", "ERROR", "error:", "FATAL", "[emerg]", "[error]", "Fatal"];
    signs.iter().chain(&words).any(|sign| line.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::telling;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_message_is_shown_and_not_the_trace() {
        let frame = "github.com/docker/distribution/registry/handlers.NewApp(0x1, 0x2)\n\t/build/app.go:126 +0x2bf\n";
        let died = format!(
            "level=warning msg=\"no secret\"\npanic: StorageDriver not registered: gcs\n\ngoroutine 1 [running]:\n{}created by main.main\n\t/build/main.go:1 +0x1\n",
            frame.repeat(20)
        );
        let shown = telling(lines(&died));
        assert_eq!(shown, lines("level=warning msg=\"no secret\"\npanic: StorageDriver not registered: gcs\n\n"));
        let again = telling(lines(&died.repeat(3)));
        assert!(again.len() <= 15 && again.last().is_some_and(String::is_empty), "{again:?}");
    }

    #[test]
    fn what_follows_a_trace_is_shown() {
        let text =
            "panic: one\n\ngoroutine 7 [select, 2 minutes]:\nmain.f(...)\n\t/x.go:1\nlevel=info msg=\"up again\"\n";
        assert_eq!(telling(lines(text)), lines("panic: one\n\nlevel=info msg=\"up again\""));
    }

    #[test]
    fn an_error_far_up_stays_and_the_last_lines_do_too() {
        let calm: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
        assert_eq!(telling(calm.clone()), calm[25..]);
        let shown = telling([vec!["level=fatal msg=\"no such key\"".to_owned()], calm.clone()].concat());
        assert_eq!(shown.len(), 15);
        assert_eq!((shown[0].as_str(), &shown[1..]), ("level=fatal msg=\"no such key\"", &calm[26..]));
        assert_eq!(telling(Vec::new()), Vec::<String>::new());
    }
}
