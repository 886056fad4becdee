//! Errors to one line on stderr and an exit code; never a backtrace.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use fcmae::error::ConfigError;
use fcmae_data::DataError;
use fcmae_store::run::schema::{Facts, Kind};
use fcmae_store::{Error as StoreError, Record};
use fcmae_vectors::Embeddings;
use fcmae_words::panic_text;
use fcmae_words::terminal::plain;

const DONE: u8 = 0;
const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
/// What a shell gives for a program that Ctrl-C ended.
pub(crate) const STOPPED: u8 = 130;

/// What was asked for cannot be meant: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Nobody reads standard output any more, as after `| head`: nothing is left to do, and that is
/// no failure.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output was closed")
    }
}

impl std::error::Error for ReaderGone {}

/// A run that was stopped before its end, and how it goes on: no failure, and not done.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// Updates made, or pictures done.
    pub(crate) step: u64,
    /// Which of the two: `step` or `picture`.
    pub(crate) unit: &'static str,
    /// The command that goes on.
    pub(crate) resume: String,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, unit, resume } = self;
        match step {
            0 => write!(f, "stopped before the first {unit}; to continue:  {resume}"),
            _ => write!(f, "stopped and saved after {unit} {step}; to continue:  {resume}"),
        }
    }
}

impl std::error::Error for Stopped {}

/// Runs `command`, reports its error and gives the exit code.
pub(crate) fn exit_code(command: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    // A panic is a fault of this program. It is reported like an error, not from within the hook:
    // the loader survives panics of image decoders, and those are no news.
    panic::set_hook(Box::new(remember_panic));
    let error = match panic::catch_unwind(AssertUnwindSafe(command)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error,
        Err(payload) => {
            anyhow::anyhow!(fault(&last_panic().unwrap_or_else(|| panic_text(payload.as_ref()))))
        }
    };
    // Where stderr is closed too, the exit code has to do.
    let _ = std::io::stderr().write_all(told(&error).as_bytes());
    ExitCode::from(code(&error))
}

/// What a panic is told as. Where the system gives no memory, nothing is wrong with the program.
fn fault(panic: &str) -> String {
    const NO_MEMORY: [&str; 2] = ["bytes of memory", "capacity overflow"];
    if NO_MEMORY.iter().any(|text| panic.contains(text)) {
        return format!(
            "there is not enough memory for this ({panic}): close other programs, raise the limit of this one \
             (`ulimit -v`, or the container's), or use smaller batches, smaller pictures or a smaller network; \
             everything saved before is intact"
        );
    }
    format!("this is a bug in fcmae, please report it: {panic}; everything saved before is intact")
}

/// What standard error is told.
fn told(error: &anyhow::Error) -> String {
    if error.is::<ReaderGone>() {
        return String::new();
    }
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return format!("{stopped}\n");
    }
    if stopped_early(error) {
        return format!("{}; nothing was written\n", joined(error));
    }
    let mut text = format!("error: {}\n", plain(&joined(error)));
    if let Some(help) = help(error) {
        text.push_str(&format!("help: {help}\n"));
    }
    text
}

/// The chain of causes on one line. Many errors already tell their cause; it isn't told twice.
pub(crate) fn joined(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.trim_end().to_owned()
}

