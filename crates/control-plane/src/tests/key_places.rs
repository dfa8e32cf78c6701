//! What a control-plane reads keys from, and what it does not.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};

use secrecy::ExposeSecret as _;
use segue_store::write::connections::KeyReference;

use crate::KeyPlaces;

fn places(folder: Option<&Path>) -> KeyPlaces {
    let variable = Arc::new(|name: &str| {
        let value = match name {
            "SEGUE_KLAVIYO_KEY_SHOP" => "pk_shop\n",
            "SEGUE_KLAVIYO_KEY_EMPTY" => " ",
            "SEGUE_KLAVIYO_KEY_TWO" => "pk_one pk_two",
            "SEGUE_DATABASE_URL" | "HOME" => "secret-of-the-server",
            _ => return None,
        };
        Some(value.into())
    });
    let folder = folder.map(Path::to_owned);
    KeyPlaces { folder, variable, ..KeyPlaces::of_process("host-1".to_owned()) }
}

fn variable(name: &str) -> KeyReference {
    KeyReference::Variable(name.to_owned())
}

fn file(path: impl AsRef<Path>) -> KeyReference {
    KeyReference::File(path.as_ref().to_str().unwrap().to_owned())
}

async fn read(places: &KeyPlaces, reference: &KeyReference) -> Result<String, String> {
    let read = places.read(reference).await;
    read.map(|key| key.expose_secret().to_owned()).map_err(|err| err.to_string())
}

#[tokio::test]
async fn variable_is_read_if_it_is_for_keys_and_named_if_it_holds_none() {
    let places = places(None);
    assert_eq!(read(&places, &variable("SEGUE_KLAVIYO_KEY_SHOP")).await.unwrap(), "pk_shop");
    for (name, word) in [
        ("SEGUE_KLAVIYO_KEY_GONE", "not set"),
        ("SEGUE_KLAVIYO_KEY_EMPTY", "is empty"),
        ("SEGUE_KLAVIYO_KEY_TWO", "characters"),
        ("SEGUE_KLAVIYO_KEY_", "key_env_prefix"),
        ("SEGUE_DATABASE_URL", "key_env_prefix"),
        ("HOME", "key_env_prefix"),
        ("", "no name"),
        ("SEGUE_KLAVIYO_KEY_A=B", "no name"),
    ] {
        let words = read(&places, &variable(name)).await.unwrap_err();
        assert!(words.contains(word) && words.contains(name), "{words}");
        assert!(words.contains("host-1"), "{words}");
        assert!(!words.contains("pk_one") && !words.contains("secret-of"), "{words}");
    }
}

#[tokio::test]
async fn no_prefix_opens_the_settings_of_segue_itself() {
    let places = KeyPlaces { env_prefix: "SEG".to_owned(), ..places(None) };
    let words = read(&places, &variable("SEGUE_DATABASE_URL")).await.unwrap_err();
    assert!(words.contains("own settings") && !words.contains("secret-of"), "{words}");
    assert!(read(&places, &variable("SEGUE_KLAVIYO_KEY_SHOP")).await.is_ok());
}

#[tokio::test]
async fn file_is_read_anew_each_time_and_only_below_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let keys = root.path().join("keys");
    fs::create_dir_all(keys.join("..data")).unwrap();
    fs::write(root.path().join("passwd"), "secret-of-the-server").unwrap();
    fs::write(keys.join("..data/shop"), "pk_shop\n").unwrap();
    // As Kubernetes mounts a secret.
    symlink("..data/shop", keys.join("shop")).unwrap();
    symlink("../passwd", keys.join("out")).unwrap();
    let places = places(Some(&keys));
    for path in [keys.join("shop"), "shop".into()] {
        assert_eq!(read(&places, &file(path)).await.unwrap(), "pk_shop");
    }
    fs::write(keys.join("..data/shop"), "pk_rotated").unwrap();
    assert_eq!(read(&places, &file("shop")).await.unwrap(), "pk_rotated");

    fs::write(keys.join("empty"), "\n").unwrap();
    fs::write(keys.join("large"), "x".repeat(5000)).unwrap();
    fs::create_dir(keys.join("folder")).unwrap();
    for (path, word) in [
        ("gone", "not there"),
        ("empty", "is empty"),
        ("large", "5000 bytes"),
        ("folder", "no file"),
        ("out", "outside"),
        ("../passwd", "key_dir"),
        ("folder/../../passwd", "key_dir"),
        ("", "key_dir"),
        ("/etc/passwd", "key_dir"),
    ] {
        let words = read(&places, &file(path)).await.unwrap_err();
        assert!(words.contains(word) && words.contains("host-1"), "{path}: {words}");
        assert!(!words.contains("secret-of"), "{words}");
    }
}

#[tokio::test]
async fn without_a_folder_files_are_refused_with_the_setting_that_allows_them() {
    let words = read(&places(None), &file("/etc/passwd")).await.unwrap_err();
    assert!(words.contains("SEGUE_KEY_DIR"), "{words}");
}
