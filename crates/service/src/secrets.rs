//! Secrets that are kept in files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{SecretBox, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

const KEY_BYTES: usize = 32;
const MIN_TOKEN: usize = 16;
const MAX_FILE: u64 = 4096;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret could not be had. Nothing of the secret is in the words.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("cannot read the {what} from {}: make one with `openssl rand -base64 32 > {}`", path.display(), path.display())]
    Unreadable { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is no {what}: {words}; make one with `openssl rand -base64 32 > {}`", path.display(), path.display())]
    Unfit { what: &'static str, path: PathBuf, words: String },
}

/// The master key: 32 bytes, as base64, as hexadecimal digits, or as they are.
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn master_key(path: &Path) -> Result<SecretBox<[u8; KEY_BYTES]>, SecretFileError> {
    key("master key", path)
}

/// The key that seals sign-ins to the console, as [`master_key`].
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn console_key(path: &Path) -> Result<SecretBox<[u8; KEY_BYTES]>, SecretFileError> {
    key("key of the console", path)
}

fn key(what: &'static str, path: &Path) -> Result<SecretBox<[u8; KEY_BYTES]>, SecretFileError> {
    let content = read(what, path)?;
    let unfit = |words: String| SecretFileError::Unfit { what, path: path.to_owned(), words };
    let text = content.trim_ascii();
    let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    // Sixteen random bytes in hexadecimal would pass for 32 bytes, with half of the strength.
    if is_hex && text.len() == KEY_BYTES {
        return Err(unfit("it holds 16 bytes, and 32 are needed".to_owned()));
    }
    if content.len() == KEY_BYTES {
        return Ok(boxed(&content));
    }
    let bytes = if is_hex && text.len() == 2 * KEY_BYTES {
        Zeroizing::new(text.chunks(2).map(byte).collect::<Vec<u8>>())
    } else {
        let decoded = BASE64.decode(text);
        Zeroizing::new(decoded.map_err(|_| {
            unfit("it is neither base64 nor hexadecimal nor 32 bytes long".to_owned())
        })?)
    };
    if bytes.len() != KEY_BYTES {
        return Err(unfit(format!("it holds {} bytes, and {KEY_BYTES} are needed", bytes.len())));
    }
    Ok(boxed(&bytes))
}

/// The token by which workers are known: at least 16 characters that fit into a header.
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn worker_token(path: &Path) -> Result<SecretString, SecretFileError> {
    token("worker token", path)
}

/// The token by which an administrator is known, as [`worker_token`].
///
/// # Errors
/// The file cannot be read or holds something else.
pub fn admin_token(path: &Path) -> Result<SecretString, SecretFileError> {
    token("administrator's token", path)
}

fn token(what: &'static str, path: &Path) -> Result<SecretString, SecretFileError> {
    let content = read(what, path)?;
    let unfit = |words: String| SecretFileError::Unfit { what, path: path.to_owned(), words };
    let text = content.trim_ascii();
    if text.len() < MIN_TOKEN {
        return Err(unfit(format!("it has {} characters, and {MIN_TOKEN} are needed", text.len())));
    }
    let text =
        std::str::from_utf8(text).ok().filter(|it| it.bytes().all(|it| it.is_ascii_graphic()));
    let text =
        text.ok_or_else(|| unfit("it has spaces or characters outside of ASCII".to_owned()))?;
    Ok(SecretString::from(text))
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let unreadable = |source| SecretFileError::Unreadable { what, path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > MAX_FILE {
        let words = format!("it has {length} bytes, which is too much");
        return Err(SecretFileError::Unfit { what, path: path.to_owned(), words });
    }
    Ok(Zeroizing::new(fs::read(path).map_err(unreadable)?))
}

/// Bytes beyond 32 are ignored; there are none.
fn boxed(bytes: &[u8]) -> SecretBox<[u8; KEY_BYTES]> {
    SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| {
        key.zeroize();
        for (to, from) in key.iter_mut().zip(bytes) {
            *to = *from;
        }
    })
}

/// Two hexadecimal digits.
fn byte(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |sum, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit.to_ascii_lowercase() - b'a' + 10,
        };
        sum << 4 | value
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::Engine as _;
    use secrecy::ExposeSecret as _;

    use super::{SecretFileError, master_key, worker_token};

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn key(content: &[u8]) -> Result<[u8; 32], SecretFileError> {
        master_key(file(content).path()).map(|key| *key.expose_secret())
    }

    fn raw() -> [u8; 32] {
        std::array::from_fn(|at| u8::try_from(at * 7 + 3).unwrap())
    }

    #[test]
    fn master_key_may_be_base64_hexadecimal_or_raw() {
        let base64 = base64::engine::general_purpose::STANDARD.encode(raw());
        assert_eq!(key(format!("{base64}\n").as_bytes()).unwrap(), raw());
        assert_eq!(key(base64.trim_end_matches('=').as_bytes()).unwrap(), raw());
        let hex = raw().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(key(hex.as_bytes()).unwrap(), raw());
        assert_eq!(key(format!("{}\n", hex.to_uppercase()).as_bytes()).unwrap(), raw());
        assert_eq!(key(&raw()).unwrap(), raw());
    }

    #[test]
    fn short_or_broken_master_key_is_refused_with_the_way_to_make_one_and_without_itself() {
        for content in
            [&b""[..], b"aGVsbG8=", b"00112233445566778899aabbccddeeff", b"no key at all!"]
        {
            let err = key(content).unwrap_err().to_string();
            assert!(err.contains("openssl rand -base64 32 >"), "{err}");
            let text = String::from_utf8_lossy(content);
            assert!(content.is_empty() || !err.contains(&*text), "{err}");
        }
        let missing = master_key(std::path::Path::new("/nowhere/key")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/key") && missing.contains("openssl"), "{missing}");
    }

    #[test]
    fn worker_token_has_sixteen_characters_that_fit_into_a_header() {
        assert_eq!(
            worker_token(file(b"0123456789abcdef\n").path()).unwrap().expose_secret(),
            "0123456789abcdef"
        );
        for content in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdefé"] {
            let err = worker_token(file(content.as_bytes()).path()).unwrap_err().to_string();
            assert!(err.contains("openssl") && !err.contains(content), "{err}");
        }
    }
}
