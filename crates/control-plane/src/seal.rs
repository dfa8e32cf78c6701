use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use ring::digest::{Context, SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use segue_model::{ConnectionId, LookId, Pii};
use segue_store::write::connections::SealedKey;
use zeroize::Zeroizing;

/// Bytes before the sealed text.
const NONCE: usize = 24;

/// Seals the keys of connections, so that whoever reads the database learns none: XChaCha20-Poly1305 under the
/// master key, with a random nonce. A sealed key opens only as that of the connection it was sealed for.
///
/// After the master key was changed, the one before it still opens what it has sealed.
pub struct Sealer {
    own: Master,
    old: Option<Master>,
}

struct Master {
    cipher: XChaCha20Poly1305,
    id: String,
}

impl Master {
    fn new(key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.into()), id: id_of(key) }
    }
}

/// Why a key was not sealed or opened. No text holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "the key was sealed by the master key {sealed_by}, and the control-plane has {own}: start it with \
         the former as old_master_key_file, or give the connection its key once more"
    )]
    OtherMasterKey { sealed_by: String, own: String },
    #[error(
        "the sealed key does not open: the row was damaged, or copied from another connection; make the \
         connection anew"
    )]
    Damaged,
    #[error("the system gives no random numbers")]
    Random,
}

impl Sealer {
    /// `master_key`: 32 random bytes. The caller wipes its copy; this one is wiped when it is dropped.
    pub fn new(master_key: &[u8; 32]) -> Self {
        Self { own: Master::new(master_key), old: None }
    }

    /// `old`: opens what it has sealed, and seals nothing.
    #[must_use]
    pub fn with_old(self, old: &[u8; 32]) -> Self {
        Self { old: Some(Master::new(old)), ..self }
    }

    /// A name for the master key that does not give it away: 8 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.own.id
    }

    pub fn seal(
        &self,
        connection: ConnectionId,
        key: &SecretString,
    ) -> Result<SealedKey, SealError> {
        self.seal_as(&bound_to(connection, &self.own.id), key.expose_secret())
    }

    /// Seals what a worker has found for somebody who waits: it opens only as the answer to that look.
    pub(crate) fn seal_answer(
        &self,
        look: LookId,
        answer: &Pii<String>,
    ) -> Result<SealedKey, SealError> {
        self.seal_as(&answers(look, &self.own.id), answer.expose())
    }

    pub(crate) fn open_answer(
        &self,
        look: LookId,
        answer: &SealedKey,
    ) -> Result<Pii<String>, SealError> {
        let plain = self.open_as(answer, |master| answers(look, master))?;
        std::str::from_utf8(&plain)
            .map(|it| Pii::new(it.to_owned()))
            .map_err(|_| SealError::Damaged)
    }

    fn seal_as(&self, aad: &str, plain: &str) -> Result<SealedKey, SealError> {
        let nonce = XNonce::try_generate().map_err(|_| SealError::Random)?;
        let Master { cipher, id } = &self.own;
        let payload = Payload { msg: plain.as_bytes(), aad: aad.as_bytes() };
        let text = cipher.encrypt(&nonce, payload).map_err(|_| SealError::Damaged)?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&text);
        Ok(SealedKey { sealed: BASE64.encode(sealed), master_key: id.clone() })
    }

    pub fn open(
        &self,
        connection: ConnectionId,
        key: &SealedKey,
    ) -> Result<SecretString, SealError> {
        let plain = self.open_as(key, |master| bound_to(connection, master))?;
        // Exactly as long as it is, so that no copy is left behind.
        std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| SealError::Damaged)
    }

    fn open_as(
        &self,
        key: &SealedKey,
        aad: impl Fn(&str) -> String,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut masters = std::iter::once(&self.own).chain(&self.old);
        let Some(Master { cipher, id }) = masters.find(|it| it.id == key.master_key) else {
            let (sealed_by, own) = (key.master_key.clone(), self.own.id.clone());
            return Err(SealError::OtherMasterKey { sealed_by, own });
        };
        let sealed = BASE64.decode(&key.sealed).map_err(|_| SealError::Damaged)?;
        let (nonce, text) = sealed.split_at_checked(NONCE).ok_or(SealError::Damaged)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Damaged)?;
        let aad = aad(id);
        let payload = Payload { msg: text, aad: aad.as_bytes() };
        let plain = cipher.decrypt(&nonce, payload).map_err(|_| SealError::Damaged)?;
        Ok(Zeroizing::new(plain))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("id", &self.own.id).finish_non_exhaustive()
    }
}

