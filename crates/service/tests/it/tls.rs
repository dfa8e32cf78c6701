//! TLS on both sides.

use std::{fs, path::PathBuf};

use segue_service::grpc::{Client, ClientError, Identity, Limits, Target, Token};
use tonic::Code;
use url::Url;

use crate::echo::{say, start};

struct Files {
    _folder: tempfile::TempDir,
    cert: PathBuf,
    key: PathBuf,
}

/// A certificate for this machine that trusts itself.
fn certificate() -> Files {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Files { _folder: folder, cert, key }
}

#[tokio::test]
async fn calls_go_over_tls_to_whom_the_client_trusts_and_to_nobody_else() {
    let files = certificate();
    let identity = Identity::read(&files.cert, &files.key).unwrap();
    let server = start(Limits::default(), |it| it.tls(Some(identity))).await;
    let https: Url = server.url.as_str().replace("http:", "https:").parse().unwrap();
    let trusting = Target { ca: Some(&files.cert), ..Target::new(&https) };
    let client = Client::new(trusting.clone()).unwrap();
    assert_eq!(say(&client, "hello").await.unwrap(), "hello");

    let stranger = certificate();
    let client = Client::new(Target { ca: Some(&stranger.cert), ..trusting }).unwrap();
    assert_eq!(say(&client, "hello").await.unwrap_err().code(), Code::Unavailable);
    let client = Client::new(Target::new(&server.url)).unwrap();
    assert!(say(&client, "hello").await.is_err(), "it was served without TLS");
}

#[tokio::test]
async fn files_that_make_no_identity_are_refused_with_words() {
    let files = certificate();
    let words = |cert, key| Identity::read(cert, key).unwrap_err().to_string();
    assert!(words(&files.key, &files.key).contains("CERTIFICATE"));
    let nowhere = PathBuf::from("/nowhere.pem");
    assert!(words(&files.cert, &nowhere).contains("/nowhere.pem"));
    // Whether the key is of the certificate shows when serving begins.
    let other = certificate();
    let identity = Identity::read(&files.cert, &other.key).unwrap();
    let server = start(Limits::default(), |it| it.tls(Some(identity))).await;
    let err = server.served.await.unwrap().unwrap_err();
    assert!(err.to_string().contains("certificate and the key"), "{err}");
}

#[tokio::test]
async fn token_does_not_leave_this_machine_without_tls() {
    let token = Token::new(&"0123456789abcdef".into());
    let make = |url: &str| {
        let url = url.parse().unwrap();
        Client::new(Target { token: token.clone(), ..Target::new(&url) })
    };
    for url in ["http://control-plane:7402", "http://192.0.2.1:7402", "http://[2001:db8::1]:7402"] {
        assert!(matches!(make(url), Err(ClientError::Plaintext { .. })), "{url}");
    }
    for url in ["https://control-plane:7402", "http://127.0.0.1:7402", "http://localhost:7402"] {
        assert!(make(url).is_ok(), "{url}");
    }
}
