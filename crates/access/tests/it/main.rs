//! Tokens of an issuer that is kind, mean, slow, changed or gone; and a rule for each RPC.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail tests by panicking")]

mod http;
mod issuer;
mod jwt_claims;
mod jwt_signatures;
mod keys;
mod refresh;
mod rules;
