//! The `fcmae` binary as its users meet it: commands, messages, exit codes, files.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod alike;
mod anomalies;
mod bad_input;
mod bench;
mod command;
mod compared;
mod demo;
mod device;
#[cfg(unix)]
mod disturbed;
mod embed;
mod end_to_end;
#[cfg(unix)]
mod experiment;
mod export;
mod foresight;
mod full_disk;
mod interrupted;
#[cfg(unix)]
mod killed;
mod links;
mod numbers;
mod probing;
mod results;
mod sets;
#[cfg(unix)]
mod settings;
mod skipped;
mod snapshots;
mod sources;
#[cfg(target_os = "linux")]
mod steady;
mod streams;
#[cfg(target_os = "linux")]
mod threads;
mod trained;
mod usage;
mod watching;
