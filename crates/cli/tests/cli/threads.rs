//! Where the system gives few threads.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::command::{BINARY, Ran, fcmae};
use crate::trained::Trained;

/// A user that no other process is of, so that only what is started here counts.
const USER: &str = "64913";

/// The program, as a user who may have `processes` processes and threads. `None` where the tests may not become
/// another user.
fn limited(processes: usize, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Ran> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all", "prlimit"]);
    command.arg(format!("--nproc={processes}")).arg("--");
    let probe = command.arg("true").output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        // Not by `eprintln`, which is heard of tests alone that fail.
        let needed = "not tested, as it needs root, setpriv and prlimit";
        let _ = writeln!(io::stderr(), "{} with few threads: {needed}", arguments[0]);
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all", "prlimit"]);
    command.arg(format!("--nproc={processes}")).arg("--").arg(BINARY).args(arguments);
    command.envs(variables.iter().copied());
    Some(Ran::of(command))
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
}

#[test]
fn where_threads_are_few_a_run_goes_on_with_those_that_there_are() {
    let trained = Trained::get();
    open_to_all(trained.pictures().parent().unwrap());
    let folder = tempfile::tempdir().unwrap();
    open_to_all(folder.path());
    let [pictures, recipe] =
        [trained.pictures(), trained.recipe("pretrain")].map(|path| path.display().to_string());
    let out = |name: &str| folder.path().join(name).display().to_string();
    for (name, processes, threads, set) in [
        ("one", 1, "4", "data.workers=1"),
        ("alone", 1, "1", "data.workers=0"),
        ("four", 4, "8", "data.workers=2"),
    ] {
        let variables = &[("RAYON_NUM_THREADS", threads)];
        let out = out(name);
        let arguments =
            ["pretrain", "--data", &pictures, "--out", &out, "--config", &recipe, "--set", set];
        let Some(ran) = limited(processes, &arguments, variables) else { return };
        let ran = ran.done();
        let told = ran.stderr.contains("ulimit -u") && ran.stderr.contains("pids.max");
        assert_eq!(told, threads != "1", "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
    }
    for arguments in [&["doctor", "--image", "64"][..], &["stats", "--data", &pictures][..]] {
        let Some(ran) = limited(1, arguments, &[("RAYON_NUM_THREADS", "4")]) else { return };
        assert!(ran.done().stderr.contains("ulimit -u"), "{arguments:?}");
    }
}

#[test]
fn a_hundred_thousand_threads_are_not_started() {
    let trained = Trained::get();
    let mut command =
        crate::command::command(&[&"stats", &"--data", &trained.pictures(), &"--sample", &"2"]);
    command.env("RAYON_NUM_THREADS", "100000");
    let ran = Ran::of(command).done();
    assert!(ran.stderr.contains("100000 threads were asked for"), "{}", ran.stderr);
    fcmae!("stats", "--data", trained.pictures(), "--sample", "2").done();
}
