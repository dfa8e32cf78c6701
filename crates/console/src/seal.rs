use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Generate as _, Payload},
};
use secrecy::{ExposeSecret as _, SecretBox};
use zeroize::Zeroizing;

/// Bytes before the sealed text.
const NONCE: usize = 24;

/// What a sealed text is for. One that was sealed for something else does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The cookie of somebody who is signed in.
    Session,
    /// The cookie of somebody who looks at the page for signing in.
    Visitor,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"segue console session 1",
            Self::Visitor => b"segue console visitor 1",
        }
    }
}

/// Seals what browsers keep for the console: XChaCha20-Poly1305 with a random nonce.
pub(crate) struct Sealer(XChaCha20Poly1305);

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

impl Sealer {
    /// `key`: 32 random bytes; `None`: a key that nobody else has and that is gone with the process.
    pub(crate) fn new(key: Option<&SecretBox<[u8; 32]>>) -> Result<Self, NoRandomness> {
        let cipher = match key {
            Some(key) => XChaCha20Poly1305::new(key.expose_secret().into()),
            None => XChaCha20Poly1305::new(&Key::try_generate().map_err(|_| NoRandomness)?),
        };
        Ok(Self(cipher))
    }

    /// Text of letters, digits, `-` and `_`, four for each three bytes of `text` and of 40 more.
    pub(crate) fn seal(&self, purpose: Purpose, text: &str) -> Result<String, NoRandomness> {
        let nonce = XNonce::try_generate().map_err(|_| NoRandomness)?;
        let payload = Payload { msg: text.as_bytes(), aad: purpose.label() };
        // It fails only for texts of many gigabytes.
        let text = self.0.encrypt(&nonce, payload).map_err(|_| NoRandomness)?;
        Ok(BASE64.encode([nonce.as_slice(), &text].concat()))
    }

    /// `None`: it was not sealed here, or for something else, or it was damaged.
    pub(crate) fn open(&self, purpose: Purpose, sealed: &str) -> Option<Zeroizing<String>> {
        let sealed = BASE64.decode(sealed).ok()?;
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        let nonce = XNonce::try_from(nonce).ok()?;
        let payload = Payload { msg: text, aad: purpose.label() };
        let plain = self.0.decrypt(&nonce, payload).ok()?;
        String::from_utf8(plain).ok().map(Zeroizing::new)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::{Purpose, Sealer};

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(Some(&SecretBox::new(Box::new([byte; 32])))).unwrap()
    }

    #[test]
    fn sealed_text_opens_for_its_purpose_and_by_its_key_only() {
        let sealed = sealer(7).seal(Purpose::Session, "segue_a_b").unwrap();
        assert_eq!(**sealer(7).open(Purpose::Session, &sealed).unwrap(), *"segue_a_b");
        assert!(sealer(7).open(Purpose::Visitor, &sealed).is_none());
        assert!(sealer(8).open(Purpose::Session, &sealed).is_none());
        assert!(!sealed.contains("segue"));
        let again = sealer(7).seal(Purpose::Session, "segue_a_b").unwrap();
        assert_ne!(sealed, again, "the nonce is random");
    }

    #[test]
    fn damage_of_any_character_is_noticed() {
        let sealed = sealer(7).seal(Purpose::Session, "segue_a_b").unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert!(sealer(7).open(Purpose::Session, &damaged).is_none(), "{at}");
        }
        for text in ["", "A", "é", "====", &"A".repeat(31)] {
            assert!(sealer(7).open(Purpose::Session, text).is_none(), "{text}");
        }
    }

    #[test]
    fn without_a_key_two_consoles_do_not_know_each_other() {
        let [one, other] = [(); 2].map(|()| Sealer::new(None).unwrap());
        let sealed = one.seal(Purpose::Session, "x").unwrap();
        assert!(one.open(Purpose::Session, &sealed).is_some());
        assert!(other.open(Purpose::Session, &sealed).is_none());
    }
}
