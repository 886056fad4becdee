//! Runs the binary.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_fcmae");

/// The binary with arguments, ready to be run in some other way.
pub(crate) fn command(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs the binary with arguments of any kind of text or path.
macro_rules! fcmae {
    ($($argument:expr),* $(,)?) => {
        $crate::command::Ran::of($crate::command::command(&[$(&$argument),*]))
    };
}
pub(crate) use fcmae;

/// What a call of the binary did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the binary was built");
        let text = |bytes| String::from_utf8(bytes).expect("all that is printed is UTF-8");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// It succeeded.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// It failed with this exit code, and its error says all of this.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        let error = self.stderr.find("error: ").map_or("", |at| &self.stderr[at..]);
        for part in says {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        for panic in ["panicked", "RUST_BACKTRACE", "bug in fcmae"] {
            assert!(!self.stderr.contains(panic), "{}", self.stderr);
        }
        self
    }
}
