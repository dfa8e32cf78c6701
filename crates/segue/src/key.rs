//! Where the API key comes from: never from an argument, which every process of the machine can read.

use std::path::Path;

use anyhow::{Context as _, bail};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroize as _};

const VARIABLE: &str = "KLAVIYO_API_KEY";

pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<SecretString> {
    match file {
        Some(path) => of_file(path),
        None if std::env::var_os(VARIABLE).is_none() => bail!(
            "no API key: put a private key of your Klaviyo account into the variable {VARIABLE}, \
             or into a file that --api-key-file names"
        ),
        None => of_variable(VARIABLE),
    }
}

pub(crate) fn of_file(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the API key from {}", path.display()))?;
    checked(text)
}

pub(crate) fn of_variable(name: &str) -> anyhow::Result<SecretString> {
    match std::env::var(name) {
        Ok(text) => checked(text),
        Err(std::env::VarError::NotPresent) => bail!("the variable {name} is not set"),
        // The error of the standard library shows the value.
        Err(std::env::VarError::NotUnicode(_)) => {
            bail!("the variable {name} has characters that no key has: copy it again")
        }
    }
}

fn checked(mut text: String) -> anyhow::Result<SecretString> {
    let key = SecretString::from(text.trim());
    text.zeroize();
    if key.expose_secret().is_empty() {
        bail!("the API key is empty");
    }
    if !key.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the API key has spaces or other characters that no key has: copy it again");
    }
    Ok(key)
}

/// A name for the key that does not give it away.
pub(crate) fn fingerprint(key: &SecretString) -> String {
    let digest = digest(&SHA256, key.expose_secret().as_bytes());
    let start = digest.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use secrecy::ExposeSecret as _;

    #[test]
    fn key_file_may_end_with_a_newline_and_may_not_hold_two_words() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"pk_abc\n").unwrap();
        assert_eq!(super::read(Some(file.path())).unwrap().expose_secret(), "pk_abc");
        file.write_all(b"pk_def\n").unwrap();
        let err = super::read(Some(file.path())).unwrap_err().to_string();
        assert!(err.contains("spaces") && !err.contains("pk_"), "{err}");
    }
}
