//! A wrong configuration ends the program with code 2 and says what is wrong.

use sluicegate_testbed::program::refused;

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("downstream.toml");
    std::fs::write(&path, "site = \"cam-7\"\nsitte = 1\n").unwrap();
    let said = refused("downstream", &["--check", "--config", path.to_str().unwrap()]).await;
    assert!(said.contains("sitte") && said.contains("line 2"), "{said}");
}

#[tokio::test]
async fn a_wrong_source_is_named() {
    let arguments = ["--upstream", "ws://127.0.0.1:9", "--site", "cam-7", "--stream", "cams/door=nothing:at-all"];
    let folder = tempfile::tempdir().unwrap();
    let state = ["--state-dir", folder.path().to_str().unwrap()];
    let said = refused("downstream", &[&arguments[..], &state].concat()).await;
    assert!(said.contains("cams/door"), "{said}");
}
