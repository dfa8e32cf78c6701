//! How an update changes what is known.

use serde_json::{Map, Value};

use super::{Identity, Number, Profiles, Resolution};
use crate::clock::Millis;

/// What null does to a field. Source: Klaviyo's guide to the bulk import, "only non-null values
/// will be updated"; the single endpoints clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    Ignored,
    Clear,
}

/// One profile as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upsert<'a> {
    pub(crate) identity: Identity<'a>,
    /// A JSON object.
    pub(crate) attributes: &'a str,
    /// A JSON object with `patch_properties`.
    pub(crate) meta: Option<&'a str>,
    pub(crate) nulls: Nulls,
}

/// What an upsert did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upserted {
    Created(Number),
    Updated(Number),
    /// Nothing: another profile has one of the identifiers.
    Conflict(Number),
}

impl Profiles {
    pub(crate) fn upsert(&mut self, upsert: &Upsert<'_>, now: Millis) -> Upserted {
        match self.resolve(&upsert.identity) {
            Resolution::Conflict(other) => Upserted::Conflict(other),
            Resolution::Known(number) => {
                self.update(number, upsert, now);
                Upserted::Updated(number)
            }
            Resolution::New => {
                let number = self.insert(&upsert.identity, upsert.attributes, now);
                if upsert.meta.is_some() && self.keeps_attributes() {
                    self.merge(number, "{}", upsert, now);
                }
                Upserted::Created(number)
            }
        }
    }

    /// Changes the profile whatever identifiers say; those of others are left to them.
    pub(crate) fn update(&mut self, number: Number, upsert: &Upsert<'_>, now: Millis) {
        self.identify(number, &upsert.identity);
        let repeats = self.attributes(number) == Some(upsert.attributes);
        if self.keeps_attributes() && !(repeats && upsert.meta.is_none()) {
            self.merge(number, upsert.attributes, upsert, now);
        }
    }

    fn merge(&mut self, number: Number, attributes: &str, upsert: &Upsert<'_>, now: Millis) {
        let mut known = object(self.attributes(number).unwrap_or("{}"));
        merge(&mut known, object(attributes), upsert.nulls);
        if let Some(meta) = upsert.meta {
            patch_properties(&mut known, &object(meta));
        }
        self.set_attributes(number, &Value::Object(known).to_string(), now);
    }
}

/// Empty for anything but an object: the grammar was checked before, ranges of numbers were not.
pub(crate) fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// `properties` and `location` are merged member by member, everything else is replaced.
fn merge(known: &mut Map<String, Value>, new: Map<String, Value>, nulls: Nulls) {
    for (name, value) in new {
        match (known.get_mut(&name), value) {
            (_, Value::Null) => {
                if nulls == Nulls::Clear {
                    known.remove(&name);
                }
            }
            (Some(Value::Object(known)), Value::Object(new))
                if matches!(name.as_str(), "properties" | "location") =>
            {
                merge_members(known, new, nulls);
            }
            (_, value) => {
                known.insert(name, value);
            }
        }
    }
}

fn merge_members(known: &mut Map<String, Value>, new: Map<String, Value>, nulls: Nulls) {
    for (name, value) in new {
        if !value.is_null() {
            known.insert(name, value);
        } else if nulls == Nulls::Clear {
            known.remove(&name);
        }
    }
}

/// `append` and `unappend` change lists, `unset` removes properties.
fn patch_properties(known: &mut Map<String, Value>, meta: &Map<String, Value>) {
    let Some(Value::Object(patch)) = meta.get("patch_properties") else { return };
    let properties = known.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(properties) = properties else { return };
    for (name, value) in members(patch, "append") {
        let list = properties.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if !list.is_array() {
            *list = Value::Array(vec![list.take()]);
        }
        if let Value::Array(list) = list {
            list.extend(each(value).filter(|value| !value.is_null()).cloned());
        }
    }
    for (name, value) in members(patch, "unappend") {
        if let Some(Value::Array(list)) = properties.get_mut(name) {
            list.retain(|item| !each(value).any(|gone| gone == item));
        }
    }
    for name in patch.get("unset").into_iter().flat_map(each).filter_map(Value::as_str) {
        properties.remove(name);
    }
}

fn members<'a>(
    patch: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    patch.get(name).and_then(Value::as_object).into_iter().flatten()
}

