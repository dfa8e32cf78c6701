//! Messages that carry a secret: they print a marker, and what is left of them in memory is wiped.

use std::fmt;

use zeroize::Zeroize as _;

use crate::v1;

const MARKER: &str = "[secret]";

impl fmt::Debug for v1::Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id, key: _ } = self;
        f.debug_struct("Credentials").field("account_id", account_id).field("key", &MARKER).finish()
    }
}

impl Drop for v1::Credentials {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for v1::Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            display_name,
            api_key,
            account_id,
            account_name,
            consent,
            created_at,
            sharing,
            problem,
            checked_at,
            key_reference,
        } = self;
        f.debug_struct("Connection")
            .field("id", id)
            .field("display_name", display_name)
            .field("api_key", if api_key.is_empty() { &"" } else { &MARKER })
            .field("account_id", account_id)
            .field("account_name", account_name)
            .field("consent", consent)
            .field("created_at", created_at)
            .field("sharing", sharing)
            .field("problem", problem)
            .field("checked_at", checked_at)
            .field("key_reference", key_reference)
            .finish()
    }
}

impl fmt::Debug for v1::CreateTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, secret: _ } = self;
        f.debug_struct("CreateTokenResponse")
            .field("token", token)
            .field("secret", &MARKER)
            .finish()
    }
}

impl Drop for v1::CreateTokenResponse {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use crate::v1;

    #[test]
    fn keys_are_not_printed() {
        let key = "pk_do_not_print";
        let credentials = v1::Credentials { account_id: "AbC123".into(), key: key.into() };
        let claimed = v1::ClaimResponse {
            claimed: Some(v1::ClaimedJob {
                claim_id: String::new(),
                work: Some(v1::claimed_job::Work::Upload(v1::UploadWork {
                    credentials: Some(credentials),
                    ..v1::UploadWork::default()
                })),
            }),
        };
        let connection = v1::Connection { api_key: key.into(), ..v1::Connection::default() };
        let create =
            v1::CreateConnectionRequest { connection: Some(connection), request_id: String::new() };
        let token = v1::CreateTokenResponse { token: None, secret: key.into() };
        for printed in [format!("{claimed:?}"), format!("{create:#?}"), format!("{token:?}")] {
            assert!(!printed.contains(key) && printed.contains("[secret]"), "{printed}");
        }
    }
}
