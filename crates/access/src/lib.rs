//! Who may do what: [`Role`]s, the API tokens that Segue gives out, the identities that others vouch for
//! (`OpenID Connect`), and the role that each RPC needs.
//!
//! **Invariant:** a token is in no `Debug`, `Display` or log line, and neither is what people are called. What
//! a stranger learns from a refusal is what the contract says anyway.
//!
//! **Invariant:** the time is an argument.
//!
//! JSON web tokens are verified here, on `ring`, because `jsonwebtoken` takes a verifier that is not one of its
//! own (aws-lc, or `rsa` with RUSTSEC-2023-0071) only as state of the whole process, and its versions on `ring`
//! take a claim of the wrong type for an absent one (CVE-2026-25537). What would be left to it is splitting a
//! text at two dots: keys, `kid`, clock and claims have rules of our own anyway.

mod denied;
pub mod oidc;
mod principal;
mod role;
pub mod rules;
pub mod token;

pub use denied::{Class, Denied};
pub use principal::{Identity, InvalidSubject, Part, Principal, Subject};
pub use role::{Role, UnknownRole};
pub use rules::Rule;
