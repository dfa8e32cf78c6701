use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::InvalidRule;

macro_rules! attributes {
    ($($variant:ident $name:literal $kind:literal;)*) => {
        /// A standard attribute of a Klaviyo profile, in the order in which a profile carries them.
        ///
        /// These are all that a bulk import takes (`ProfileUpsertQueryResourceObject` in Klaviyo's
        /// OpenAPI file, revision 2026-07-15), save `_kx`, which only Klaviyo's web tracking makes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Attribute { $(#[doc = concat!("`", $name, "`")] $variant,)* }

        impl Attribute {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as `--map` and reports write it; `location.` marks the nested ones.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What its values must be, in words.
            pub fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }
        }
    };
}

attributes! {
    Email "email" "email address";
    PhoneNumber "phone_number" "E.164 number";
    ExternalId "external_id" "text";
    FirstName "first_name" "text";
    LastName "last_name" "text";
    Organization "organization" "text";
    Locale "locale" "BCP 47 tag";
    Title "title" "text";
    Image "image" "text";
    Address1 "location.address1" "text";
    Address2 "location.address2" "text";
    City "location.city" "text";
    Country "location.country" "text";
    Latitude "location.latitude" "degrees";
    Longitude "location.longitude" "degrees";
    Region "location.region" "text";
    Zip "location.zip" "text";
    Timezone "location.timezone" "IANA time zone";
    Ip "location.ip" "IP address";
}

const LOCATION: &str = "location.";
const PROPERTIES: &str = "properties.";

impl Attribute {
    /// The key inside `attributes` or, for a place, inside `attributes.location`.
    pub(crate) fn key(self) -> &'static str {
        self.name().strip_prefix(LOCATION).unwrap_or(self.name())
    }

    pub(crate) fn is_location(self) -> bool {
        self.name().starts_with(LOCATION)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a column becomes. The text form is `email`, `location.city` or `properties.<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    Attribute(Attribute),
    /// A custom property with this name, which is not empty and does not begin with `$`: Klaviyo
    /// keeps those names for itself.
    Property(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(attribute) => f.write_str(attribute.name()),
            Self::Property(name) => write!(f, "{PROPERTIES}{name}"),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        match text.strip_prefix(PROPERTIES) {
            Some("") => Err(InvalidRule::PropertyUnnamed),
            Some(name) if name.starts_with('$') => {
                Err(InvalidRule::PropertyReserved { name: name.to_owned() })
            }
            Some(name) => Ok(Self::Property(name.to_owned())),
            None => Attribute::ALL
                .iter()
                .find(|attribute| attribute.name() == text)
                .map(|attribute| Self::Attribute(*attribute))
                .ok_or_else(|| InvalidRule::UnknownAttribute { name: text.to_owned() }),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidRule;
    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}