fn bound_to(connection: ConnectionId, master_key: &str) -> String {
    format!("segue connection key 1 {connection} {master_key}")
}

fn answers(look: LookId, master_key: &str) -> String {
    format!("segue look answer 1 {look} {master_key}")
}

fn id_of(master_key: &[u8; 32]) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(b"segue master key id");
    digest.update(master_key);
    let mut id = hex(digest.finish().as_ref());
    id.truncate(8);
    id
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A name for an API key that does not give it away.
pub(crate) fn fingerprint(key: &SecretString) -> String {
    let digest = ring::digest::digest(&SHA256, key.expose_secret().as_bytes());
    hex(&digest.as_ref()[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::{ExposeSecret as _, SecretString};
    use segue_model::{ConnectionId, Id};
    use segue_store::write::connections::SealedKey;
    use uuid::Uuid;

    use base64::Engine as _;

    use super::{BASE64, SealError, Sealer};

    fn connection(n: u128) -> ConnectionId {
        Id::from_uuid(Uuid::from_u128(n))
    }

    fn key() -> SecretString {
        SecretString::from("pk_not_a_real_key")
    }

    #[test]
    fn sealed_key_opens_for_its_connection_only() {
        let sealer = Sealer::new(&[7; 32]);
        let kept = sealer.seal(connection(1), &key()).unwrap();
        let opened = sealer.open(connection(1), &kept).unwrap();
        assert_eq!(opened.expose_secret(), key().expose_secret());
        assert_eq!(sealer.open(connection(2), &kept).unwrap_err(), SealError::Damaged);
    }

    #[test]
    fn the_same_key_is_sealed_differently_each_time() {
        let sealer = Sealer::new(&[7; 32]);
        let [one, two] = [(); 2].map(|()| sealer.seal(connection(1), &key()).unwrap());
        assert_ne!(one.sealed, two.sealed);
    }

    #[test]
    fn another_master_key_is_named_and_not_shown() {
        let kept = Sealer::new(&[7; 32]).seal(connection(1), &key()).unwrap();
        let other = Sealer::new(&[8; 32]);
        let err = other.open(connection(1), &kept).unwrap_err();
        let words = err.to_string();
        assert!(words.contains(&kept.master_key) && words.contains(other.id()), "{words}");
        // Whoever renames the row gets no further.
        let forged = SealedKey { master_key: other.id().to_owned(), ..kept };
        assert_eq!(other.open(connection(1), &forged).unwrap_err(), SealError::Damaged);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let sealer = Sealer::new(b"0123456789abcdef0123456789abcdef");
        let kept = sealer.seal(connection(1), &key()).unwrap();
        let printed = format!("{sealer:?} {kept:?} {:?}", sealer.open(connection(1), &kept));
        for secret in ["pk_not", "0123456789", &BASE64.encode("pk_not_a_real_key")] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    proptest! {
        #[test]
        fn damage_of_any_byte_is_noticed(at in 0_usize..57, bit in 0_u8..8) {
            let sealer = Sealer::new(&[7; 32]);
            let mut kept = sealer.seal(connection(1), &key()).unwrap();
            let mut bytes = BASE64.decode(&kept.sealed).unwrap();
            prop_assert_eq!(bytes.len(), 57);
            bytes[at] ^= 1 << bit;
            kept.sealed = BASE64.encode(bytes);
            prop_assert_eq!(sealer.open(connection(1), &kept).unwrap_err(), SealError::Damaged);
        }

        #[test]
        fn what_was_never_sealed_does_not_open(text in ".{0,80}") {
            let sealer = Sealer::new(&[7; 32]);
            let kept = SealedKey { sealed: text, master_key: sealer.id().to_owned() };
            prop_assert_eq!(sealer.open(connection(1), &kept).unwrap_err(), SealError::Damaged);
        }
    }
}
