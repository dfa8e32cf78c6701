//! A row becomes a valid Klaviyo profile, or a reject that says why.
//!
//! [`plan`] decides once, from the header and a [`Sample`] of rows, what each column becomes: a
//! [`Mapping`], which a run freezes. A [`Mapper`] then turns rows into JSON, one after the other.
//!
//! A row is rejected only for its email address, for an external id that is too long, or for its
//! size. Any other value that Klaviyo would refuse is left out with a [`Warning`]: the person goes.
//!
//! ```
//! use segue_model::Cell::Text;
//! use segue_profile::{MapOptions, Mapper, Sample, plan};
//!
//! let columns = ["E-Mail", "tier", "orders"].map(str::to_owned);
//! let row = [Text("Ann@Example.com"), Text("gold"), Text("3")];
//!
//! let mut sample = Sample::new(columns.len(), false);
//! sample.see(&row[..]);
//! let mapping = plan(&columns, &sample, &MapOptions::default())?;
//!
//! let mut out = Vec::new();
//! Mapper::new(&mapping, &columns)?.map(&row[..], &mut out).expect("a valid address");
//! assert_eq!(
//!     std::str::from_utf8(&out)?,
//!     r#"{"type":"profile","attributes":{"email":"ann@example.com","properties":{"tier":"gold","orders":3}}}"#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariant:** pure. No I/O, no clock, no logging; the same mapping and row give the same bytes.

mod attribute;
mod columns;
mod country;
mod email;
mod error;
mod json;
mod key;
mod mapper;
mod mapping;
mod phone;
mod place;
mod plan;
mod rule;
mod sample;
mod scalar;
mod stats;
mod text;
mod value;

pub use attribute::{Attribute, Target};
pub use columns::{KnownColumns, columns_page};
pub use country::{Country, UnknownCountry};
pub use email::{InvalidEmail, MAX_EMAIL_CHARS, identity_of};
pub use error::{InvalidRule, MappingError, Names};
pub use mapper::{MAX_EXTERNAL_ID_CHARS, Mapper, Profile, Reject};
pub use mapping::{Entry, Mapping, PropertyType, UnknownType, Warning};
pub use plan::{MapOptions, Properties, plan};
pub use rule::MapRule;
pub use sample::{SAMPLE_ROWS, Sample};
pub use stats::{FieldCount, FieldStats};
