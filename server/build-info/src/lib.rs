//! The git commit that a program is built from.
//!
//! A macro, because a build script would rebuild the whole package, its library and its tests included, after every commit.
//! Only the crate that expands the macro is compiled again, which is the program with its `main.rs`.

use std::path::Path;
use std::process::Command;

use proc_macro::TokenStream;

/// Expands to a `strom_server::commit::Commit` that describes the checked-out commit of the crate that is being compiled.
///
/// Expands to `Commit::UNKNOWN` without git, without a commit, or if git does not track the crate, as in an unpacked archive
/// inside the repository of another project.
#[proc_macro]
pub fn commit(_: TokenStream) -> TokenStream {
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    expand(Path::new(&directory))
        .unwrap_or_else(|| "::strom_server::commit::Commit::UNKNOWN".to_owned())
        .parse()
        .expect("valid Rust")
}

fn expand(directory: &Path) -> Option<String> {
    git(directory, &["ls-files", "--error-unmatch", "Cargo.toml"])?;
    let hash = git(directory, &["rev-parse", "HEAD"])?;
    let seconds: i64 = git(directory, &["show", "--no-patch", "--format=%ct", "HEAD"])?.parse().ok()?;
    let tag = git(directory, &["describe", "--tags", "--exact-match"]).unwrap_or_default();
    let branch = git(directory, &["rev-parse", "--abbrev-ref", "HEAD"])?;
    let dirty = !git(directory, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let tracked: String = tracked(directory).iter().map(|path| format!("include_bytes!({path:?}),")).collect();
    Some(format!(
        "{{ const _: &[&[u8]] = &[{tracked}]; ::strom_server::commit::Commit {{ \
         hash: {hash:?}, tag: {tag:?}, branch: {branch:?}, dirty: {dirty}, seconds: {seconds} }} }}"
    ))
}

/// The files that change with a commit or a checkout. The compiler records an included file as a dependency of the crate.
fn tracked(directory: &Path) -> Vec<String> {
    let branch = git(directory, &["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    let path = |name| git(directory, &["rev-parse", "--path-format=absolute", "--git-path", name]);
    names.filter_map(path).filter(|path| Path::new(path).is_file()).collect()
}

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    // A query must not take a lock that another git process needs.
    let output =
        Command::new("git").current_dir(directory).args(arguments).env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
