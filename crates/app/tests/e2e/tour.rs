//! The README's tour, as printed.

use std::process::Command;

use crate::harness::Server;
use crate::model_server::ModelServer;

fn tour() -> String {
    let readme = include_str!("../../../../README.md");
    let block = readme
        .split_once("<!-- tour -->\n```sh\n")
        .expect("the tour")
        .1;
    block.split_once("\n```").expect("its end").0.to_owned()
}

async fn run(server: &Server) -> String {
    let api = format!("{}/api/v1", server.base);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .arg("-c")
            .arg(tour())
            .env("API", api)
            .output()
            .expect("bash")
    });
    let output = output.await.expect("ran");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn shows_what_it_promises(text: &str) {
    assert!(text.contains("My dog is called Rex"), "learned: {text}");
    assert!(text.contains("\"memories_extracted\":true"), "{text}");
    assert!(text.contains("\"memories_extracted\":false"), "{text}");
    let lists: Vec<&str> = text.lines().filter(|l| l.starts_with('[')).collect();
    assert!(
        lists.contains(&"[]"),
        "incognito messages are not listed: {text}"
    );
    let last = lists.last().expect("the last list of memories");
    assert!(last.contains("Rex") && last.contains("peanuts"), "{last}");
    assert!(!last.contains("Tom") && !last.contains("party"), "{last}");
    let recalled = text
        .lines()
        .filter(|l| l.contains("\"memories_used\""))
        .any(|l| !l.contains("\"memories_used\":0"));
    assert!(recalled, "a later session recalls: {text}");
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
}

#[tokio::test]
async fn the_tour_works_with_local_models() {
    let server = Server::start(&[("MEMORYCHAT_LOCAL_MAX_TOKENS", "12")]).await;
    shows_what_it_promises(&run(&server).await);
}

#[tokio::test]
async fn the_tour_works_with_a_model_service() {
    let model = ModelServer::start().await;
    let server = Server::with_model(&model).await;
    shows_what_it_promises(&run(&server).await);
}
