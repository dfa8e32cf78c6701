use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::SecretString;
use segue_model::Micros;
use uuid::Builder;
use zeroize::Zeroizing;

use super::{
    TokenHash, TokenId,
    id::{self, push},
};

/// Of every API token, so that a leaked one is recognised: by people, and by programs that look for such.
const PREFIX: &str = "segue_";
/// Two numbers of 128 bits, each in base 62.
const SECRET_LEN: usize = 2 * id::LEN;

/// The part of a token that proves it. Wiped when it is dropped; formatting prints a marker.
pub type TokenSecret = SecretString;

/// A token that was just made. This is the one time that its text is to be had.
pub struct NewToken {
    pub id: TokenId,
    /// `segue_<id>_<secret>`, 73 letters, digits and underscores.
    pub text: SecretString,
    /// For the store.
    pub hash: TokenHash,
}

/// A token that somebody presents, in parts: well-formed, and proven by nothing yet.
#[derive(Clone)]
pub struct TokenText {
    pub id: TokenId,
    pub secret: TokenSecret,
}

/// Text that is no API token. Holds nothing of it, since most of what lands here is a token with a typo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API token: those are segue_<id>_<secret>, copied whole")]
pub struct InvalidToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

/// Whether this claims to be an API token, rather than a JSON web token.
pub fn is_api_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl NewToken {
    /// A token of 256 random bits. `now` is part of its id, and so not secret.
    pub fn generate(now: Micros) -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0_u8; 42]);
        SystemRandom::new().fill(&mut random[..]).map_err(|_| NoRandomness)?;
        let (for_id, halves) = random.split_at(10);
        let mut unique = [0; 10];
        unique.copy_from_slice(for_id);
        let millis = u64::try_from(now.0 / 1000).unwrap_or(0);
        let id =
            TokenId::from_uuid(Builder::from_unix_timestamp_millis(millis, &unique).into_uuid());
        let mut secret = Zeroizing::new(String::with_capacity(SECRET_LEN));
        let (halves, _) = halves.as_chunks::<16>();
        for half in halves {
            push(&mut secret, u128::from_be_bytes(*half));
        }
        let hash = TokenHash::of(&TokenSecret::from(secret.as_str()));
        let text = Zeroizing::new(format!("{PREFIX}{id}_{}", secret.as_str()));
        // Exactly as long as it is, so that no copy is left behind.
        Ok(Self { id, text: SecretString::from(text.as_str()), hash })
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenText {
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidToken)?;
        let (id, secret) = rest.split_once('_').ok_or(InvalidToken)?;
        let id = id.parse().map_err(|_| InvalidToken)?;
        if secret.len() != SECRET_LEN || !secret.bytes().all(|it| it.is_ascii_alphanumeric()) {
            return Err(InvalidToken);
        }
        Ok(Self { id, secret: TokenSecret::from(secret) })
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenText").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;
    use segue_model::Micros;

    use super::{InvalidToken, NewToken, TokenText, is_api_token};

    const NOW: Micros = Micros(1_790_000_000_123_456);

    #[test]
    fn a_new_token_parses_and_its_hash_knows_the_secret() {
        let new = NewToken::generate(NOW).unwrap();
        let text = new.text.expose_secret();
        assert!(text.len() == 73 && is_api_token(text), "{}", text.len());
        let parsed = TokenText::parse(text).unwrap();
        assert_eq!(parsed.id, new.id);
        assert!(new.hash.matches(&parsed.secret));
    }

    #[test]
    fn the_id_tells_the_time_and_no_two_tokens_share_anything_else() {
        let [one, two] = [(); 2].map(|()| NewToken::generate(NOW).unwrap());
        let (seconds, nanos) = one.id.uuid().get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanos / 1_000_000), (1_790_000_000, 123));
        assert!(one.id != two.id && one.hash != two.hash);
        let halves = |it: &NewToken| {
            let parsed = TokenText::parse(it.text.expose_secret()).unwrap();
            let (one, two) = parsed.secret.expose_secret().split_at(22);
            [one.to_owned(), two.to_owned()]
        };
        let mut halves = [halves(&one), halves(&two)].concat();
        halves.sort();
        halves.dedup();
        assert_eq!(halves.len(), 4);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let new = NewToken::generate(NOW).unwrap();
        let parsed = TokenText::parse(new.text.expose_secret()).unwrap();
        let secret = parsed.secret.expose_secret();
        let printed = format!("{new:?} {parsed:?} {:?}", new.text);
        assert!(!printed.contains(secret) && printed.contains(&new.id.to_string()));
        // The likeliest mistake: a token that lost its end.
        let cut = &new.text.expose_secret()[..72];
        let err = TokenText::parse(cut).unwrap_err();
        assert!(!format!("{err} {err:?}").contains(&secret[..8]));
    }

    proptest! {
        #[test]
        fn tokens_read_back(id in "[0-6][0-9A-Za-z]{21}", secret in "[0-9A-Za-z]{44}") {
            let parsed = TokenText::parse(&format!("segue_{id}_{secret}")).unwrap();
            prop_assert_eq!(parsed.id.to_string(), id);
            prop_assert_eq!(parsed.secret.expose_secret(), secret);
        }

        #[test]
        fn a_damaged_token_is_refused(at in 0_usize..73, by in "[^0-9A-Za-z]|") {
            let new = NewToken::generate(NOW).unwrap();
            let mut text = new.text.expose_secret().to_owned();
            prop_assume!(text[at..=at] != by);
            text.replace_range(at..=at, &by);
            prop_assert_eq!(TokenText::parse(&text).unwrap_err(), InvalidToken);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(segue_)?.{0,80}") {
            if let Ok(parsed) = TokenText::parse(&text) {
                let again = format!("segue_{}_{}", parsed.id, parsed.secret.expose_secret());
                prop_assert_eq!(again, text);
            }
        }
    }
}
