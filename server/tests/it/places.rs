//! The compiled program while the place of its JSON file changes, and next to commands.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Client, StatusCode};
use rustix::process::Signal;
use serde_json::Value;
use strom_test_support::eventually::{eventually, eventually_some};
use strom_test_support::mount::Mount;

use crate::cli::id;
use crate::serve::{Running, directory, outcome, post, sample, strom};

fn serve(directory: &Path) -> Running {
    Running::start(&["--data-dir", directory.to_str().unwrap(), "--port", "0"], &[])
}

async fn ready(server: &Running) -> (StatusCode, Value) {
    let response = Client::new().get(server.url("/ready")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Saves return 503, `/ready` names the file with the acknowledged flows, and `strom import` stores them elsewhere.
#[tokio::test]
async fn a_removed_data_directory_loses_no_acknowledged_flow() {
    let (_outer, outer) = directory();
    let data = PathBuf::from(&outer).join("data");
    fs::create_dir(&data).unwrap();
    let mut server = serve(&data);
    assert_eq!(post(&server, sample()).await.status(), 201);
    fs::remove_dir_all(&data).unwrap();
    let refused = post(&server, r#"{"name":"refused"}"#.into()).await;
    assert_eq!(refused.status(), 503);
    let rescued = eventually_some("the flows are set aside", async || {
        let (status, body) = ready(&server).await;
        assert_eq!((status, &body["degraded"]), (StatusCode::SERVICE_UNAVAILABLE, &true.into()));
        let faults = body["faults"].to_string();
        faults.split(' ').find(|word| word.contains(".rescued-")).map(PathBuf::from)
    })
    .await;
    let list = reqwest::get(server.url("/api/flows")).await.unwrap().json::<Value>().await.unwrap();
    server.signal(Signal::TERM);
    server.wait();
    fs::create_dir(&data).unwrap();
    let arguments = ["--data-dir", data.to_str().unwrap(), "import", rescued.to_str().unwrap()];
    let (code, _, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let server = serve(&data);
    assert_eq!(reqwest::get(server.url("/api/flows")).await.unwrap().json::<Value>().await.unwrap(), list);
}

/// A mistake with containers: the changes would remain in a journal that is lost with the container.
#[tokio::test]
async fn a_server_does_not_start_on_a_file_that_is_mounted_by_itself() {
    let (_outer, outer) = directory();
    let (outside, inside) = (PathBuf::from(&outer).join("outside.json"), PathBuf::from(&outer).join("flows.json"));
    fs::write(&outside, "{\"version\":1,\"flows\":[]}").unwrap();
    fs::write(&inside, "").unwrap();
    let Some(_mount) = Mount::bind(&outside, &inside) else { return eprintln!("not tested: no mount") };
    for arguments in [["--data-dir", &outer, "--port", "0"].as_slice(), &["delete", &id(1), "--data-dir", &outer]] {
        let (code, _, stderr) = outcome(&strom(arguments, &[]).output().unwrap());
        assert_eq!(code, Some(2));
        assert!(
            stderr.contains("mounted as a single file") && stderr.contains("Mount the directory instead"),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn a_server_in_a_read_only_directory_becomes_ready_when_the_directory_is_writable() {
    let (_outer, outer) = directory();
    let Some(mount) = Mount::memory(Path::new(&outer), "4m") else { return eprintln!("not tested: no mount") };
    fs::write(PathBuf::from(&outer).join("flows.json"), "{\"version\":1,\"flows\":[]}").unwrap();
    mount.remount("ro");
    let server = serve(Path::new(&outer));
    let (status, body) = ready(&server).await;
    assert_eq!(status, 503, "{body}");
    assert!(body["reason"].as_str().unwrap().contains("Make the directory"), "{body}");
    assert!(!post(&server, sample()).await.status().is_success());
    mount.remount("rw");
    eventually("the server is ready", async || ready(&server).await.0 == 200).await;
    assert_eq!(post(&server, sample()).await.status(), 201);
    drop(server);
}

/// The lock file was removed, and the second server is started through a link and a path with `..`.
#[tokio::test]
async fn a_second_server_does_not_start_although_the_lock_file_was_removed() {
    let (_outer, outer) = directory();
    let data = PathBuf::from(&outer).join("data");
    fs::create_dir(&data).unwrap();
    let link = PathBuf::from(&outer).join("link");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let server = serve(&data);
    assert_eq!(post(&server, sample()).await.status(), 201);
    fs::remove_file(data.join("flows.json.lock")).unwrap();
    for path in [&link, &data.join("../data")] {
        let arguments = ["--data-dir", path.to_str().unwrap(), "--port", "0"];
        let (code, _, stderr) = outcome(&strom(&arguments, &[]).output().unwrap());
        assert_eq!(code, Some(2));
        assert!(stderr.contains(": in use by "), "{stderr}");
    }
    eventually("saves work", async || post(&server, r#"{"name":"a"}"#.into()).await.status() == 201).await;
}

#[test]
fn servers_start_next_to_commands_that_read() {
    let (_directory, path) = directory();
    let arguments = ["--data-dir", path.as_str(), "--port", "0"];
    drop(Running::start(&arguments, &[]));
    fs::write(PathBuf::from(&path).join("flows.json"), "{\"version\":1,\"flows\":[]}").unwrap();
    std::thread::scope(|scope| {
        let servers = scope.spawn(|| {
            for _ in 0..10 {
                let mut server = Running::start(&arguments, &[]);
                server.signal(Signal::TERM);
                assert_eq!(server.wait().code(), Some(0));
            }
        });
        while !servers.is_finished() {
            let (code, _, stderr) = outcome(&strom(&["--data-dir", &path, "list"], &[]).output().unwrap());
            assert_eq!((code, stderr.as_str()), (Some(0), ""));
        }
    });
}