/// The library's parts of an error chain, of which each kind has its own code and help.
enum Part<'a> {
    Usage,
    Config(&'a ConfigError),
    Data(&'a DataError),
    Store(&'a StoreError),
}

fn part<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<Part<'a>> {
    if cause.is::<Usage>() {
        return Some(Part::Usage);
    }
    // A transparent error hides itself from the chain, so it is taken apart here.
    match cause.downcast_ref::<fcmae::Error>() {
        Some(fcmae::Error::Config(error)) => return Some(Part::Config(error)),
        Some(fcmae::Error::Data(error)) => return Some(Part::Data(error)),
        Some(fcmae::Error::Store(error)) => return Some(Part::Store(error)),
        _ => {}
    }
    cause
        .downcast_ref()
        .map(Part::Config)
        .or_else(|| cause.downcast_ref().map(Part::Data))
        .or_else(|| cause.downcast_ref().map(Part::Store))
}

/// Whether a run was stopped before it began.
fn stopped_early(error: &anyhow::Error) -> bool {
    error.chain().filter_map(part).any(|part| matches!(part, Part::Data(DataError::Stopped)))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<ReaderGone>() {
        return DONE;
    }
    if error.is::<Stopped>() || stopped_early(error) {
        return STOPPED;
    }
    let wrong_usage = error.chain().filter_map(part).any(|part| match part {
        Part::Usage | Part::Config(_) => true,
        Part::Data(error) => matches!(
            error,
            DataError::Missing(_) | DataError::NotAFolder(_) | DataError::Parameter { .. }
        ),
        Part::Store(error) => matches!(
            error,
            StoreError::NotEmpty { .. }
                | StoreError::NotAFolder { .. }
                | StoreError::NotARun { .. }
                | StoreError::OtherSettings { .. }
                | StoreError::Missing { .. }
                | StoreError::NoWeights { .. }
        ),
    });
    if wrong_usage { WRONG_USAGE } else { FAILED }
}

/// A next step, where the message itself has none.
fn help(error: &anyhow::Error) -> Option<Cow<'static, str>> {
    error.chain().filter_map(part).find_map(|part| match part {
        Part::Config(ConfigError::UnknownKey { .. }) => {
            Some("`fcmae settings` lists every setting".into())
        }
        Part::Data(DataError::NotAFolder(path) | DataError::Parquet { path, .. })
            if Embeddings::are_in(path) =>
        {
            Some("this is a file of vectors, as `fcmae embed` writes them; give the pictures that they are of".into())
        }
        Part::Data(DataError::BatchLargerThanSet { .. }) => {
            Some("set its size with --batch NUMBER".into())
        }
        Part::Data(error) if error.is_of_share() => Some(
            "set the allowed share with, for example, --set data.max_bad_fraction=0.5".into(),
        ),
        Part::Store(StoreError::OtherSettings { diff, path })
            if diff.iter().any(|line| line[1..].starts_with(" config.")) =>
        {
            let facts = Record::read(path).ok().and_then(|record| Facts::read(&record.facts).ok());
            let kind = facts.map_or(Kind::Finetuning, |facts| facts.kind);
            let settings: Vec<&str> = fcmae::training::may_change(kind).collect();
            let settings = settings.join(", ");
            let text = "a resumed run has its own settings, so leave out --config; --set may change";
            Some(
                format!("{text} {settings}; batch and accumulation only if their product stays the same")
                    .into(),
            )
        }
        Part::Store(
            StoreError::NoSpace { .. } | StoreError::Quota { .. } | StoreError::TooLarge { .. },
        ) => Some(
            "then run the same command with --resume to continue a training from its last checkpoint"
                .into(),
        ),
        _ => None,
    })
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

fn remember_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line()));
    let text = panic_text(info.payload()) + &place.unwrap_or_default();
    *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
}

fn last_panic() -> Option<String> {
    LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context;

    use super::*;

    fn refused() -> StoreError {
        StoreError::Io {
            action: "create",
            path: PathBuf::from("run/log.txt"),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        }
    }

    #[test]
    fn a_lack_of_memory_is_no_fault_of_the_program() {
        let said =
            fault("zeros: the system doesn't give 8589934592 bytes of memory (memory.rs:200)");
        assert!(said.contains("not enough memory") && said.contains("smaller batches"), "{said}");
        assert!(!said.contains("bug in fcmae"), "{said}");
        assert!(fault("index out of bounds").contains("bug in fcmae"));
    }

    #[test]
    fn what_weights_and_files_are_called_cannot_steer_a_terminal() {
        let said = told(&anyhow::anyhow!("class `a\x1b[2Jb` is unknown"));
        assert_eq!(said, "error: class `a\\u{1b}[2Jb` is unknown\n");
    }

    #[test]
    fn causes_are_joined_and_none_is_told_twice() {
        let error = anyhow::Error::new(refused()).context("cannot start");
        assert_eq!(joined(&error), "cannot start: cannot create run/log.txt: permission denied");
    }

    #[test]
    fn codes_tell_wrong_usage_from_failure() {
        let not_empty = || StoreError::NotEmpty { path: PathBuf::from("run") };
        for (error, expected) in [
            (anyhow::Error::new(refused()), FAILED),
            (anyhow::Error::new(fcmae::Error::Store(refused())), FAILED),
            (anyhow::Error::new(not_empty()), WRONG_USAGE),
            (anyhow::Error::new(fcmae::Error::Store(not_empty())), WRONG_USAGE),
            (anyhow::Error::new(fcmae::Error::Store(not_empty())).context("x"), WRONG_USAGE),
            (anyhow::Error::new(Usage("x".to_owned())).context("y"), WRONG_USAGE),
            (anyhow::anyhow!("x"), FAILED),
            (fcmae::Error::Data(DataError::Stopped).into(), STOPPED),
            (Stopped { step: 1, unit: "step", resume: "x".to_owned() }.into(), STOPPED),
            (ReaderGone.into(), DONE),
        ] {
            assert_eq!(code(&error), expected, "{error:?}");
        }
        let config = fcmae::Error::Config(ConfigError::UnknownKey {
            key: "x".to_owned(),
            nearest: String::new(),
        });
        let error = Err::<(), _>(config).context("--config a.toml").expect_err("made as one");
        assert_eq!((code(&error), help(&error).is_some()), (WRONG_USAGE, true));
    }
}
