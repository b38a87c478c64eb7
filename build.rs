//! Lets the query macros check against `.sqlx`, and tells the binary what it is built from, for `GET /api/version`: the
//! commit where there is one, else `unknown`.
//!
//! Runs again when a source, the checked-out commit, SOURCE_DATE_EPOCH or SQLX_OFFLINE changes, and at no other time.
//! Never fails: an archive without git builds too, and so does one inside the repository of somebody else, whose commit
//! is not ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    check_queries_offline();
    for path in ["src", "migrations", "Cargo.toml", "Cargo.lock"] {
        rerun_if_changed(Path::new(path));
    }
    let commit = if is_our_repository() { git(&["rev-parse", "HEAD"]) } else { None };
    let (mut tag, mut branch, mut dirty) = (None, None, false);
    if commit.is_some() {
        watch_the_commit();
        tag = Some(git(&["describe", "--tags", "--exact-match"]).unwrap_or_default());
        branch = git(&["rev-parse", "--abbrev-ref", "HEAD"]);
        dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    }
    set("STROM_GIT_HASH", &commit.unwrap_or_else(|| "unknown".into()));
    set("STROM_GIT_TAG", &tag.unwrap_or_else(|| "unknown".into()));
    set("STROM_GIT_BRANCH", &branch.unwrap_or_else(|| "unknown".into()));
    set("STROM_GIT_DIRTY", if dirty { "true" } else { "false" });
    set("STROM_BUILD_EPOCH", &epoch().to_string());
}

/// A DATABASE_URL is meant for something else: for the program of the shell, or for the queries of a program that embeds
/// us. The macros must not ask that database about ours. Only `cargo sqlx prepare` says `SQLX_OFFLINE=false`.
fn check_queries_offline() {
    println!("cargo::rerun-if-env-changed=SQLX_OFFLINE");
    if std::env::var("SQLX_OFFLINE").as_deref() != Ok("false") {
        set("SQLX_OFFLINE", "true");
    }
}

fn set(name: &str, value: &str) {
    println!("cargo::rustc-env={name}={value}");
}

/// A path that does not exist would count as changed each time.
fn rerun_if_changed(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

fn is_our_repository() -> bool {
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|top| PathBuf::from(top).canonicalize().ok());
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).ok();
    top.is_some() && top == here
}

/// A commit moves the branch that HEAD names, a checkout moves HEAD, and both are elsewhere in a second worktree.
fn watch_the_commit() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            rerun_if_changed(Path::new(&path));
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    // Looking must not take a lock that somebody else needs.
    let output = Command::new("git").args(arguments).env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Seconds since 1970: SOURCE_DATE_EPOCH, which reproducible builds set, or now.
#[expect(clippy::disallowed_methods, reason = "the time of the build is what is asked for")]
fn epoch() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.trim().parse().ok());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    given.unwrap_or_else(now)
}
