//! A wrong configuration ends the program with code 2 and says what is wrong.

use sluicegate_testbed::program::refused;

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upstream.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:0\"\nlissten = 1\n").unwrap();
    let said = refused("upstream", &["--check", "--config", path.to_str().unwrap()]).await;
    assert!(said.contains("lissten") && said.contains("line 2"), "{said}");
}

#[tokio::test]
async fn an_unknown_flag_is_usage() {
    let said = refused("upstream", &["--no-such-flag"]).await;
    assert!(said.contains("--no-such-flag"), "{said}");
}

#[tokio::test]
async fn a_public_address_needs_credentials_or_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let said = refused("upstream", &["--listen", "0.0.0.0:0", "--state-dir", state]).await;
    assert!(said.contains("--open"), "{said}");
}
