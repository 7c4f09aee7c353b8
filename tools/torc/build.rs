//! Tells the program which commit it was built from: a measurement that does not say so cannot be repeated.

use std::path::Path;
use std::process::Command;

/// What the binary is built from, from this crate's directory.
const SOURCES: &[&str] = &[
    "../../Cargo.lock",
    "../../bench/load",
    "../../engine",
    "../../net",
    "../../snapshot",
    "../../wal",
    "../client",
    "../inspect",
    "../sim",
    "Cargo.toml",
    "src",
];

fn main() {
    for path in SOURCES {
        println!("cargo::rerun-if-changed={path}");
    }
    // Where the checkout stands, and what it stands on.
    for path in
        git(&["rev-parse", "--git-path", "HEAD", "--git-path", "packed-refs"]).iter().flat_map(|text| text.lines())
    {
        watch(path);
    }
    if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]) {
        git(&["rev-parse", "--git-path", &branch]).iter().for_each(|path| watch(path));
    }
    let version = std::env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    println!("cargo::rustc-env=TORC_VERSION={version}");
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return };
    let changed = [&["status", "--porcelain", "--untracked-files=no", "--"], SOURCES].concat();
    let modified = git(&changed).is_some_and(|changes| !changes.is_empty());
    let commit = format!("{commit}{}", if modified { "-modified" } else { "" });
    println!("cargo::rustc-env=TORC_COMMIT={commit}");
    println!("cargo::rustc-env=TORC_VERSION={version} ({commit})");
}

/// A path that is not there would make every build run this again.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// What git prints; `None` without git or outside of a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}