/// The items of a list, or the one value that is no list.
fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice).iter()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Nulls, Upsert, Upserted};
    use crate::{
        EmailCase, Identifier, IdentifierConflict, Unknowns,
        profiles::{Identity, Profiles},
    };

    fn profiles() -> Profiles {
        Profiles::new(0, &Unknowns::default(), false)
    }

    fn upsert(profiles: &mut Profiles, attributes: &Value, meta: &Value) -> Upserted {
        let text = |name: &str| attributes.get(name).and_then(Value::as_str);
        let identity = Identity {
            id: None,
            email: text("email"),
            phone_number: text("phone_number"),
            external_id: text("external_id"),
        };
        let (attributes, meta) = (attributes.to_string(), meta.to_string());
        let upsert = Upsert {
            identity,
            attributes: &attributes,
            meta: Some(&meta).filter(|meta| **meta != "null").map(String::as_str),
            nulls: Nulls::Ignored,
        };
        profiles.upsert(&upsert, 1)
    }

    fn kept(profiles: &Profiles, number: u32) -> Value {
        serde_json::from_str(profiles.attributes(number).unwrap()).unwrap()
    }

    #[test]
    fn null_does_not_clear_and_properties_merge() {
        let mut profiles = profiles();
        let first =
            json!({"email": "a@example.com", "title": "Dr", "properties": {"x": 1, "y": 2}});
        assert_eq!(upsert(&mut profiles, &first, &Value::Null), Upserted::Created(0));
        let second = json!({"email": "a@example.com", "title": null, "first_name": "Ann",
                            "properties": {"x": null, "y": 3, "z": 4}});
        assert_eq!(upsert(&mut profiles, &second, &Value::Null), Upserted::Updated(0));
        let merged = json!({"email": "a@example.com", "title": "Dr", "first_name": "Ann",
                            "properties": {"x": 1, "y": 3, "z": 4}});
        assert_eq!(kept(&profiles, 0), merged);
    }

    #[test]
    fn patch_properties_appends_unappends_and_unsets() {
        let mut profiles = profiles();
        let person = json!({"email": "a@example.com",
                            "properties": {"tags": ["a", "b"], "old": 1, "one": 1}});
        let meta = json!({"patch_properties": {
            "append": {"tags": "c", "one": [2]}, "unappend": {"tags": "a"}, "unset": ["old"]}});
        upsert(&mut profiles, &person, &meta);
        assert_eq!(kept(&profiles, 0)["properties"], json!({"tags": ["b", "c"], "one": [1, 2]}));
    }

    #[test]
    fn letter_case_of_an_address_decides_only_when_it_is_kept() {
        for (email_case, second) in
            [(EmailCase::Folded, Upserted::Updated(0)), (EmailCase::Kept, Upserted::Created(1))]
        {
            let unknowns = Unknowns { email_case, ..Unknowns::default() };
            let mut profiles = Profiles::new(0, &unknowns, false);
            upsert(&mut profiles, &json!({"email": "Ann@example.com"}), &Value::Null);
            let again = upsert(&mut profiles, &json!({"email": "ann@example.com"}), &Value::Null);
            assert_eq!(again, second);
        }
    }

    #[test]
    fn identifiers_of_two_profiles_conflict_or_the_first_wins() {
        for (identifier_conflict, expected) in [
            (IdentifierConflict::Fails, Upserted::Conflict(1)),
            (IdentifierConflict::FirstWins, Upserted::Updated(0)),
        ] {
            let unknowns = Unknowns { identifier_conflict, ..Unknowns::default() };
            let mut profiles = Profiles::new(0, &unknowns, false);
            upsert(&mut profiles, &json!({"email": "a@example.com"}), &Value::Null);
            upsert(&mut profiles, &json!({"phone_number": "+12025550123"}), &Value::Null);
            let both = json!({"email": "a@example.com", "phone_number": "+12025550123"});
            assert_eq!(upsert(&mut profiles, &both, &Value::Null), expected);
            assert_eq!(profiles.find(Identifier::PhoneNumber, "+12025550123"), Some(1));
        }
    }

    #[test]
    fn phone_number_follows_the_email_it_comes_with() {
        let mut profiles = profiles();
        let with = |phone: &str| json!({"email": "a@example.com", "phone_number": phone});
        upsert(&mut profiles, &with("+12025550123"), &Value::Null);
        upsert(&mut profiles, &with("+12025550124"), &Value::Null);
        assert_eq!(profiles.find(Identifier::PhoneNumber, "+12025550124"), Some(0));
        assert_eq!(profiles.find(Identifier::PhoneNumber, "+12025550123"), None);
    }
}
