//! The contract with the outside and between services: generated code, and conversions to and from
//! `segue-model`. Nothing else.

mod invalid;
mod run;
mod secret;
pub mod work;

pub use invalid::{Invalid, duration, parsed};
pub use run::timestamp;

/// `segue.v1`, as generated.
#[expect(clippy::pedantic, clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("segue.v1");
}

/// All files of `segue.v1` as an encoded `FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/segue.descriptors"));
