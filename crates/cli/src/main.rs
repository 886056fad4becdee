//! The `fcmae` command.
fn main() {}
