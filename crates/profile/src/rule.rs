use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{InvalidRule, PropertyType, Target};

/// A mapping that the user gave: `location.city=town`, `properties.tier=loyalty` or, with a type,
/// `properties.tier:text=loyalty`.
///
/// The first `=` ends the attribute; a column may contain more of them. A property whose own name
/// ends in `:text` needs its type written out: `properties.odd:text:text=column`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MapRule {
    pub(crate) target: Target,
    pub(crate) column: String,
    pub(crate) kind: Option<PropertyType>,
}

impl FromStr for MapRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let (target, column) = text.split_once('=').ok_or(InvalidRule::Form)?;
        if column.is_empty() {
            return Err(InvalidRule::Form);
        }
        let typed =
            target.rsplit_once(':').and_then(|(name, kind)| Some((name, kind.parse().ok()?)));
        let (target, kind) = match typed {
            Some((name, kind)) => (name.parse()?, Some(kind)),
            None => (target.parse()?, None),
        };
        match (&target, kind) {
            (Target::Attribute(attribute), Some(_)) => {
                Err(InvalidRule::TypeOfAttribute { attribute: *attribute })
            }
            _ => Ok(Self { target, column: column.to_owned(), kind }),
        }
    }
}

/// As it is written by hand; it reads back as the same rule.
impl fmt::Display for MapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, column, kind } = self;
        match kind {
            Some(kind) => write!(f, "{target}:{kind}={column}"),
            None => write!(f, "{target}={column}"),
        }
    }
}

impl From<MapRule> for String {
    fn from(rule: MapRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for MapRule {
    type Error = InvalidRule;
    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::MapRule;
    use crate::{Attribute, InvalidRule, PropertyType, Target};

    fn rule(text: &str) -> Result<MapRule, InvalidRule> {
        text.parse()
    }

    #[test]
    fn the_first_equals_sign_ends_the_attribute() {
        let rule = rule("properties.x=a=b").unwrap();
        assert_eq!((rule.target, rule.column.as_str()), (Target::Property("x".into()), "a=b"));
    }

    #[test]
    fn a_property_may_name_its_type() {
        let typed = rule("properties.tier:text=loyalty").unwrap();
        assert_eq!(typed.target, Target::Property("tier".into()));
        assert_eq!(typed.kind, Some(PropertyType::Text));
        let colon = rule("properties.utm:source=s").unwrap();
        assert_eq!((colon.target, colon.kind), (Target::Property("utm:source".into()), None));
    }

    #[test]
    fn a_rule_reads_back_from_its_text() {
        for text in
            ["location.city=town", "properties.tier:text=loyalty", "properties.odd:text:text=a=b"]
        {
            assert_eq!(rule(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_unknown_attribute_is_told_with_those_that_there_are() {
        let text = rule("town=x").unwrap_err().to_string();
        assert!(
            text.starts_with("unknown attribute \"town\"; the attributes are: email, "),
            "{text}"
        );
        for attribute in Attribute::ALL {
            assert!(text.contains(&format!(" {attribute}, ")), "{attribute} is not in {text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_reason() {
        assert_eq!(rule("email"), Err(InvalidRule::Form));
        assert_eq!(rule("email="), Err(InvalidRule::Form));
        assert_eq!(rule("properties.=x"), Err(InvalidRule::PropertyUnnamed));
        assert!(matches!(rule("properties.$x=x"), Err(InvalidRule::PropertyReserved { .. })));
        assert!(matches!(rule("town=x"), Err(InvalidRule::UnknownAttribute { .. })));
        let attribute = Attribute::Zip;
        assert_eq!(rule("location.zip:text=x"), Err(InvalidRule::TypeOfAttribute { attribute }));
    }
}
